"""The Raspberry Pi's camera code on the real libcamera and picamera2, beyond what every camera keeps.

Runs in the root that ``make test-libcamera`` makes, and nowhere else: elsewhere it is skipped by name.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import signal
from pathlib import Path

import pytest

pytest.importorskip(
    "picamera2", reason="picamera2 is not here: make test-libcamera makes a root with it", exc_type=ImportError
)

from appliance.capture import hardware_encoder
from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock
from appliance.capture.worker import Patience, WorkerCamera
from appliance.capture.worker_child import Recipe, WorkerChild
from appliance.errors import CameraUnavailable
from tests.appliance.capture.reading import PATIENCE_S, decoded, take, take_until

INTERVAL_US = 33_333
PI_CAMERA = "appliance.capture.picamera:PiCamera"
SMALL = {"width": 320, "height": 180}
STILLS = 15  # at most: on a busy machine most tries lose pictures to something else
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("virtual_camera") is None,
    reason="the virtual camera is not here: make test-libcamera makes a root with it",
)


def pi_camera(**options: object) -> WorkerCamera:
    """The camera as the kit runs it: picamera2 leaves descriptors behind, which go with the worker."""
    return WorkerCamera(Recipe(PI_CAMERA, {**SMALL, **options}), Patience(silent_s=1.0, settled_s=60.0))


def test_the_ioctl_that_changes_the_bitrate_is_the_kernels() -> None:
    import videodev2

    assert hardware_encoder.VIDIOC_S_CTRL == videodev2.VIDIOC_S_CTRL & 0xFFFFFFFF  # it has it signed
    assert hardware_encoder.V4L2_CID_MPEG_VIDEO_BITRATE == videodev2.V4L2_CID_MPEG_VIDEO_BITRATE
    control = videodev2.v4l2_control()
    control.id, control.value = hardware_encoder.V4L2_CID_MPEG_VIDEO_BITRATE, 700_000
    assert bytes(control) == hardware_encoder.V4L2_CONTROL.pack(control.id, control.value)


def devices_of(pid: int) -> list[str]:
    """What a process holds of the machine; the virtual camera's memory is the root's stand-in for /dev/udmabuf."""
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return [link for link in links if link.startswith(("/dev/video", "/dev/media", "/dev/dma_heap", "/memfd:udmabuf"))]


def maps_of(pid: int) -> str:
    """What a process has loaded."""
    return Path(f"/proc/{pid}/maps").read_text()


async def test_a_worker_that_waits_has_loaded_picamera2_and_holds_no_device() -> None:
    worker = await WorkerChild.start(Recipe(PI_CAMERA, SMALL))
    try:
        await worker.loaded(PATIENCE_S)
        assert worker.pid is not None
        assert "libcamera" in maps_of(worker.pid)
        assert not devices_of(worker.pid)
        worker.open(LessonClock.start())
        await worker.next(PATIENCE_S)
        assert devices_of(worker.pid)
    finally:
        await worker.close(PATIENCE_S, 1.0)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=lambda sign: sign.name)
async def test_libcamera_killed_or_hung_is_started_again_and_the_lesson_goes_on(sign: signal.Signals) -> None:
    clock = LessonClock.start()
    async with pi_camera().open(clock) as stream:
        units = await take(stream, 5)
        first = stream.worker_id
        assert first is not None
        os.kill(first, sign)
        units += await take_until(stream, lambda unit: unit.key_frame and stream.worker_id != first)
        units += await take(stream, 5)
    captured = [unit.capture_us for unit in units]
    assert captured == sorted(set(captured))
    assert len(decoded(units[-6:])) == 6


def missing(units: list[AccessUnit]) -> int:
    """Pictures that are not there between those that are."""
    gaps = [after.capture_us - before.capture_us for before, after in itertools.pairwise(units)]
    return sum(round(gap / INTERVAL_US) - 1 for gap in gaps)


async def test_a_still_costs_the_stream_no_more_than_one_picture() -> None:
    """Against the same stream without one, because a busy machine drops pictures of its own: so it may try again."""
    without, within = [], []
    async with pi_camera(width=1280, height=720).open(LessonClock.start()) as stream:
        for _ in range(STILLS):
            without.append(missing(await take(stream, 10)))
            still = asyncio.create_task(stream.still())
            within.append(missing(await take(stream, 10)))
            assert len(await still) > 10_000
            if min(within) <= min(without) + 1:
                return
    pytest.fail(f"pictures missing with a still: {within}; without: {without}")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"width": 4000, "height": 2000}, "nearest: 1280 × 720"),
        ({"crop": [0.1, 0.1, 0.5, 0.5]}, "camera.crop: this camera cannot crop"),
        ({"focus": "fixed"}, "camera.focus: this camera has no focus motor"),
        ({"exposure_ms": 5.0}, "camera.exposure_ms: this camera's exposure cannot be set"),
    ],
)
async def test_what_the_camera_cannot_do_is_refused_by_its_key(options: dict[str, object], told: str) -> None:
    with pytest.raises(CameraUnavailable, match=told):
        async with pi_camera(**options).open(LessonClock.start()):
            pytest.fail("it opened")
