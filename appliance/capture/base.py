"""What every camera and microphone of a kit is: the protocols, and the units that they yield.

A leaf of ``capture``: adapters (``simulated/``, ``file.py``, ``picamera.py``) implement these, ``kit.py`` names
the concrete ones, everybody else sees only what stands here. ``tests/conformance`` holds every adapter to it.

The *device* is open exactly while the context of ``open()`` is: a kit that is idle or behind its curtain holds none.
Iteration ends with ``CameraUnavailable``/``MicrophoneUnavailable`` when the device is lost, and with
``StopAsyncIteration`` only where the source has a natural end (a file played once).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from appliance.capture.clock import LessonClock

SAMPLE_RATE_HZ = 48_000  # Opus's own clock (RFC 7587 §4.1); devices that can't are resampled at the source
BLOCK_SAMPLES = 960  # 20 ms, the Opus frame of DESIGN.md

Samples = npt.NDArray[np.int16]
Luma = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One encoded picture: H.264, Annex B, constrained baseline, no B-frames.

    ``key_frame`` units carry SPS and PPS before their IDR slice. ``capture_us`` is when light met the sensor, on the
    lesson clock; it rises strictly within a lesson, across re-opened devices too.
    """

    data: bytes
    key_frame: bool
    capture_us: int


@dataclass(frozen=True, slots=True)
class PcmBlock:
    """20 ms of sound: ``BLOCK_SAMPLES`` mono samples at ``SAMPLE_RATE_HZ``, shape ``(960,)``, int16.

    ``capture_us`` is when the first sample met the microphone, on the lesson clock.
    """

    samples: Samples
    capture_us: int


@dataclass(frozen=True, slots=True)
class OpusFrame:
    """20 ms of voice as one Opus packet (RFC 6716), captured from ``capture_us`` on."""

    data: bytes
    capture_us: int


class CameraStream(Protocol):
    """An open camera. Owned by one task; its methods are called on the event loop and do not block it."""

    def __aiter__(self) -> AsyncIterator[AccessUnit]:
        """Access units as they are captured, the first a key frame, until the device is lost or closed."""
        ...

    def force_key_frame(self) -> None:
        """Make one of the next pictures a key frame, within two frame intervals. Idempotent until it happens."""
        ...

    def set_bitrate(self, bits_per_s: int) -> None:
        """Aim at this rate from the next pictures on; a passthrough source cannot, and says so in its docstring."""
        ...

    def set_frame_rate(self, fps: int) -> None:
        """Give so many pictures a second from the next ones on, the configured rate at most: others are left out
        before they are encoded, so that each of the rest gets more bits. A passthrough source cannot, and says so."""
        ...

    async def still(self) -> bytes:
        """A board still: the newest picture at the sensor's best, as JPEG. Raises ``CameraUnavailable``."""
        ...


class Camera(Protocol):
    """A configured camera, closed. ``open`` may be entered again after it was left, not while it is open."""

    def open(self, clock: LessonClock) -> AbstractAsyncContextManager[CameraStream]:
        """Open the device. Raises ``CameraUnavailable``."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A camera whose libraries take long to load: a worker that waits for its lesson loads them meanwhile."""

    def prepare(self) -> None:
        """Load what ``open`` needs, and open nothing. Blocks. Raises ``CameraUnavailable``."""
        ...


@runtime_checkable
class KeptWarm(Protocol):
    """A camera that has something to do between lessons, so that the next opens sooner."""

    async def keep_warm(self) -> None:
        """Do it, until cancelled. No device is open for it."""
        ...


@runtime_checkable
class SelfRestarting(Protocol):
    """A camera stream that starts a silent device again by itself: a silence is its own matter for so long."""

    #: By then it has given a picture or raised.
    silent_at_most_s: float


@runtime_checkable
class SensorView(Protocol):
    """A camera stream whose pictures are a part of its sensor, in their shape: that of ``camera.crop``."""

    #: Width and height of all that the sensor can see, in its pixels; None while that is not known.
    view: tuple[int, int] | None


@runtime_checkable
class GroundTruth(Protocol):
    """A camera stream that knows what it shows: the simulated classroom's."""

    def board(self, capture_us: int) -> Luma:
        """The board without the teacher, noise or light, as it was at ``capture_us``: shape ``(height, width)``."""
        ...


class MicrophoneStream(Protocol):
    """An open microphone. One that outlives its device is ``fanout.SelfHealing``, too."""

    def __aiter__(self) -> AsyncIterator[PcmBlock]:
        """Blocks back to back, as they are captured."""
        ...


class Microphone(Protocol):
    """A configured microphone, closed."""

    def open(self, clock: LessonClock) -> AbstractAsyncContextManager[MicrophoneStream]:
        """Open the device. Raises ``MicrophoneUnavailable``."""
        ...
