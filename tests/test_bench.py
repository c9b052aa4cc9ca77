"""The benches' arithmetic: a figure that is computed wrongly is worse than none."""

from __future__ import annotations

from typing import Any

import pytest

from bench.fanout.peer import Stream
from bench.figures import Figure, percentile, table
from bench.skew import skew_ms
from bench.soak import growth


@pytest.mark.parametrize(
    ("samples", "p95"), [([7], 7), (range(1, 101), 95), (range(100, 0, -1), 95), ([1, 2, 3], 3), (range(1, 21), 19)]
)
def test_the_95th_percentile_is_a_sample_that_95_of_100_stay_at_or_below(samples: Any, p95: float) -> None:
    assert percentile(list(samples), 95) == p95


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [({}, ""), ({"median_at_most": 2}, "held"), ({"median_at_most": 2, "p95_at_most": 8}, "missed")],
)
def test_a_promise_is_held_when_every_limit_is(limits: dict[str, float], verdict: str) -> None:
    figure = Figure("open", "ms", (1, 2, 9), **limits)
    assert (figure.median, figure.p95, figure.verdict) == (2, 9, verdict)
    assert verdict in table([figure]).splitlines()[1]


def test_skew_is_picture_time_at_the_onset_of_a_syllable_that_began_on_a_whole_second() -> None:
    shown = [{"shown_ms": 500.0, "capture_us": 2_990_000}, {"shown_ms": 533.0, "capture_us": 3_023_000}]
    assert skew_ms(510.0, shown) == pytest.approx(0)  # 2.990 s was shown 10 ms ago: exactly on the second
    assert skew_ms(540.0, shown) == pytest.approx(30)  # the voice is late
    assert skew_ms(500.0, shown) == pytest.approx(-10)  # the voice is early
    assert skew_ms(400.0, shown) is None  # nothing was shown yet
    assert skew_ms(533.0 + 400, shown) is None  # a syllable in the middle of a second


def test_a_gap_is_closed_by_what_comes_late_and_numbers_wrap() -> None:
    stream = Stream(highest=65_533)
    for sequence in (65_534, 65_535, 1, 2):
        stream.take(sequence)
    assert stream.gaps == 1
    stream.take(0)
    assert (stream.gaps, stream.packets) == (0, 5)


def test_growth_is_that_of_the_second_half_whatever_the_start_and_a_spike_did() -> None:
    warm_up = [(float(at_s), 200.0 + at_s) for at_s in range(100)]
    flat = [(float(at_s), 300.0) for at_s in range(100, 200)]
    assert growth(warm_up + flat) == pytest.approx(0)
    spiked = [(at_s, 900.0 if at_s == 150 else value) for at_s, value in flat]
    assert growth(warm_up + spiked) == pytest.approx(0)
    leaking = [(at_s, 300.0 + 0.05 * (at_s - 100)) for at_s, _ in flat]
    assert growth(warm_up + leaking) == pytest.approx(0.05 * 99)
