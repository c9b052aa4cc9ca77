"""The Raspberry Pi's camera where there is none. Where there is: ``tests/conformance`` and ``tests/emulation``."""

from __future__ import annotations

import importlib.util

import pytest

from appliance.capture.clock import LessonClock
from appliance.capture.sensor import Orientation
from appliance.errors import CameraUnavailable
from appliance.kit import new_sources
from appliance.settings import CameraSection, MicrophoneSection


@pytest.mark.skipif(importlib.util.find_spec("picamera2") is not None, reason="picamera2 is here")
async def test_a_kit_without_picamera2_is_told_what_to_do() -> None:
    camera, _ = new_sources(CameraSection(kind="picamera2", crop=(0.1, 0.1, 0.5, 0.5)), MicrophoneSection())
    with pytest.raises(CameraUnavailable, match=r"^camera\.kind: picamera2 is missing .*python3-picamera2"):
        async with camera.open(LessonClock.start()):
            pytest.fail("it opened")


@pytest.mark.parametrize(
    ("orientation", "mirrored"),
    [
        (Orientation(0, "none"), (False, False)),
        (Orientation(180, "none"), (True, True)),
        (Orientation(0, "horizontal"), (True, False)),
        (Orientation(180, "horizontal"), (False, True)),
        (Orientation(180, "both"), (False, False)),
    ],
)
def test_turning_and_mirroring_add_up(orientation: Orientation, mirrored: tuple[bool, bool]) -> None:
    assert orientation.mirrored == mirrored
