"""When each stroke of the lesson is drawn, where the hand is meanwhile, and when the board is wiped. Pure.

Turns ``lesson.py``'s pages into one cycle that repeats for ever. Not here: pixels.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from appliance.capture.simulated.lesson import Chalk, Gesture, Item, pages, strokes_of
from appliance.capture.simulated.lettering import Points

WRITING_PX_S = 420.0  # of the 1280-wide scene: a brisk teacher
MOVING_PX_S = 1100.0
LIFT_S = 0.035
FIRST_STROKE_S = 0.4
WIPE_BANDS, WIPE_BAND_S = 4, 1.6
WIPE_TOP, WIPE_BOTTOM, WIPE_LEFT, WIPE_RIGHT = 34.0, 596.0, 60.0, 1220.0
AFTER_WIPE_S = 1.0
TRACK_HZ = 20

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TimedStroke:
    """A stroke, and when the chalk touches each of its points, in seconds from the page's begin."""

    points: Points
    at_s: Floats
    chalk: Chalk


@dataclass
class PagePlan:
    """One page in time. ``hand`` rows are (second, x, y, engaged): engaged 0 means the arm rests."""

    strokes: list[TimedStroke] = field(default_factory=list)
    hand: list[tuple[float, float, float, float]] = field(default_factory=list)
    wipe_s: float = 0.0
    length_s: float = 0.0


def plan_page(items: list[Item]) -> PagePlan:
    """Give every item of a page its time."""
    plan = PagePlan()
    now, at = FIRST_STROKE_S, np.array([640.0, 300.0])
    for item in items:
        if isinstance(item, Gesture):
            now = _gesture(plan, item, now, at)
            continue
        for points in strokes_of(item):
            now += LIFT_S + float(np.hypot(*(points[0] - at))) / MOVING_PX_S
            steps = np.hypot(*np.diff(points, axis=0).T)
            at_s = now + np.concatenate([[0.0], np.cumsum(steps)]) / WRITING_PX_S
            plan.strokes.append(TimedStroke(points, at_s, item.chalk))
            plan.hand += [(float(s), float(x), float(y), 1.0) for s, (x, y) in zip(at_s, points, strict=True)]
            now, at = float(at_s[-1]), points[-1]
    _wipe(plan, now)
    return plan


def _gesture(plan: PagePlan, gesture: Gesture, now: float, at: Points) -> float:
    place, engaged = (gesture.place, 1.0) if gesture.place else ((1300.0, 430.0), 0.0)
    arrived = now + min(0.8, gesture.seconds / 3)
    plan.hand += [(now, float(at[0]), float(at[1]), 1.0), (arrived, *place, engaged)]
    plan.hand.append((now + gesture.seconds, place[0] + 12 * engaged, place[1], engaged))
    return now + gesture.seconds


def _wipe(plan: PagePlan, now: float) -> None:
    plan.wipe_s = now + 0.8
    height = (WIPE_BOTTOM - WIPE_TOP) / WIPE_BANDS
    for band in range(WIPE_BANDS):
        start, y = plan.wipe_s + band * WIPE_BAND_S, WIPE_TOP + (band + 0.5) * height
        ends = (WIPE_RIGHT, WIPE_LEFT) if band % 2 == 0 else (WIPE_LEFT, WIPE_RIGHT)
        plan.hand += [(start, ends[0], y, 1.0), (start + WIPE_BAND_S * 0.98, ends[1], y, 1.0)]
    plan.length_s = plan.wipe_s + WIPE_BANDS * WIPE_BAND_S + AFTER_WIPE_S


def wiped_at_s(plan: PagePlan, x: Floats, y: Floats) -> Floats:
    """When the sponge passes over these places, in seconds from the page's begin."""
    height = (WIPE_BOTTOM - WIPE_TOP) / WIPE_BANDS
    wavy = y + 9 * np.sin(x / 47) + 5 * np.sin(x / 19)  # a hand's band is not ruled
    band = np.clip((wavy - WIPE_TOP) // height, 0, WIPE_BANDS - 1)
    across = np.clip((x - WIPE_LEFT) / (WIPE_RIGHT - WIPE_LEFT), 0, 1)
    across = np.where(band % 2 == 0, 1 - across, across)
    wiped: Floats = plan.wipe_s + (band + np.clip(across + 0.012 * np.sin(y / 11), 0, 1)) * WIPE_BAND_S
    return wiped


@dataclass(frozen=True)
class Hand:
    """Where the teacher's hand and body are. ``engaged`` 1: hand at the board, 0: arm hangs."""

    x: float
    y: float
    engaged: float
    body_x: float
    crouch: float
    speed: float


class Timeline:
    """The whole cycle: which page is on, how far it is, where the hand is. Deterministic by lesson time."""

    def __init__(self) -> None:
        self.plans = [plan_page(items) for items in pages()]
        self._starts_s = [0.0, *np.cumsum([plan.length_s for plan in self.plans]).tolist()]
        self.cycle_s: float = self._starts_s[-1]
        self._track = self._tracked()

    def page_at(self, lesson_us: int) -> tuple[int, float]:
        """The index of the page on the board, and the seconds since it began."""
        now = lesson_us / 1_000_000 % self.cycle_s
        index = min(bisect_right(self._starts_s, now) - 1, len(self.plans) - 1)
        return index, now - self._starts_s[index]

    def hand_at(self, lesson_us: int) -> Hand:
        """The teacher at that time."""
        position = lesson_us / 1_000_000 % self.cycle_s * TRACK_HZ
        before = int(position) % self._track.shape[1]
        part = position - int(position)
        values = self._track[:, before] * (1 - part) + self._track[:, (before + 1) % self._track.shape[1]] * part
        return Hand(*(float(value) for value in values))

    def _tracked(self) -> Floats:
        rows = [
            (start + s, x, y, engaged)
            for start, plan in zip(self._starts_s, self.plans, strict=False)
            for s, x, y, engaged in plan.hand
        ]
        s, x, y, engaged = np.array(rows).T
        grid = np.arange(int(self.cycle_s * TRACK_HZ)) / TRACK_HZ
        x, y, engaged = (np.interp(grid, s, value, period=self.cycle_s) for value in (x, y, engaged))
        body = np.clip(x + np.where(engaged > 0.5, 128.0, 0.0), 150, 1180)  # left-handed: the line stays readable
        body = _smoothed(body, 1.8)
        crouch = _smoothed(np.clip((y - 330) * 0.3, -25, 70) * engaged, 1.0)
        return np.stack([x, y, _smoothed(engaged, 0.5), body, crouch, np.gradient(body) * TRACK_HZ])


def _smoothed(values: Floats, seconds: float) -> Floats:
    """Averaged around each place of the cycle: a body anticipates and follows."""
    half = int(seconds * TRACK_HZ)
    window = np.hanning(2 * half + 1)
    padded = np.concatenate([values[-half:], values, values[:half]])
    return np.convolve(padded, window / window.sum(), mode="valid")
