"""The simulated classroom in one size: draws what a camera there would see at any lesson time, and knows the truth.

Layers, from back to front: clean board, chalk, daylight, teacher, sensor noise, time code. Not here: pacing, encoding.
Everything is a function of lesson time alone; the chalk is drawn on from picture to picture only because that is cheap.
"""

from __future__ import annotations

import math

import numpy as np

from appliance.capture.base import Luma
from appliance.capture.simulated import timecode
from appliance.capture.simulated.chalk import PageInk, PlaneInk, grain, ink_page
from appliance.capture.simulated.room import Planes, View, light_pattern, paint_room
from appliance.capture.simulated.teacher import Teacher
from appliance.capture.simulated.timeline import Timeline

NOISE = 1.1  # standard deviation in luma steps: a good sensor in a lit room
NOISE_LIMIT = 3  # with BLACK…WHITE kept inside 16…235 nothing can wrap around when noise and light are added
NOISE_MARGIN = 64  # the tile is this much larger than the picture, and is laid elsewhere for each picture
LIGHT_PERIODS_S = (37.0, 61.0)  # clouds
LIGHT_STEPS = 5.0  # luma steps between bright and dull
LIGHT_EVERY_US = 500_000


class Classroom:
    """Paints pictures of one size. Owned by one thread, except for ``board``, which anyone may call."""

    def __init__(self, width: int, height: int) -> None:
        self._view = View(width, height)
        self._timeline = Timeline()
        self._blank = paint_room(self._view)
        roughness = grain(self._view)
        self._pages = [ink_page(plan, self._view, self._blank, roughness) for plan in self._timeline.plans]
        self._teacher = Teacher(self._view)
        self._pattern = light_pattern(self._view)
        self._noise = _noise_tile(width, height)
        self._board = _BoardInProgress(self._blank, self._pages)
        self._light = np.zeros((height, width), np.uint8)
        self._light_slot = -1

    def draw(self, picture: Planes, lesson_us: int) -> None:
        """What the camera sees, into writable planes of the classroom's size."""
        index, page_s = self._timeline.page_at(lesson_us)
        board = self._board.at(index, page_s * 1000)
        np.add(board.luma, self._light_at(lesson_us), out=picture.luma)
        picture.blue[...], picture.red[...] = board.blue, board.red
        self._teacher.draw(picture, self._timeline.hand_at(lesson_us), lesson_us)
        np.add(picture.luma, self._noise_at(lesson_us), out=picture.luma)
        timecode.draw(picture.luma, picture.blue, picture.red, lesson_us)

    def board(self, lesson_us: int) -> Luma:
        """The picture's luma without teacher, noise, changing light and time code."""
        index, page_s = self._timeline.page_at(lesson_us)
        luma = self._blank.luma.copy()
        ink = self._pages[index].luma
        ink.apply(luma, 0, ink.count_at(page_s * 1000))
        return luma

    def _light_at(self, lesson_us: int) -> Luma:
        slot = lesson_us // LIGHT_EVERY_US
        if slot != self._light_slot:
            self._light_slot = slot
            s = slot * LIGHT_EVERY_US / 1_000_000
            level = sum(math.sin(2 * math.pi * s / period) for period in LIGHT_PERIODS_S) / len(LIGHT_PERIODS_S)
            steps = np.rint(self._pattern * np.float32(level * LIGHT_STEPS))
            self._light = steps.astype(np.int8).view(np.uint8)  # adding modulo 256 is adding a signed number
        return self._light

    def _noise_at(self, lesson_us: int) -> Luma:
        place = (lesson_us // 1000) * 2654435761 & 0xFFFFFFFF  # Knuth's multiplicative hash scatters the places
        x, y = place % NOISE_MARGIN, place // NOISE_MARGIN % NOISE_MARGIN
        height, width = self._light.shape
        return self._noise[y : y + height, x : x + width]


class _BoardInProgress:
    """The board as of the last picture; the next one adds what was written since."""

    def __init__(self, blank: Planes, pages: list[PageInk]) -> None:
        self._blank = blank
        self._pages = pages
        self._planes = Planes(*(plane.copy() for plane in blank))
        self._page = 0
        self._done = [0, 0, 0]

    def at(self, page: int, page_ms: float) -> Planes:
        """The board's planes at that time; they are the caller's to read until the next call."""
        inks = self._inks(page)
        wanted = [ink.count_at(page_ms) for ink in inks]
        if page != self._page or any(want < done for want, done in zip(wanted, self._done, strict=True)):
            for plane, clean in zip(self._planes, self._blank, strict=True):
                plane[...] = clean
            self._page, self._done = page, [0, 0, 0]
        for ink, plane, done, want in zip(inks, self._planes, self._done, wanted, strict=True):
            ink.apply(plane, done, want)
        self._done = wanted
        return self._planes

    def _inks(self, page: int) -> tuple[PlaneInk, PlaneInk, PlaneInk]:
        ink = self._pages[page]
        return ink.luma, ink.blue, ink.red


def _noise_tile(width: int, height: int) -> Luma:
    shape = (height + NOISE_MARGIN, width + NOISE_MARGIN)
    noise = np.random.default_rng(9).standard_normal(shape, np.float32) * np.float32(NOISE)
    limited = np.clip(np.rint(noise), -NOISE_LIMIT, NOISE_LIMIT).astype(np.int8)
    tile: Luma = limited.view(np.uint8)
    return tile
