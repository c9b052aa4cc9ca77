"""What every camera of a kit keeps, whoever made it. A new adapter joins by a line in ``CAMERAS``.

The Raspberry Pi's runs where picamera2 is: on a Pi (``-m device``), and with libcamera's virtual camera in the root
that ``make test-libcamera`` makes. Elsewhere it is skipped by name.
"""

from __future__ import annotations

import importlib.util
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from av.video.frame import PictureType
from PIL import Image

from appliance.capture import h264
from appliance.capture.base import AccessUnit, Camera
from appliance.capture.clock import LessonClock
from appliance.capture.file import FileCamera
from appliance.capture.simulated.camera import SimulatedCamera
from appliance.capture.worker import WorkerCamera
from appliance.capture.worker_child import Recipe as WorkerRecipe
from tests.appliance.capture.media import Recipe, make_video
from tests.appliance.capture.reading import decoded, take, take_until

WIDTH, HEIGHT, FPS, KEY_EVERY_S = 320, 180, 30, 0.5
PICAMERA2 = "picamera2, in a worker"
INTERVAL_US = 1_000_000 // FPS
NEAR_US = 700_000  # how far behind the clock a picture may arrive on a loaded machine


@dataclass(frozen=True)
class Adapter:
    """A camera to be held to the protocol, and what it documents that it cannot do."""

    make: Callable[[Path], Camera]
    steerable: bool = True  # takes force_key_frame, set_bitrate and set_frame_rate
    larger_stills: bool = False  # of the sensor's size instead of the picture's


def _passing_through(folder: Path) -> Camera:
    return FileCamera(make_video(folder / "a.mp4"), key_frame_every_s=KEY_EVERY_S)


def _transcoded(folder: Path) -> Camera:
    video = make_video(folder / "a.mkv", Recipe(codec="mpeg4"))
    return FileCamera(video, width=WIDTH, height=HEIGHT, fps=FPS, key_frame_every_s=KEY_EVERY_S)


def _in_a_worker(factory: str) -> Callable[[Path], Camera]:
    options = {"width": WIDTH, "height": HEIGHT, "fps": FPS, "key_frame_every_s": KEY_EVERY_S}
    return lambda _: WorkerCamera(WorkerRecipe(factory, options))


CAMERAS = {
    "simulated": Adapter(lambda _: SimulatedCamera(WIDTH, HEIGHT, FPS, key_frame_every_s=KEY_EVERY_S)),
    "file, passing through": Adapter(_passing_through, steerable=False),
    "file, transcoded": Adapter(_transcoded),
    "simulated, in a worker": Adapter(_in_a_worker("appliance.capture.simulated.camera:SimulatedCamera")),
    PICAMERA2: Adapter(_in_a_worker("appliance.capture.picamera:PiCamera"), larger_stills=True),
}


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.device] * (name == PICAMERA2)) for name in CAMERAS])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    if request.param == PICAMERA2 and importlib.util.find_spec("picamera2") is None:
        pytest.skip("picamera2 is not here: make test-libcamera has a virtual camera, docs/hardware.md a Raspberry Pi")
    return CAMERAS[request.param]


@pytest.fixture
def camera(adapter: Adapter, tmp_path: Path) -> Camera:
    return adapter.make(tmp_path)


async def test_the_first_unit_is_a_key_frame_with_its_parameter_sets(camera: Camera) -> None:
    async with camera.open(LessonClock.start()) as stream:
        (first,) = await take(stream, 1)
    assert first.key_frame
    assert h264.is_key_frame(first.data)
    assert h264.has_parameter_sets(first.data)


async def test_units_are_annex_b_constrained_baseline_without_b_frames(camera: Camera) -> None:
    async with camera.open(LessonClock.start()) as stream:
        units = await take(stream, 24)
    assert all(h264.is_annex_b(unit.data) for unit in units)
    assert all(h264.is_constrained_baseline(unit.data) for unit in units if unit.key_frame)
    assert [unit.key_frame for unit in units] == [h264.is_key_frame(unit.data) for unit in units]
    pictures = decoded(units)
    assert len(pictures) == len(units)
    assert {picture.pict_type for picture in pictures} <= {PictureType.I, PictureType.P}


async def test_capture_times_rise_strictly_and_are_near_the_clock(camera: Camera) -> None:
    clock = LessonClock.start()
    async with camera.open(clock) as stream:
        arrivals: list[tuple[int, int]] = []
        await take_until(stream, lambda unit: _noted(arrivals, unit, clock) >= 1_000_000)
    captured = [capture_us for capture_us, _ in arrivals]
    assert captured == sorted(set(captured))
    assert all(-INTERVAL_US <= now_us - capture_us <= NEAR_US for capture_us, now_us in arrivals)


def _noted(arrivals: list[tuple[int, int]], unit: AccessUnit, clock: LessonClock) -> int:
    arrivals.append((unit.capture_us, clock.now_us()))
    return unit.capture_us


async def test_pictures_come_at_their_rate(camera: Camera) -> None:
    async with camera.open(LessonClock.start()) as stream:
        await take(stream, 5)
        units = await take(stream, 31)
    per_picture = (units[-1].capture_us - units[0].capture_us) / 30
    assert 0.95 * INTERVAL_US < per_picture < 2 * INTERVAL_US  # a loaded machine may drop some


async def test_a_forced_key_frame_comes_within_two_pictures(adapter: Adapter, camera: Camera) -> None:
    if not adapter.steerable:
        pytest.skip("documented: cannot be asked for")
    clock = LessonClock.start()
    async with camera.open(clock) as stream:
        await take_until(stream, lambda unit: unit.key_frame)
        await take(stream, 3)
        asked_us = clock.now_us()
        stream.force_key_frame()
        after = await take_until(stream, lambda unit: unit.capture_us > asked_us + 3 * INTERVAL_US)
    # A picture that was in the camera while it was asked, and not encoded yet, does as well.
    before = [unit for unit in after if unit.capture_us <= asked_us]
    assert any(unit.key_frame for unit in after[: len(before) + 2])


async def test_a_lower_bitrate_bites(adapter: Adapter, camera: Camera) -> None:
    if not adapter.steerable:
        pytest.skip("documented: cannot be set")
    async with camera.open(LessonClock.start()) as stream:
        before = await take(stream, 30)
        stream.set_bitrate(200_000)
        await take(stream, 15)
        after = await take(stream, 30)
    assert sum(len(unit.data) for unit in after) < 0.5 * sum(len(unit.data) for unit in before)


async def test_a_lower_frame_rate_leaves_pictures_out_evenly_and_the_full_one_returns(
    adapter: Adapter, camera: Camera
) -> None:
    if not adapter.steerable:
        pytest.skip("documented: cannot be set")
    clock = LessonClock.start()
    async with camera.open(clock) as stream:
        before = await take(stream, 3)
        stream.set_frame_rate(10)
        since_us = clock.now_us() + 3 * INTERVAL_US
        slow = await take_until(stream, lambda unit: unit.capture_us > since_us + 1_000_000)
        stream.set_frame_rate(FPS)
        full = await take_until(stream, lambda unit: unit.capture_us > since_us + 2_000_000)
    times_us = [unit.capture_us for unit in slow if unit.capture_us > since_us]
    gaps_us = [after - before for before, after in itertools.pairwise(times_us)]
    assert min(gaps_us) >= 2.5 * INTERVAL_US, "a third of the pictures at most, evenly"
    assert len(full) > len(times_us), "and as many as before"
    units = before + slow + full
    assert len(decoded(units)) == len(units)


async def test_a_frame_rate_above_the_cameras_own_changes_nothing(adapter: Adapter, camera: Camera) -> None:
    if not adapter.steerable:
        pytest.skip("documented: cannot be set")
    async with camera.open(LessonClock.start()) as stream:
        stream.set_frame_rate(10 * FPS)
        units = await take(stream, 20)
    gaps_us = [after.capture_us - before.capture_us for before, after in itertools.pairwise(units)]
    assert min(gaps_us) > 0.8 * INTERVAL_US


async def test_key_frames_come_by_themselves(camera: Camera) -> None:
    async with camera.open(LessonClock.start()) as stream:
        units = await take(stream, 1)
        units += await take_until(stream, lambda unit: unit.capture_us > units[0].capture_us + 2_200_000)
    keys = [unit.capture_us for unit in units if unit.key_frame]
    assert len(keys) >= 3
    gaps = [after - before for before, after in itertools.pairwise(keys)]
    assert max(gaps) <= KEY_EVERY_S * 1_000_000 + 8 * INTERVAL_US  # dropped pictures included


async def test_it_opens_again_and_time_goes_on(camera: Camera) -> None:
    clock = LessonClock.start()
    async with camera.open(clock) as stream:
        before = await take(stream, 3)
    async with camera.open(clock) as stream:
        after = await take(stream, 3)
    assert after[0].key_frame
    captured = [unit.capture_us for unit in before + after]
    assert captured == sorted(set(captured))


async def test_a_second_lesson_begins_at_its_own_zero(camera: Camera) -> None:
    async with camera.open(LessonClock.start()) as stream:
        await take(stream, 20)
    clock = LessonClock.start()
    async with camera.open(clock) as stream:
        (first,) = await take(stream, 1)
        assert first.capture_us <= clock.now_us() + INTERVAL_US  # on the first lesson's time line it would lie ahead


async def test_closing_releases_its_threads(camera: Camera) -> None:
    before = set(threading.enumerate())
    async with camera.open(LessonClock.start()) as stream:
        await take(stream, 2)
    # asyncio's own: its executor's, and those that reap a process and are about to end.
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in left if not name.startswith(("asyncio_", "asyncio-waitpid-"))}


async def test_a_camera_that_nobody_reads_can_be_closed(camera: Camera) -> None:
    async with camera.open(LessonClock.start()):
        pass


async def test_a_still_is_a_jpeg_of_full_size(adapter: Adapter, camera: Camera) -> None:
    async with camera.open(LessonClock.start()) as stream:
        await take(stream, 1)
        still = await stream.still()
    with Image.open(BytesIO(still)) as image:
        image.load()
        assert image.format == "JPEG"
        if adapter.larger_stills:
            assert image.width >= WIDTH
            assert image.width / image.height == pytest.approx(WIDTH / HEIGHT, rel=0.01)
        else:
            assert image.size == (WIDTH, HEIGHT)
