"""Hands on buttons: what a press, a hold and a release mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hw.base import BUTTONS, Button
from appliance.hw.gestures import END_HOLD_S, SHUTDOWN_HOLD_S, Gesture, Hands, held, press, progress, release


def _down(button: Button, *, lesson_runs: bool) -> tuple[Hands, tuple[Gesture, ...]]:
    return press(Hands(), button, 100.0, lesson_runs=lesson_runs)


def test_start_acts_on_the_press_not_on_the_release() -> None:
    hands, gestures = _down("start", lesson_runs=False)
    assert gestures == (Gesture.START_PRESSED,)
    assert release(hands, "start", 100.1) == (Hands(), ())


def test_the_hold_that_began_a_lesson_does_not_end_it_after_one_second() -> None:
    hands, _ = _down("start", lesson_runs=False)
    assert held(hands, 100.0 + END_HOLD_S) == (hands, ())
    assert release(hands, "start", 103.0) == (Hands(), ())


def test_one_second_in_a_lesson_ends_it_once() -> None:
    hands, gestures = _down("start", lesson_runs=True)
    assert gestures == ()
    assert hands.due_s == 101.0
    assert held(hands, 100.999) == (hands, ())
    hands, gestures = held(hands, 101.0)
    assert gestures == (Gesture.END_HELD,)
    assert held(hands, 140.0) == (hands, ())  # spent: the same hold does not go on to switch the kit off


def test_a_bump_does_not_end_a_lesson() -> None:
    hands, _ = _down("start", lesson_runs=True)
    assert release(hands, "start", 100.9) == (Hands(), ())


def test_a_hold_counts_even_when_nobody_looked_in_time() -> None:
    hands, _ = _down("start", lesson_runs=True)
    assert release(hands, "start", 101.2) == (Hands(), (Gesture.END_HELD,))


def test_eight_seconds_from_idle_shut_the_kit_down() -> None:
    hands, _ = _down("start", lesson_runs=False)
    assert hands.due_s == 100.0 + SHUTDOWN_HOLD_S
    _, gestures = held(hands, 108.0)
    assert gestures == (Gesture.SHUTDOWN_HELD,)


@pytest.mark.parametrize("button", ["curtain", "still"])
def test_curtain_and_still_act_on_the_press(button: Button) -> None:
    hands, gestures = _down(button, lesson_runs=True)
    assert gestures == ({"curtain": Gesture.CURTAIN_PRESSED, "still": Gesture.STILL_PRESSED}[button],)
    assert press(hands, button, 100.1, lesson_runs=True) == (hands, ())


def test_another_button_leaves_the_hold_alone() -> None:
    hands, _ = _down("start", lesson_runs=True)
    hands, _ = press(hands, "curtain", 100.2, lesson_runs=True)
    hands, _ = release(hands, "curtain", 100.4)
    assert held(hands, 101.0)[1] == (Gesture.END_HELD,)


def test_the_ring_counts_the_end_from_the_press_and_the_switching_off_from_two_seconds_on() -> None:
    ending, _ = _down("start", lesson_runs=True)
    assert [progress(ending, 100.0 + s) for s in (0, 0.25, 1, 2)] == [0, 0.25, 1, 1]
    off, _ = _down("start", lesson_runs=False)
    assert [progress(off, 100.0 + s) for s in (0, 2, 5, 8)] == [0, 0, 0.5, 1]


_EDGES = st.lists(st.tuples(st.sampled_from(BUTTONS), st.booleans(), st.floats(0, 10)), max_size=40)


@given(_EDGES, st.booleans())
def test_however_hands_fumble_a_gesture_needs_its_own_press(
    edges: list[tuple[Button, bool, float]], lesson_runs: bool
) -> None:
    hands, now_s, presses, gestures = Hands(), 0.0, 0, 0
    for button, down, wait_s in edges:
        now_s += wait_s
        presses += down and button not in hands.pressed
        hands, due = held(hands, now_s)
        hands, acted = press(hands, button, now_s, lesson_runs=lesson_runs) if down else release(hands, button, now_s)
        gestures += len(due) + len(acted)
        assert 0 <= progress(hands, now_s) <= 1
        assert hands.hold is None or "start" in hands.pressed
    assert gestures <= 2 * presses  # a start press, and at most one hold after it
