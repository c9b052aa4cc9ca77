"""The lamp's patterns: DESIGN.md's table, and what every one of them must keep."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hw.patterns import NOTICE, PATTERNS, Beat, Pattern, colour_at, pattern_of, until_change_ms
from appliance.lesson import Signal
from wire.messages import Tally

MAX_FLASHES_PER_S = 3  # WCAG 2.3.1


def test_the_table_of_the_design() -> None:
    assert {tally: (pattern.colours, pattern.rhythm) for tally, pattern in PATTERNS.items()} == {
        "off": ((), "off"),
        "connecting": (("amber",), "slow_blink"),
        "on_air": (("red",), "steady"),
        "unrecorded": (("red",), "double_gap"),
        "not_live": (("red", "amber"), "slow_alternating"),
        "curtain": (("white",), "steady"),
        "preview": (("amber",), "double_blink"),
        "fault": (("red",), "fast_blink"),
    }


def test_every_tally_has_a_pattern_of_its_own() -> None:
    assert set(PATTERNS) == {*get_args(Tally), "preview", "unrecorded"}
    assert len({pattern.beats for pattern in (*PATTERNS.values(), NOTICE)}) == len(PATTERNS) + 1


@pytest.mark.parametrize("tally", sorted(PATTERNS))
def test_a_notice_is_told_while_idle_and_never_hides_what_the_lamp_tells_of_a_camera(tally: Signal) -> None:
    assert pattern_of(tally, notice=False) == PATTERNS[tally]
    assert pattern_of(tally, notice=True) == (NOTICE if tally == "off" else PATTERNS[tally])


def test_no_notice_looks_like_an_open_camera() -> None:
    closed = {PATTERNS["curtain"].colours, PATTERNS["off"].colours}
    assert NOTICE.colours in closed


def test_a_notice_leaves_the_lamp_dark_nearly_all_the_time_as_idle_is() -> None:
    lit_ms = sum(beat.ms for beat in NOTICE.beats if beat.colour is not None)
    assert lit_ms / sum(beat.ms for beat in NOTICE.beats) < 0.1


def test_red_alone_never_tells_two_states_apart_by_colour_only() -> None:
    red = [pattern.rhythm for pattern in PATTERNS.values() if pattern.colours == ("red",)]
    assert len(red) == len(set(red))


def test_no_pattern_flashes_more_than_three_times_a_second() -> None:
    for pattern in (*PATTERNS.values(), NOTICE):
        if len(pattern.beats) > 1:
            flashes = sum(beat.colour is not None for beat in pattern.beats)
            assert flashes * 1000 / sum(beat.ms for beat in pattern.beats) < MAX_FLASHES_PER_S


@pytest.mark.parametrize(
    ("tally", "at_ms", "colour", "left_ms"),
    [
        ("off", 0, None, None),
        ("on_air", 123_456_789, "red", None),
        ("curtain", 999, "white", None),
        ("connecting", 0, "amber", 800),
        ("connecting", 799, "amber", 1),
        ("connecting", 800, None, 800),
        ("connecting", 1600, "amber", 800),
        ("not_live", 1199, "red", 1),
        ("not_live", 1200, "amber", 1200),
        ("not_live", 2400 * 1000 + 2399, "amber", 1),
        ("fault", 199, "red", 1),
        ("fault", 399, None, 1),
        ("fault", 400, "red", 200),
    ],
)
def test_what_is_lit_at_a_time_and_for_how_long(tally: Tally, at_ms: int, colour: str | None, left_ms: int) -> None:
    assert colour_at(PATTERNS[tally], at_ms) == colour
    assert until_change_ms(PATTERNS[tally], at_ms) == left_ms


@given(st.sampled_from([*PATTERNS.values(), NOTICE]), st.integers(0, 10**9))
def test_what_is_lit_stays_lit_for_exactly_as_long_as_is_said(pattern: Pattern, at_ms: int) -> None:
    left_ms = until_change_ms(pattern, at_ms)
    if left_ms is not None:
        assert left_ms > 0
        assert colour_at(pattern, at_ms + left_ms - 1) == colour_at(pattern, at_ms)
        assert colour_at(pattern, at_ms + left_ms) != colour_at(pattern, at_ms)


def test_a_pattern_without_time_is_refused_not_looped_for_ever() -> None:
    with pytest.raises((ValueError, ZeroDivisionError)):
        colour_at(Pattern("off", (Beat(None, 0),)), 0)
