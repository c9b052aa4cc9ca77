"""Round trips: what came back, what is owed, and what a lost or late probe says."""

from __future__ import annotations

import pytest

from appliance.stream.probing import Probing


def test_an_answer_is_told_once() -> None:
    probing = Probing()
    probing.sent(1.0, 1500)
    probing.answered(1.05, 0.05)
    (probe,) = probing.take()
    assert probe.sent_s == pytest.approx(1.0)
    assert (probe.took_s, probe.octets) == (0.05, 1500)
    assert probing.take() == ()
    assert probing.waiting_s(2.0) == 0.0


def test_an_answer_that_is_owed_says_how_long_the_round_trip_is_at_least() -> None:
    probing = Probing()
    probing.sent(0.8, 0)
    probing.answered(0.85, 0.05)
    for at_s in (1.0, 1.2, 1.4):
        probing.sent(at_s, 0)
    assert probing.waiting_s(1.5) == pytest.approx(0.5)
    assert probing.round_trip_s(1.5) == pytest.approx(0.5)
    probing.answered(1.6, 0.6)
    assert probing.waiting_s(1.6) == pytest.approx(0.4)


def test_a_lost_probe_is_forgotten_with_the_answer_to_a_newer_one() -> None:
    probing = Probing()
    probing.sent(1.0, 0)
    probing.sent(1.2, 0)
    probing.answered(1.25, 0.05)
    assert probing.waiting_s(9.0) == 0.0


def test_an_answer_that_was_overtaken_is_old_news() -> None:
    probing = Probing()
    probing.sent(1.0, 0)
    probing.sent(1.2, 0)
    probing.answered(1.25, 0.05)
    probing.answered(1.30, 0.30)
    assert [probe.took_s for probe in probing.take()] == [0.05]


def test_what_a_busy_machine_measured_is_forgotten() -> None:
    probing = Probing()
    probing.sent(1.0, 0)
    probing.sent(1.2, 0)
    probing.answered(1.6, 0.6)
    probing.forget()
    assert probing.take() == ()
    assert probing.waiting_s(2.0) == 0.0


def test_on_a_long_path_one_probe_that_is_owed_may_be_lost_but_two_are_a_queue() -> None:
    probing = Probing()
    probing.sent(1.0, 0)
    probing.answered(1.3, 0.3)
    probing.sent(1.2, 0)
    probing.sent(1.4, 0)
    assert probing.waiting_s(1.65) == 0.0, "the second is not overdue yet"
    assert probing.waiting_s(1.75) == pytest.approx(0.55)
