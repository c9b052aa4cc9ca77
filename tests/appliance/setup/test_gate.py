"""How often a PIN may be guessed, and how long a session lasts: arithmetic over a clock that the test moves."""

from __future__ import annotations

from appliance.setup.gate import (
    AT_MOST_S,
    FORGOTTEN_AFTER_S,
    IDLE_S,
    IN_ALL,
    MAX_SESSIONS,
    PER_ADDRESS,
    Guesses,
    Sessions,
)

HERE, THERE = "192.168.1.5", "192.168.1.6"


def guess_on(guesses: Guesses, address: str, for_s: float, now_s: float = 0.0) -> int:
    """How many guesses an attacker at ``address`` gets in who tries as soon as it may."""
    count, end_s = 0, now_s + for_s
    while now_s < end_s:
        guesses.failed(address, now_s)
        count += 1
        now_s += guesses.wait_s(address, now_s)
    return count


def test_who_mistypes_once_or_twice_does_not_wait() -> None:
    guesses = Guesses()
    for _ in range(PER_ADDRESS[0]):
        guesses.failed(HERE, 0.0)
    assert guesses.wait_s(HERE, 0.0) == 0


def test_each_further_wrong_pin_doubles_the_wait_up_to_a_bound() -> None:
    guesses, waits = Guesses(), []
    for _ in range(PER_ADDRESS[0] + 14):
        guesses.failed(HERE, 0.0)
        waits.append(guesses.wait_s(HERE, 0.0))
    assert waits[2:6] == [1, 2, 4, 8]
    assert waits[-1] == PER_ADDRESS[2]


def test_one_address_gets_some_hundred_guesses_a_day_at_a_hundred_million_pins() -> None:
    assert guess_on(Guesses(), HERE, 24 * 3600.0) < 150


def test_many_addresses_get_no_more_than_a_few_hundred_in_all() -> None:
    guesses, count, now_s = Guesses(), 0, 0.0
    while now_s < 24 * 3600.0:
        now_s += guesses.wait_s(f"10.0.0.{count}", now_s)
        guesses.failed(f"10.0.0.{count}", now_s)
        count += 1
    assert count < 24 * 3600.0 / IN_ALL[2] + 2 * IN_ALL[0]


def test_another_address_does_not_wait_for_one_that_guesses() -> None:
    guesses = Guesses()
    for _ in range(PER_ADDRESS[0] + 3):
        guesses.failed(HERE, 0.0)
    assert guesses.wait_s(THERE, 0.0) == 0


def test_an_address_is_forgiven_with_the_right_pin_and_after_an_hour() -> None:
    guesses = Guesses()
    for _ in range(PER_ADDRESS[0] + 3):
        guesses.failed(HERE, 0.0)
    guesses.passed(HERE)
    assert guesses.wait_s(HERE, 0.0) == 0
    for _ in range(PER_ADDRESS[0] + 3):
        guesses.failed(HERE, 0.0)
    guesses.failed(HERE, FORGOTTEN_AFTER_S + 1)
    assert guesses.wait_s(HERE, FORGOTTEN_AFTER_S + 1) == 0


def test_a_session_holds_while_it_is_used_and_ends_when_it_is_not() -> None:
    sessions = Sessions()
    name = sessions.begin("salt", 0.0)
    assert sessions.is_in(name, "salt", IDLE_S - 1)
    assert sessions.is_in(name, "salt", 2 * IDLE_S - 2)
    assert not sessions.is_in(name, "salt", 4 * IDLE_S)
    assert not sessions.is_in(name, "salt", 0.0)  # and it does not come back


def test_what_a_page_asks_by_itself_does_not_keep_a_session() -> None:
    sessions = Sessions()
    name = sessions.begin("salt", 0.0)
    assert sessions.is_in(name, "salt", IDLE_S - 1, uses=False)
    assert not sessions.is_in(name, "salt", IDLE_S + 1)


def test_no_session_lasts_all_day() -> None:
    sessions = Sessions()
    name, now_s = sessions.begin("salt", 0.0), 0.0
    while now_s <= AT_MOST_S:
        assert sessions.is_in(name, "salt", now_s)
        now_s += IDLE_S / 2
    assert not sessions.is_in(name, "salt", now_s)


def test_a_session_is_of_one_pin_and_of_one_name() -> None:
    sessions = Sessions()
    name = sessions.begin("salt", 0.0)
    assert not sessions.is_in("another", "salt", 0.0)
    assert not sessions.is_in(name, "a new pin's salt", 0.0)


def test_the_oldest_session_makes_room() -> None:
    sessions = Sessions()
    names = [sessions.begin("salt", 0.0) for _ in range(MAX_SESSIONS + 1)]
    assert [sessions.is_in(name, "salt", 0.0) for name in names] == [False] + [True] * MAX_SESSIONS
