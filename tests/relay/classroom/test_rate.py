"""Guessing is slowed down, honest kits are not."""

from __future__ import annotations

import pytest

from relay.classroom.rate import MAX_ADDRESSES, GuessLimit, TokenBucket


def test_a_bucket_gives_its_capacity_at_once_and_then_its_rate() -> None:
    bucket = TokenBucket(capacity=3, per_s=0.5)
    for _ in range(3):
        assert bucket.wait_s(100.0) == 0
        bucket.take(100.0)
    assert bucket.wait_s(100.0) == pytest.approx(2.0)
    assert bucket.wait_s(101.0) == pytest.approx(1.0)
    assert bucket.wait_s(102.0) == 0


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    bucket = TokenBucket(capacity=1, per_s=1)
    bucket.take(100.0)
    assert bucket.wait_s(50.0) == pytest.approx(1.0)


def test_an_address_that_fails_too_often_waits_and_others_do_not() -> None:
    limit = GuessLimit(per_address=(2, 0.1), in_all=(100, 1))
    limit.failed("a", 0.0)
    assert limit.wait_s("a", 0.0) == 0
    limit.failed("a", 0.0)
    assert limit.wait_s("a", 0.0) == pytest.approx(10.0)
    assert limit.wait_s("b", 0.0) == 0


def test_many_addresses_together_wait_too() -> None:
    limit = GuessLimit(per_address=(2, 0.1), in_all=(5, 1))
    for number in range(5):
        limit.failed(f"address {number}", 0.0)
    assert limit.wait_s("a stranger", 0.0) == pytest.approx(1.0)


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    limit = GuessLimit()
    for number in range(MAX_ADDRESSES + 50):
        limit.failed(str(number), 0.0)
    assert len(limit._buckets) == MAX_ADDRESSES
