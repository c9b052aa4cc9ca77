"""Chalk on the board: a page's strokes become a list of pixels in the order in which they appear, and are wiped.

The board at any time is the clean board with the first *n* pixels of that list: drawing on is cheap, and jumping to any
time gives the very same board. Not here: what is written (``lesson.py``) and when (``timeline.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.capture.simulated.room import Pixels, Plane, Planes, View, halved, soft_noise, to_chroma, to_luma
from appliance.capture.simulated.timeline import PagePlan, TimedStroke, wiped_at_s

STROKE_WIDTH = 4.0  # scene units: a stick's worn edge
MIN_RADIUS = 0.7  # pixels: thinner lines would vanish from small pictures
SAMPLE_STEP = 0.6  # pixels between stamps of the stick
OPACITY = 0.93

Indices = npt.NDArray[np.int64]
Milliseconds = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PlaneInk:
    """Changes of one plane, in order of time: at ``when_ms[i]`` the pixel ``index[i]`` becomes ``value[i]``."""

    index: Indices
    when_ms: Milliseconds
    value: Plane

    def count_at(self, page_ms: float) -> int:
        """How many changes have happened by then."""
        return int(np.searchsorted(self.when_ms, page_ms, side="right"))

    def apply(self, plane: Plane, first: int, last: int) -> None:
        """Make the changes ``first`` … ``last`` (excluded) in a contiguous plane."""
        plane.reshape(-1)[self.index[first:last]] = self.value[first:last]


@dataclass(frozen=True)
class PageInk:
    """A page's changes in all three planes."""

    luma: PlaneInk
    blue: PlaneInk
    red: PlaneInk


def grain(view: View) -> Pixels:
    """How much chalk each place of the board takes, 0…1: its surface is rough."""
    shape = (view.height, view.width)
    fine = np.random.default_rng(7).uniform(0, 1, shape).astype(np.float32)
    rough = np.float32(0.5) + np.float32(0.5) * soft_noise(shape, (2.6, 2.6), 8)
    taken: Pixels = np.clip(0.52 + 0.34 * fine + 0.3 * rough, 0, 1).astype(np.float32) * np.float32(OPACITY)
    return taken


def ink_page(plan: PagePlan, view: View, blank: Planes, roughness: Pixels) -> PageInk:
    """Rasterise a page."""
    cover, when_ms = _covered(plan.strokes, view)
    places = np.flatnonzero(cover)
    colours = _colours(plan.strokes, when_ms[places])
    amount: Pixels = (cover[places].astype(np.float32) / np.float32(255)) * roughness.reshape(-1)[places]
    luma = _mixed(blank.luma.reshape(-1)[places], to_luma(colours), amount)
    wiped = _wiped_ms(plan, view, places, view.width, 1)
    return PageInk(
        _in_order(places, when_ms[places], luma, wiped, blank.luma),
        *_chroma(plan, view, blank, places, when_ms, colours, amount),
    )


def _chroma(
    plan: PagePlan, view: View, blank: Planes, places: Indices, when_ms: Milliseconds, colours: Pixels, amount: Pixels
) -> list[PlaneInk]:
    shape = (view.height, view.width)
    amounts, blues, reds = (np.zeros(shape, np.float32) for _ in range(3))
    blue, red = to_chroma(colours)
    amounts.reshape(-1)[places], blues.reshape(-1)[places], reds.reshape(-1)[places] = (
        amount,
        blue * amount,
        red * amount,
    )
    times = np.full(shape, np.iinfo(np.int64).max)
    times.reshape(-1)[places] = when_ms[places]
    earliest = np.minimum(
        np.minimum(times[::2, ::2], times[1::2, ::2]), np.minimum(times[::2, 1::2], times[1::2, 1::2])
    )
    share = halved(amounts).reshape(-1)
    cells = np.flatnonzero(share)
    wiped = _wiped_ms(plan, view, cells, view.width // 2, 2)
    found = []
    for clean, weighted in ((blank.blue, blues), (blank.red, reds)):
        mixed = clean.reshape(-1)[cells] * (1 - share[cells]) + halved(weighted).reshape(-1)[cells]
        value = np.rint(mixed).astype(np.uint8)
        found.append(_in_order(cells, earliest.reshape(-1)[cells], value, wiped, clean))
    return found


def _covered(strokes: list[TimedStroke], view: View) -> tuple[Plane, Milliseconds]:
    """For each pixel how much of it chalk covers, and when it does so most."""
    x, y, ms = _samples(strokes, view)
    radius = max(MIN_RADIUS, STROKE_WIDTH / 2 * view.scale)
    reach = int(np.ceil(radius + 0.5))
    offsets = np.arange(-reach, reach + 1)
    best = np.zeros(view.width * view.height, np.uint32)
    across, down = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    for dy in offsets:
        for dx in offsets:
            px, py = across + dx, down + dy
            distance = np.hypot(px + 0.5 - x, py + 0.5 - y)
            cover = (np.clip(radius + 0.5 - distance, 0, 1) * 255).astype(np.uint32)
            inside = (cover > 0) & (px >= 0) & (py >= 0) & (px < view.width) & (py < view.height)
            # The most cover wins; among equals the earliest.
            rank = cover[inside] << 24 | (0xFFFFFF - ms[inside]).astype(np.uint32)
            np.maximum.at(best, py[inside] * view.width + px[inside], rank)
    return (best >> 24).astype(np.uint8), 0xFFFFFF - (best & 0xFFFFFF).astype(np.int64)


def _samples(strokes: list[TimedStroke], view: View) -> tuple[Pixels, Pixels, Milliseconds]:
    found = []
    for stroke in strokes:
        length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke.points, axis=0).T))]) * view.scale
        along = np.linspace(0, length[-1], max(2, int(length[-1] / SAMPLE_STEP) + 1))
        x, y, s = (np.interp(along, length, values) for values in (*stroke.points.T, stroke.at_s))
        found.append(np.stack([x * view.scale + view.left, y * view.scale + view.top, s * 1000]))
    x, y, ms = np.concatenate(found, axis=1)
    return x.astype(np.float32), y.astype(np.float32), ms.astype(np.int64)


def _colours(strokes: list[TimedStroke], when_ms: Milliseconds) -> Pixels:
    starts = np.array([int(stroke.at_s[0] * 1000) for stroke in strokes])
    table = np.array([stroke.chalk.value for stroke in strokes], np.float32)
    return table[np.clip(np.searchsorted(starts, when_ms, side="right") - 1, 0, None)]


def _mixed(clean: Plane, chalk: Pixels, amount: Pixels) -> Plane:
    return np.rint(clean + (chalk - clean) * amount).astype(np.uint8)


def _wiped_ms(plan: PagePlan, view: View, places: Indices, width: int, step: int) -> Milliseconds:
    y, x = np.divmod(places, width)
    scene_x = (x * step - view.left) / view.scale
    scene_y = (y * step - view.top) / view.scale
    return (wiped_at_s(plan, scene_x, scene_y) * 1000).astype(np.int64)


def _in_order(places: Indices, when: Milliseconds, value: Plane, wiped: Milliseconds, clean: Plane) -> PlaneInk:
    index = np.concatenate([places, places])
    when_ms = np.concatenate([when, wiped])
    values = np.concatenate([value, clean.reshape(-1)[places]])
    order = np.argsort(when_ms, kind="stable")
    return PlaneInk(index[order], when_ms[order], values[order])
