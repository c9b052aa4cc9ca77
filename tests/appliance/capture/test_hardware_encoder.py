"""What is added to picamera2's hardware encoder. The device here is a stand-in that codes with libx264: the real one
needs a Raspberry Pi, where ``tests/conformance`` runs on it (docs/hardware.md); the ioctl's numbers are compared with
the real header's in ``tests/emulation``."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from typing import IO

import pytest

from appliance.capture import h264, hardware_encoder
from appliance.capture.base import AccessUnit
from appliance.capture.h264 import H264Encoder
from appliance.capture.hardware_encoder import HardwareEncoder
from appliance.capture.pictures import new_frame

FIRST_US = 7_000_000_000  # the sensor's stamps count from boot, the encoder's from its first picture
INTERVAL_US = 33_333


class DelayedDevice:
    """Gives each picture when the next one comes, as hardware does, and loses those it is told to."""

    def __init__(self, loses: frozenset[int] = frozenset()) -> None:
        self.firsttimestamp: int | None = None
        self.vd: IO[bytes] | None = None
        self.key_frames_asked = 0
        self.encoded: Callable[[bytes, int], None] | None = None
        self._coder = H264Encoder(64, 48, 30, 500_000, 60.0)
        self._frame = new_frame(64, 48)
        self._held: tuple[bytes, int] | None = None
        self._loses = loses
        self._number = 0

    def encode(self, stream: str, request: object) -> None:
        """Code a picture; ``request`` is its sensor stamp here."""
        assert isinstance(request, int)
        if self.firsttimestamp is None:
            self.firsttimestamp = request
        if self._held is not None and self.encoded is not None:
            self.encoded(*self._held)
            self._held = None
        if self._number not in self._loses:
            data = self._coder.encode(self._frame, self._number * INTERVAL_US).data
            self._held = data, request - self.firsttimestamp
        self._number += 1

    def force_key_frame(self) -> None:
        """Count, as picamera2 does."""
        self.key_frames_asked += 1
        self._coder.force_key_frame()

    def start(self) -> None:
        """Nothing to open."""

    def stop(self) -> None:
        """Nothing to close."""


def run(device: DelayedDevice, pictures: int, before: Callable[[int, HardwareEncoder], None]) -> list[AccessUnit]:
    """Encode pictures; what came out."""
    units: list[AccessUnit] = []
    encoder = HardwareEncoder(device, 1_000_000, units.append)
    device.encoded = encoder.encoded
    for number in range(pictures):
        before(number, encoder)
        stamp_us = FIRST_US + number * INTERVAL_US
        encoder.encode("lores", stamp_us, stamp_us, 1_000 + number * INTERVAL_US)
    encoder.close()
    return units


def test_each_unit_has_the_capture_time_of_its_own_picture_though_others_are_lost() -> None:
    units = run(DelayedDevice(loses=frozenset({3, 4})), 9, lambda *_: None)
    assert [unit.capture_us for unit in units] == [1_000 + n * INTERVAL_US for n in (0, 1, 2, 5, 6, 7)]
    assert [unit.key_frame for unit in units] == [h264.is_key_frame(unit.data) for unit in units]


def test_many_requests_for_a_key_frame_are_one() -> None:
    device = DelayedDevice()

    def ask(number: int, encoder: HardwareEncoder) -> None:
        for _ in range(5 if number == 4 else 0):
            encoder.force_key_frame()

    units = run(device, 9, ask)
    assert device.key_frames_asked == 1
    assert [n for n, unit in enumerate(units) if unit.key_frame] == [0, 4]


def test_a_new_bitrate_reaches_the_running_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, bytes]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda _, request, argument: told.append((request, argument)))
    device = DelayedDevice()
    with open("/dev/null", "rb") as device.vd:  # noqa: PTH123 - a descriptor is all that is wanted
        run(device, 6, lambda number, encoder: encoder.set_bitrate(700_000 if number >= 2 else 1_000_000))
    packed = hardware_encoder.V4L2_CONTROL.pack(hardware_encoder.V4L2_CID_MPEG_VIDEO_BITRATE, 700_000)
    assert told == [(hardware_encoder.VIDIOC_S_CTRL, packed)]
