"""The lamp's patterns: DESIGN.md's table, and what every one of them must keep."""

from __future__ import annotations

from typing import get_args

from appliance.hw.patterns import PATTERNS
from wire.messages import Tally

MAX_FLASHES_PER_S = 3  # WCAG 2.3.1


def test_the_table_of_the_design() -> None:
    assert {tally: (pattern.colours, pattern.rhythm) for tally, pattern in PATTERNS.items()} == {
        "off": ((), "off"),
        "connecting": (("amber",), "slow_blink"),
        "on_air": (("red",), "steady"),
        "not_live": (("red", "amber"), "slow_alternating"),
        "curtain": (("white",), "steady"),
        "fault": (("red",), "fast_blink"),
    }


def test_every_tally_has_a_pattern_of_its_own() -> None:
    assert set(PATTERNS) == set(get_args(Tally))
    assert len({pattern.beats for pattern in PATTERNS.values()}) == len(PATTERNS)


def test_red_alone_never_tells_two_states_apart_by_colour_only() -> None:
    red = [pattern.rhythm for pattern in PATTERNS.values() if pattern.colours == ("red",)]
    assert len(red) == len(set(red))


def test_no_pattern_flashes_more_than_three_times_a_second() -> None:
    for pattern in PATTERNS.values():
        if len(pattern.beats) > 1:
            assert 1000 / sum(beat.ms for beat in pattern.beats) < MAX_FLASHES_PER_S
