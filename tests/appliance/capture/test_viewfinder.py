"""The viewfinder: pictures for a person, of whatever the camera encodes, and a figure that knows sharp from soft."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from appliance.capture.base import AccessUnit, Luma
from appliance.capture.clock import LessonClock
from appliance.capture.pictures import new_frame, plane_views
from appliance.capture.sharpness import sharpness
from appliance.capture.simulated.camera import SimulatedCamera
from appliance.capture.simulated.classroom import Classroom
from appliance.capture.simulated.room import Planes
from appliance.capture.viewfinder import MOST_WAITING, Viewfinder

WIDTH, HEIGHT, FPS = 320, 240, 10
WITHIN_S = 10


def _board() -> Luma:
    frame = new_frame(640, 480)
    Classroom(640, 480).draw(Planes(*plane_views(frame)), 30_000_000)
    return plane_views(frame)[0].copy()


def _softened(luma: Luma, pixels: int) -> Luma:
    """As a lens that is so far out of focus."""
    soft = luma.astype(np.float32)
    for axis in (0, 1):
        soft = np.mean([np.roll(soft, shift, axis) for shift in range(-pixels, pixels + 1)], axis=0)
    return soft.astype(np.uint8)


def test_each_turn_out_of_focus_lowers_the_figure() -> None:
    board = _board()
    figures = [sharpness(_softened(board, pixels)) for pixels in (0, 1, 2, 4)]
    assert figures == sorted(figures, reverse=True)
    assert figures[0] > 2 * figures[1]


def test_a_lamp_that_is_switched_off_is_no_better_and_no_worse_focus() -> None:
    board = _board()
    assert sharpness((board // 2).astype(np.uint8)) == pytest.approx(sharpness(board), rel=0.15)


def test_a_blank_wall_is_not_sharp() -> None:
    assert sharpness(np.full((240, 320), 90, np.uint8)) == 0


async def _units(count: int) -> list[AccessUnit]:
    camera = SimulatedCamera(WIDTH, HEIGHT, FPS, key_frame_every_s=0.5)
    async with camera.open(LessonClock.start()) as stream:
        units = []
        async for unit in stream:
            units.append(unit)
            if len(units) == count:
                break
    return units


@asynccontextmanager
async def running(finder: Viewfinder) -> AsyncIterator[None]:
    task = asyncio.create_task(finder.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_who_looks_gets_the_newest_picture_as_jpeg_of_its_size() -> None:
    finder = Viewfinder()
    for unit in await _units(3):
        finder.picture(unit)
    async with running(finder):
        sight = await finder.next(0, WITHIN_S)
    assert sight is not None
    with Image.open(BytesIO(sight.jpeg)) as picture:
        assert picture.size == (WIDTH, HEIGHT) == (sight.width, sight.height)
    assert sight.shades > 2
    assert sight.sharpness > 0


async def test_a_picture_that_is_damaged_costs_no_more_than_the_way_to_the_next_key_frame() -> None:
    asked: list[str] = []
    finder = Viewfinder(lambda: asked.append("key frame"))
    units = await _units(6)
    async with running(finder):
        finder.picture(AccessUnit(b"\x00\x00\x00\x01\x65junk", True, 0))
        for unit in units:
            finder.picture(unit)
        assert await finder.next(0, WITHIN_S) is not None


async def test_a_decoder_that_falls_behind_forgets_what_is_old_and_asks_for_a_key_frame() -> None:
    asked: list[str] = []
    finder = Viewfinder(lambda: asked.append("key frame"))
    first, *_ = units = await _units(2)
    for _ in range(MOST_WAITING + 5):
        finder.picture(AccessUnit(units[1].data, False, 1))
    assert asked
    finder.picture(first)
    async with running(finder):
        assert (await finder.next(0, WITHIN_S)) is not None


async def test_who_looks_at_a_camera_that_gives_nothing_is_not_kept_waiting() -> None:
    assert await Viewfinder().next(0, 0.01) is None
