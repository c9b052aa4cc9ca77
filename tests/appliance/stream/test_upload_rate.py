"""Recordings give way to a live lesson, and keep up with it where the network has enough for both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.stream.upload_rate import LEAST_BPS, MOST_BPS, LiveUse, PacedBody, UploadRate

CALM = LiveUse(1_700_000, troubled=False)
TROUBLED = LiveUse(600_000, troubled=True)


def test_without_a_lesson_there_is_no_limit() -> None:
    assert UploadRate(0.25).bits_per_s(0, None) is None


def test_it_begins_with_enough_for_the_lesson_that_is_being_recorded_and_grows_while_the_link_is_calm() -> None:
    rate = UploadRate(0.25)
    first = rate.bits_per_s(0, CALM)
    assert first is not None
    assert first >= CALM.picture_bps + 64_000
    later = [rate.bits_per_s(at, CALM) or 0 for at in range(1, 60)]
    assert later == sorted(later)
    assert later[-1] == MOST_BPS


def test_in_trouble_it_is_the_share_at_once_and_for_as_long_as_the_trouble_lasts() -> None:
    rate = UploadRate(0.25)
    for at in range(20):
        rate.bits_per_s(at, CALM)
    assert {rate.bits_per_s(20 + at / 10, TROUBLED) for at in range(300)} == {150_000}


def test_after_trouble_it_stays_below_where_the_trouble_began_and_looks_again_when_that_is_long_ago() -> None:
    rate = UploadRate(0.25)
    for at in range(5):
        before = rate.bits_per_s(at, CALM) or 0
    rate.bits_per_s(5, TROUBLED)
    after = [rate.bits_per_s(6 + at, CALM) or 0 for at in range(100)]
    assert max(after) < before
    assert (rate.bits_per_s(126, CALM) or 0) > before * 0.7 or (rate.bits_per_s(127, CALM) or 0) > before * 0.7


@given(
    st.floats(0.05, 1),
    st.lists(st.tuples(st.floats(-1, 5), st.integers(0, 20_000_000), st.booleans(), st.booleans()), max_size=60),
)
def test_whatever_happens_it_is_within_its_bounds_and_in_trouble_never_more_than_the_share(
    share: float, story: list[tuple[float, int, bool, bool]]
) -> None:
    rate, now_s = UploadRate(share), 0.0
    for passed_s, picture_bps, troubled, runs in story:
        now_s += passed_s
        found = rate.bits_per_s(now_s, LiveUse(picture_bps, troubled) if runs else None)
        assert (found is None) == (not runs)
        if found is not None:
            assert LEAST_BPS <= found <= MOST_BPS
            assert not troubled or found <= max(LEAST_BPS, share * picture_bps)


@pytest.mark.parametrize("rate_bps", [2_000_000.0, 8_000_000.0])
async def test_a_paced_body_leaves_whole_and_no_faster_than_its_rate(rate_bps: float) -> None:
    asked: list[float] = []

    def rate(now_s: float) -> float:
        asked.append(now_s)
        return rate_bps

    body = bytes(range(256)) * 400
    began_s = asked_at = 0.0
    pieces: list[bytes] = []
    async for piece in PacedBody(rate).chunks(body):
        pieces.append(piece)
        began_s, asked_at = asked[0], asked[-1]
    assert b"".join(pieces) == body
    assert asked_at - began_s >= (len(body) - 2 * len(pieces[0])) * 8 / rate_bps * 0.99  # a machine may only be slower
