"""Debouncing, exactly: what bounces is one edge, what is too short is none, and a late timer loses nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.hw.contacts import STANDS_S, Contact, changed, stood

Change = tuple[bool, float]  # the new level, and when


def edges(changes: list[Change], *, pressed: bool = False) -> list[Change]:
    """What becomes of a contact's changes when the timer comes in time."""
    contact, found = Contact(pressed), []
    for level, at_s in [*changes, (None, float("inf"))]:
        if contact.due_s is not None and contact.due_s <= at_s:
            before = contact.pressed
            contact, edge_s = stood(contact, contact.due_s)
            if edge_s is not None:
                found.append((not before, edge_s))
        if level is not None:
            contact, edge_s = changed(contact, level, at_s)
            assert edge_s is None, "the timer was in time"
    return found


def test_a_press_and_a_release_are_two_edges_dated_when_they_began() -> None:
    assert edges([(True, 1.0), (False, 1.5)]) == [(True, 1.0), (False, 1.5)]


def test_a_bouncing_press_is_one_edge_dated_when_it_came_to_rest() -> None:
    assert edges([(True, 1.0), (False, 1.001), (True, 1.002), (False, 1.003), (True, 1.004)]) == [(True, 1.004)]


def test_a_spark_is_no_press() -> None:
    assert edges([(True, 1.0), (False, 1.0 + STANDS_S / 2)]) == []


def test_a_button_that_is_down_from_the_start_was_not_pressed_but_its_release_is_told() -> None:
    assert edges([(False, 2.0)], pressed=True) == [(False, 2.0)]


def test_a_level_that_is_told_twice_keeps_its_first_time() -> None:
    assert edges([(True, 1.0), (True, 1.005)]) == [(True, 1.0)]


def test_a_short_press_is_not_lost_when_the_timer_comes_after_its_release() -> None:
    contact, edge_s = changed(Contact(), True, 1.0)
    assert edge_s is None
    contact, edge_s = changed(contact, False, 1.2)  # the loop was busy; nobody asked at 1.01
    assert edge_s == 1.0
    contact, edge_s = stood(contact, 1.3)
    assert (contact, edge_s) == (Contact(), 1.2)


@given(st.lists(st.floats(0.0001, 0.1), max_size=20), st.booleans())
def test_edges_always_take_turns_and_end_where_the_contact_does(gaps_s: list[float], pressed: bool) -> None:
    at_s, level, changes = 0.0, pressed, []
    for gap_s in gaps_s:
        at_s, level = at_s + gap_s, not level
        changes.append((level, at_s))
    found = edges(changes, pressed=pressed)
    assert [edge for edge, _ in found] == [pressed ^ (turn % 2 == 0) for turn in range(len(found))]
    assert (found[-1][0] if found else pressed) == level
