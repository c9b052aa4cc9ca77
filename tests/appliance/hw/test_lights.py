"""What the lamps of a real panel show, exactly: colours on three pins, fading holds, lights in buttons."""

from __future__ import annotations

from typing import get_args

import pytest

from appliance.hw.base import Face, Fault
from appliance.hw.gpio.lights import FADES_TO, WINKS, LampKind, Lights, lights_at
from appliance.hw.patterns import PATTERNS
from wire.messages import KitState, Tally


def lights(face: Face, at_ms: int = 0, lamp: LampKind = "rgb", *, pwm: bool = True, start: bool = False) -> Lights:
    return lights_at(face, at_ms, lamp, pwm=pwm, start_has_light=start)


def shows(tally: Tally, at_ms: int = 0, lamp: LampKind = "rgb", *, pwm: bool = True) -> tuple[float, float, float]:
    return lights(Face(tally=tally), at_ms, lamp, pwm=pwm).tally


@pytest.mark.parametrize(
    ("tally", "rgb", "leds"),
    [
        ("off", (0, 0, 0), (0, 0, 0)),
        ("connecting", (1, 0.35, 0), (0, 1, 0)),
        ("on_air", (1, 0, 0), (1, 0, 0)),
        ("curtain", (1, 1, 1), (0, 0, 1)),
    ],
)
def test_each_colour_on_its_pins(tally: Tally, rgb: tuple[float, ...], leds: tuple[float, ...]) -> None:
    assert shows(tally) == rgb
    assert shows(tally, lamp="leds") == leds
    assert shows(tally, lamp="none") == (0, 0, 0)


def test_without_pwm_amber_is_red_and_green_and_nothing_is_half_lit() -> None:
    assert shows("connecting", pwm=False) == (1, 1, 0)
    for tally in get_args(Tally):
        for at_ms in range(0, 2400, 100):
            assert set(shows(tally, at_ms, pwm=False)) <= {0, 1}


def test_the_rhythm_is_the_patterns() -> None:
    assert [shows("fault", at_ms) for at_ms in (0, 199, 200, 399, 400)] == [
        (1, 0, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0), (1, 0, 0),
    ]  # fmt: skip
    assert shows("not_live", 1200) == (1, 0.35, 0)


@pytest.mark.parametrize("tally", sorted(set(PATTERNS) - {"off", "fault", "connecting"}))
def test_a_hold_fades_the_tally_that_alone_can_show_it_but_never_puts_it_out(tally: Tally) -> None:
    levels = [sum(lights(Face(tally=tally, hold=part / 10, hold_for="end")).tally) for part in range(11)]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == pytest.approx(levels[0] * FADES_TO)
    assert levels[-1] > 0


def test_a_start_button_with_a_light_counts_the_hold_down_and_the_tally_stays() -> None:
    for part in range(11):
        shown = lights(Face(state="live", tally="on_air", hold=part / 10, hold_for="end"), start=True)
        assert shown.start == pytest.approx(1 - part / 10)
        assert shown.tally == (1, 0, 0)


def test_a_notice_flashes_white_while_idle_and_not_in_a_lesson() -> None:
    notice = Fault("boot_file_refused", "parta.toml: wrong")
    idle, live = Face(notice=notice), Face(state="live", tally="on_air", notice=notice)
    levels = [
        lights_at(idle, at_ms, "leds", pwm=False, start_has_light=False).tally for at_ms in (0, 149, 150, 3999, 4000)
    ]
    assert levels == [(0, 0, 1), (0, 0, 1), (0, 0, 0), (0, 0, 0), (0, 0, 1)]
    assert lights_at(live, 0, "leds", pwm=False, start_has_light=False).tally == (1, 0, 0)


def test_a_light_without_pwm_winks_a_hold_down_and_ends_dark() -> None:
    faces = [Face(state="live", tally="on_air", hold=part / 1000, hold_for="end") for part in range(1000)]
    levels = [lights(face, pwm=False, start=True).start for face in faces]
    turned_on = sum(a < b for a, b in zip([0.0, *levels], levels, strict=False))
    assert set(levels) == {0, 1}
    assert turned_on == WINKS
    assert levels[-1] == 0
    assert {lights(face, pwm=False).tally for face in faces} == {(1, 0, 0)}  # and the tally is not touched


@pytest.mark.parametrize(
    ("state", "start", "curtain", "still"),
    [
        ("idle", 1, 0, 0),
        ("starting", 0, 0, 1),
        ("live", 0, 0, 1),
        ("degraded", 0, 0, 1),
        ("curtain", 0, 1, 0),
        ("ending", 0, 0, 0),
        ("fault", 0, 0, 0),
    ],
)
def test_a_button_is_lit_when_its_press_does_something(state: KitState, start: int, curtain: int, still: int) -> None:
    shown = lights(Face(state=state))
    assert (shown.start, shown.curtain, shown.still) == (start, curtain, still)
