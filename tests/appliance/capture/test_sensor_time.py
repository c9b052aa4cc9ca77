"""Sensor stamps on the lesson clock: right ones are kept, odd ones survived, and time rises in any case."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.capture.clock import LessonClock
from appliance.capture.sensor_time import Pace, SensorTime

STARTED_US = 5_000_000_000
INTERVAL_US = 33_333


def sensor_time() -> SensorTime:
    """A sensor in a lesson that began at ``STARTED_US``."""
    return SensorTime(LessonClock(started_boot_us=STARTED_US, started_unix_us=0))


def test_a_good_stamp_is_the_capture_time() -> None:
    time = sensor_time()
    stamps = [STARTED_US + n * INTERVAL_US for n in range(5)]
    assert [time.lesson_us(stamp, stamp + 20_000) for stamp in stamps] == [n * INTERVAL_US for n in range(5)]


@pytest.mark.parametrize(
    "odd",
    [None, 0, STARTED_US, STARTED_US - 10_000_000, STARTED_US + 60_000_000],
    ids=["none", "zero", "repeated", "long ago", "future"],
)
def test_an_odd_stamp_is_dated_by_its_arrival_less_the_usual_delay(odd: int | None) -> None:
    time = sensor_time()
    assert time.lesson_us(STARTED_US, STARTED_US + 20_000) == 0
    assert time.lesson_us(odd, STARTED_US + 20_000 + INTERVAL_US) == INTERVAL_US
    assert time.lesson_us(STARTED_US + 2 * INTERVAL_US, STARTED_US + 20_000 + 2 * INTERVAL_US) == 2 * INTERVAL_US


@given(
    stamps=st.lists(st.none() | st.integers(STARTED_US - 2_000_000, STARTED_US + 4_000_000), min_size=2, max_size=30),
    waits=st.lists(st.integers(0, 100_000), min_size=30, max_size=30),
)
def test_times_rise_and_never_lie_ahead(stamps: list[int | None], waits: list[int]) -> None:
    time = sensor_time()
    arrivals = [STARTED_US + total for total in itertools.accumulate(waits)][: len(stamps)]
    captured = [time.lesson_us(stamp, arrived) for stamp, arrived in zip(stamps, arrivals, strict=True)]
    assert captured == sorted(set(captured))
    # By more than the µs that each of several pictures at once is put after the one before.
    ahead = [us - (arrived - STARTED_US) for us, arrived in zip(captured, arrivals, strict=True)]
    assert max(ahead) < len(stamps)


@pytest.mark.parametrize("given_fps", [30.3, 60, 300])
def test_a_camera_that_is_too_quick_is_thinned_to_the_rate_that_was_asked_for(given_fps: float) -> None:
    pace = Pace(30)
    taken = sum(pace.due(round(n * 1_000_000 / given_fps)) for n in range(round(10 * given_fps)))
    assert taken == pytest.approx(300, rel=0.01)


def test_a_camera_that_is_slow_or_jitters_loses_nothing() -> None:
    pace = Pace(30)
    jitter = itertools.cycle((0, 3_000, -3_000))
    assert all(pace.due(n * INTERVAL_US + next(jitter)) for n in range(300))
    slow = Pace(30)
    assert all(slow.due(n * 50_000) for n in range(100))


def test_a_lower_rate_takes_pictures_evenly_and_the_full_one_returns_at_once() -> None:
    pace = Pace(30)
    assert pace.set_frame_rate(10) == 10
    taken = [n for n in range(31) if pace.due(n * INTERVAL_US)]
    assert taken == list(range(0, 31, 3))
    assert pace.set_frame_rate(300) == 30
    assert all(pace.due(n * INTERVAL_US) for n in range(31, 61))
