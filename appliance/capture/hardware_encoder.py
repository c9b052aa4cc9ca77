"""The Raspberry Pi's hardware H.264 encoder (Pi 3, 4, Zero 2 W), driven picture by picture.

Around picamera2's own encoder, which ``picamera.py`` makes: it owns the device, its buffers and its thread. Added here:
capture times that survive it, key frames asked for once, and a bitrate that changes while it runs, for which picamera2
has no call. Not here: the software encoder of a Pi 5 (``h264.py``).
"""

from __future__ import annotations

import fcntl
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import IO, Protocol

from appliance.capture import h264
from appliance.capture.base import AccessUnit

# <linux/v4l2-controls.h>, <linux/videodev2.h>; tests/emulation compares them with the videodev2 package
V4L2_CID_MPEG_VIDEO_BITRATE = 0x009909CF
VIDIOC_S_CTRL = 0xC008561C  # _IOWR('V', 28, struct v4l2_control)
V4L2_CONTROL = struct.Struct("=Ii")

MAX_WAITING = 16  # pictures within the encoder: as many as it has buffers


class DeviceEncoder(Protocol):
    """What is used of picamera2's ``H264Encoder``."""

    firsttimestamp: int | None
    vd: IO[bytes] | None

    def encode(self, stream: str, request: object) -> None:
        """Queue a picture of a request."""
        ...

    def force_key_frame(self) -> None:
        """Make the next picture a key frame; counts, so that it must be asked once for each."""
        ...

    def start(self) -> None:
        """Open the device."""
        ...

    def stop(self) -> None:
        """Close it."""
        ...


def set_device_bitrate(device: IO[bytes], bits_per_s: int) -> None:
    """Change the rate of an encoder that runs. Raises ``OSError``."""
    fcntl.ioctl(device, VIDIOC_S_CTRL, V4L2_CONTROL.pack(V4L2_CID_MPEG_VIDEO_BITRATE, bits_per_s))


class HardwareEncoder:
    """One capture thread feeds it; picamera2's thread calls ``encoded`` with what comes out.

    ``force_key_frame`` and ``set_bitrate`` may be called from another thread.
    """

    def __init__(self, device: DeviceEncoder, bitrate_bps: int, give: Callable[[AccessUnit], None]) -> None:
        self._device = device
        self._give = give
        self._bitrate = self._bitrate_set = bitrate_bps
        self._key_asked = False
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, int]] = deque(maxlen=MAX_WAITING)
        self._begun = False

    def force_key_frame(self) -> None:
        """Make the next picture a key frame, once, however often it is asked for meanwhile."""
        self._key_asked = True

    def set_bitrate(self, bits_per_s: int) -> None:
        """Aim at this rate from the next picture on."""
        self._bitrate = max(h264.MIN_BITRATE_BPS, bits_per_s)

    def set_frame_rate(self, fps: float) -> None:
        """Nothing to do: its rate control follows the time stamps of the pictures that come."""

    def encode(self, stream: str, request: object, stamp_us: int, capture_us: int) -> None:
        """Queue a picture. ``stamp_us`` is its sensor time stamp, ``capture_us`` when it was captured."""
        if self._bitrate != self._bitrate_set and self._device.vd is not None:
            self._bitrate_set = self._bitrate
            set_device_bitrate(self._device.vd, self._bitrate_set)
        if self._key_asked:
            self._key_asked = False
            self._device.force_key_frame()
        first_us = self._device.firsttimestamp
        with self._lock:  # before it is queued: it may come out while encode() is still returning
            self._waiting.append((0 if first_us is None else stamp_us - first_us, capture_us))
        self._device.encode(stream, request)

    def encoded(self, data: bytes, timestamp_us: int) -> None:
        """A picture came out."""
        capture_us = self._captured_us(timestamp_us)
        key = h264.is_key_frame(data)
        self._begun = self._begun or key
        if capture_us is not None and self._begun:  # decoding can begin with a key frame only
            self._give(AccessUnit(data, key, capture_us))

    def close(self) -> None:
        """Let go of the device."""
        self._device.stop()

    def _captured_us(self, timestamp_us: int) -> int | None:
        """The capture time of the picture with this time stamp; those before it were dropped by the encoder."""
        with self._lock:
            while self._waiting:
                waiting_us, capture_us = self._waiting.popleft()
                if waiting_us == timestamp_us:
                    return capture_us
        return None
