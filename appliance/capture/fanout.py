"""From one camera and one microphone to everybody who takes their pictures and voice: the publisher and the recorder.

Each source runs by itself: a dead microphone leaves the picture alone, and the other way round. A lost source is opened
again with backoff for as long as ``run`` runs; whether that is a fault is the lesson's to say (``lesson.py``), which
hears of it through ``on_camera`` and ``on_microphone``. Media is encoded once, whatever the number of sinks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import Protocol, runtime_checkable

from appliance.capture.base import (
    AccessUnit,
    Camera,
    CameraStream,
    Microphone,
    OpusFrame,
    PcmBlock,
    Samples,
    SelfRestarting,
    SensorView,
)
from appliance.capture.clock import LessonClock
from appliance.capture.opus import OpusEncoder
from appliance.capture.sound_meter import SoundFigures, SoundMeter
from appliance.errors import CameraUnavailable, KitError, MicrophoneUnavailable
from appliance.supervise import RETRIED, Backoff, expecting

FIRST_RETRY_S = 1.0  # a camera that fell off its bus is back within about this time
LAST_RETRY_S = 30.0
_LONG_AGO_US = -(1 << 62)
SILENT_S = 3.0  # nobody raises when a camera is unplugged: frames just stop

Told = Callable[[bool], None]
log = logging.getLogger(__name__)


class AccessUnitSink(Protocol):
    """Takes what is captured. Called on the event loop; must return at once: it queues or drops, it never waits."""

    def picture(self, unit: AccessUnit) -> None:
        """One encoded picture."""
        ...

    def voice(self, frame: OpusFrame) -> None:
        """20 ms of encoded sound."""
        ...


class RecordingSink(Protocol):
    """Takes the same pictures, and the sound before it is encoded. Called on the event loop; must return at once."""

    def picture(self, unit: AccessUnit) -> None:
        """One encoded picture."""
        ...

    def sound(self, block: PcmBlock) -> None:
        """20 ms of sound."""
        ...


@runtime_checkable
class SelfHealing(Protocol):
    """A microphone stream that outlives its device: while that is away, it gives silence, and says so here."""

    hears: bool
    trouble: MicrophoneUnavailable | None

    def figures(self) -> SoundFigures | None:
        """What the device gives, before any cleaning; None without one."""
        ...


class SourceState(Enum):
    """How a source is."""

    CLOSED = "closed"
    OPENING = "opening"
    GIVING = "giving"
    LOST = "lost"
    ENDED = "ended"  # a file played once is over; it is not opened again


class Source:
    """The health of one source, and who is told when it changes."""

    def __init__(self, name: str, told: Told) -> None:
        self.name = name
        self.state = SourceState.CLOSED
        self.error: Exception | None = None
        self._steps = 0
        self._told = told
        self._said: bool | None = None

    def step(self) -> None:
        """It gave something."""
        self._steps += 1

    def sign(self) -> int | None:
        """Changes whenever it gives something or becomes something; None while nothing is expected of it."""
        return None if self.state in {SourceState.CLOSED, SourceState.ENDED} else self._steps

    def became(self, state: SourceState, error: Exception | None = None) -> None:
        """Note it; tell whether the source gives, when that changed."""
        self.state, self.error = state, error
        self.step()
        if state is SourceState.GIVING:
            self._say(True)
        elif state in {SourceState.LOST, SourceState.ENDED}:
            self._say(False)
        elif state is SourceState.CLOSED:
            self._said = None  # closed on purpose: nothing was lost, and the next opening speaks anew

    def _say(self, gives: bool) -> None:
        if gives is not self._said:
            self._said = gives
            self._told(gives)


class Capture:
    """Runs a camera and a microphone and hands what they give to the sinks.

    ``on_camera(True)`` is called with the first picture, ``on_camera(False)`` when the camera is lost, cannot be opened
    or has ended; each only when that changed since the last call; likewise ``on_microphone``.
    """

    def __init__(
        self,
        camera: Camera,
        microphone: Microphone,
        sinks: Sequence[AccessUnitSink],
        *,
        recorders: Sequence[RecordingSink] = (),
        on_camera: Told = lambda gives: None,
        on_microphone: Told = lambda gives: None,
        voice_bitrate_bps: int = 24_000,
        retry_s: tuple[float, float] = (FIRST_RETRY_S, LAST_RETRY_S),
        silent_s: float = SILENT_S,
    ) -> None:
        self.camera = Source("camera", on_camera)
        self.microphone = Source("microphone", on_microphone)
        self._camera = camera
        self._microphone = microphone
        self._sinks = tuple(sinks)
        self._recorders = tuple(recorders)
        self._voice_bitrate_bps = voice_bitrate_bps
        self._retry_s = retry_s
        self._silent_s = silent_s
        self._stream: CameraStream | None = None
        self._bitrate_bps: int | None = None
        self._fps: int | None = None
        self._is_cut = False
        self._clock: LessonClock | None = None
        self._last_picture_us = self._last_voice_us = _LONG_AGO_US
        self._hearing: Callable[[], SoundFigures | None] | None = None

    async def run(self, clock: LessonClock) -> None:
        """Capture until cancelled, or until both sources have come to a natural end."""
        self._is_cut = False
        if clock is not self._clock:
            self._clock, self._last_picture_us, self._last_voice_us = clock, _LONG_AGO_US, _LONG_AGO_US
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(self.camera, partial(self._film, clock)), name="capture-camera")
            tasks.create_task(self._keep(self.microphone, partial(self._listen, clock)), name="capture-microphone")

    def use_camera(self, camera: Camera) -> None:
        """Take this camera from the next opening on; one that is open now goes on."""
        self._camera = camera

    @property
    def view(self) -> tuple[int, int] | None:
        """All that the open camera's sensor can see; None without one, or where it does not say."""
        stream: object = self._stream
        return stream.view if isinstance(stream, SensorView) else None

    def cut(self) -> None:
        """Let nothing more through, at once; the devices close when ``run`` is cancelled."""
        self._is_cut = True

    def force_key_frame(self) -> None:
        """Ask the camera for a key frame; without an open camera, its first picture will be one."""
        if self._stream is not None:
            self._stream.force_key_frame()

    def set_bitrate(self, bits_per_s: int) -> None:
        """Set the picture's rate, for this camera and whenever it is opened again."""
        self._bitrate_bps = bits_per_s
        if self._stream is not None:
            self._stream.set_bitrate(bits_per_s)

    def set_frame_rate(self, fps: int) -> None:
        """Set the pictures' rate, for this camera and whenever it is opened again."""
        self._fps = fps
        if self._stream is not None:
            self._stream.set_frame_rate(fps)

    def hearing(self) -> SoundFigures | None:
        """The level of the voice, and what is wrong with it; None while no microphone gives sound."""
        return None if self._hearing is None else self._hearing()

    async def still(self) -> bytes:
        """A board still as JPEG. Raises ``CameraUnavailable``."""
        if self._stream is None:
            raise CameraUnavailable(str(self.camera.error or "the camera is closed"))
        return await self._stream.still()

    async def _keep(self, source: Source, session: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        backoff = Backoff(*self._retry_s)

        def gave() -> None:
            if source.state is not SourceState.GIVING:
                backoff.reset()
                source.became(SourceState.GIVING)

        try:
            while True:
                source.became(SourceState.OPENING, source.error)
                try:
                    await session(gave)
                except RETRIED as error:
                    wait_s = backoff.next_s()
                    log.warning("%s: %s; opening it again in %.1f s", source.name, error, wait_s)
                    source.became(SourceState.LOST, error)
                    await asyncio.sleep(wait_s)
                else:
                    source.became(SourceState.ENDED)
                    return
        finally:
            if source.state is not SourceState.ENDED:
                source.became(SourceState.CLOSED)

    async def _film(self, clock: LessonClock, gave: Callable[[], None]) -> None:
        async with self._camera.open(clock) as stream:
            with self._open_stream(stream):
                silent_s = stream.silent_at_most_s if isinstance(stream, SelfRestarting) else self._silent_s
                with expecting(silent_s, self._no_pictures) as expected:
                    async for unit in stream:
                        expected.came()
                        self._show(unit, gave)

    def _show(self, unit: AccessUnit, gave: Callable[[], None]) -> None:
        if unit.capture_us <= self._last_picture_us:
            raise CameraUnavailable(f"the camera's time went back to {unit.capture_us} µs")
        self._last_picture_us = unit.capture_us
        self.camera.step()
        if self._is_cut:
            return
        gave()
        for sink in self._sinks:
            sink.picture(unit)
        for recorder in self._recorders:
            recorder.picture(unit)

    async def _listen(self, clock: LessonClock, gave: Callable[[], None]) -> None:
        async with self._microphone.open(clock) as stream:
            encoder = OpusEncoder(self._voice_bitrate_bps)
            healing = stream if isinstance(stream, SelfHealing) else None
            note = partial(self._note_hearing, healing, gave)
            with self._measured(healing) as measure, expecting(self._silent_s, self._no_sound) as expected:
                async for block in stream:
                    expected.came()
                    measure(block.samples)
                    self.microphone.step()
                    self._speak(block, encoder.encode(block), note)

    def _speak(self, block: PcmBlock, frame: OpusFrame, note: Callable[[], None]) -> None:
        if frame.capture_us <= self._last_voice_us:
            raise MicrophoneUnavailable(f"the microphone's time went back to {frame.capture_us} µs")
        self._last_voice_us = frame.capture_us
        if not self._is_cut:
            note()
            for sink in self._sinks:
                sink.voice(frame)
            for recorder in self._recorders:
                recorder.sound(block)

    def _note_hearing(self, stream: SelfHealing | None, gave: Callable[[], None]) -> None:
        if stream is None or stream.hears:
            gave()
        elif stream.trouble is not None and self.microphone.error is not stream.trouble:
            log.warning("microphone: %s; silence stands in for it", stream.trouble)
            self.microphone.became(SourceState.LOST, stream.trouble)

    @contextmanager
    def _measured(self, healing: SelfHealing | None) -> Iterator[Callable[[Samples], None]]:
        """Gives what is to be told of each block. A stream that measures its own device needs no second meter."""
        meter = SoundMeter()
        self._hearing = meter.figures if healing is None else healing.figures
        try:
            yield meter.add if healing is None else lambda samples: None
        finally:
            self._hearing = None

    def _no_pictures(self) -> KitError:
        return CameraUnavailable(f"the camera gave no picture for {self._silent_s:.0f} s; is it still plugged in?")

    def _no_sound(self) -> KitError:
        return MicrophoneUnavailable(
            f"the microphone gave no sound for {self._silent_s:.0f} s; is it still plugged in?"
        )

    @contextmanager
    def _open_stream(self, stream: CameraStream) -> Iterator[None]:
        self._stream = stream
        if self._bitrate_bps is not None:
            stream.set_bitrate(self._bitrate_bps)
        if self._fps is not None:
            stream.set_frame_rate(self._fps)
        try:
            yield
        finally:
            self._stream = None
