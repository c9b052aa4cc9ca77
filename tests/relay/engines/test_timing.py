"""The pure parts that decide when: losses, key frame requests, the timeline, squeezing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.engines.embedded.key_frames import MOST_REPEATS, PATIENCE_S, SPACING_S, KeyFrameRequests
from relay.engines.embedded.losses import MAX_MISSING, MOST_REQUESTS, REORDER_S, Losses
from relay.engines.embedded.outlet import squeeze
from relay.engines.embedded.reception import Reception
from relay.engines.embedded.rtp import Packet
from relay.engines.embedded.timeline import GOP_PACKETS, RING, Timeline


def asked(losses: Losses, until_s: float, step_s: float = 0.01) -> list[float]:
    """When something was asked for, ticking every ``step_s``."""
    times = [number * step_s for number in range(int(until_s / step_s))]
    return [now_s for now_s in times if losses.due(now_s)[0]]


def test_a_hole_is_asked_for_only_after_reordering_had_its_chance() -> None:
    losses = Losses()
    losses.gap(5, 6, 0.0)
    assert losses.due(REORDER_S / 2) == ([], [])
    assert losses.due(REORDER_S) == ([5], [])


def test_requests_are_a_round_trip_apart_grow_rarer_and_end() -> None:
    losses = Losses()
    losses.gap(5, 6, 0.0)
    times = asked(losses, 5.0)
    waits = [b - a for a, b in pairwise(times)]
    assert len(times) == MOST_REQUESTS
    assert waits[0] >= losses.round_trip_s
    assert waits == sorted(waits)
    assert len(losses) == 0


def test_the_round_trip_is_learned_from_answers() -> None:
    losses = Losses()
    for number in range(40):
        losses.gap(number, number + 1, float(number))
        losses.due(number + REORDER_S)
        assert losses.arrived(number, number + REORDER_S + 0.15)
    assert losses.round_trip_s == pytest.approx(0.15, rel=0.05)


def test_a_packet_that_was_only_reordered_was_not_recovered() -> None:
    losses = Losses()
    losses.gap(5, 6, 0.0)
    assert not losses.arrived(5, 0.001)
    assert not losses.arrived(5, 0.002)
    assert losses.due(1.0) == ([], [])


def test_an_outage_is_not_a_hole() -> None:
    losses = Losses()
    assert losses.gap(0, MAX_MISSING, 0.0)
    assert not losses.gap(MAX_MISSING, MAX_MISSING + 1, 0.0)
    assert len(losses) == 0


def test_key_frame_requests_are_spaced_repeated_and_given_up() -> None:
    requests = KeyFrameRequests()
    times = []
    for tick in range(2000):
        requests.want() if tick == 0 else None
        if requests.due(tick / 100):
            times.append(tick / 100)
    assert len(times) == 1 + MOST_REPEATS
    assert all(b - a >= PATIENCE_S for a, b in pairwise(times))


def test_wishes_while_one_is_on_its_way_are_merged() -> None:
    requests = KeyFrameRequests()
    requests.want()
    assert requests.due(10.0)
    for _ in range(100):
        requests.want()
        assert not requests.due(10.0 + SPACING_S / 2)
    requests.came()
    assert not requests.due(20.0)
    requests.want()
    assert requests.due(20.0)


def filled(count: int, key_every: int = 30, now_s: float = 0.0) -> Timeline:
    timeline = Timeline("video", 0.0)
    for number in range(count):
        payload = b"\x67key" if number % key_every == 0 else b"\x41delta"
        assert timeline.put(Packet(number, number * 3000, 0x80, payload), now_s)
    return timeline


def test_the_ring_forgets_the_oldest_and_refuses_what_is_older() -> None:
    timeline = filled(RING["video"] + 10)
    assert timeline.get(9) is None
    assert timeline.get(10) is not None
    assert not timeline.put(Packet(9, 0, 0, b"\x41"), 0.0)
    assert not timeline.put(Packet(20, 0, 0, b"\x41x"), 0.0)


def test_a_group_of_pictures_that_is_too_long_is_not_replayed() -> None:
    assert len(filled(100, key_every=1000).group_of_pictures()) == 100
    assert filled(GOP_PACKETS + 1, key_every=10_000).group_of_pictures() == []


def test_a_late_packet_before_the_key_frame_does_not_move_its_start() -> None:
    timeline = Timeline("video", 0.0)
    timeline.put(Packet(0, 0, 0x80, b"\x41old"), 0.0)
    timeline.put(Packet(2, 6000, 0x80, b"\x67key"), 0.0)
    timeline.put(Packet(1, 3000, 0x80, b"\x41late"), 0.0)
    assert [packet.sequence for packet in timeline.group_of_pictures()] == [2]


@given(
    elapsed_s=st.floats(0, 100_000),
    first=st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1)),
    second=st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1)),
)
def test_a_second_publisher_goes_on_where_the_first_stopped_as_much_later_as_it_is(
    elapsed_s: float, first: tuple[int, int], second: tuple[int, int]
) -> None:
    timeline = Timeline("video", 0.0)
    shift, turn = timeline.shift_for(*first, 0.0)
    timeline.put(Packet(first[0] + shift, (first[1] + turn) & 0xFFFFFFFF, 0, b"\x67x"), 0.0)
    before = timeline.newest_timestamp
    shift, turn = timeline.shift_for(*second, elapsed_s)
    assert second[0] + shift == 1
    ahead = (second[1] + turn - before) & 0xFFFFFFFF
    expected = int(elapsed_s * 90_000) & 0xFFFFFFFF
    assert ahead == expected or (ahead == 9000 and (expected == 0 or expected >= 2**31))


@given(
    steps=st.lists(st.integers(1, 9000), min_size=1, max_size=100),
    start=st.integers(0, 2**32 - 1),
    size=st.integers(1, 3000),
)
def test_squeezed_pictures_keep_their_order_and_the_last_its_time(steps: list[int], start: int, size: int) -> None:
    times = [start]
    for step in steps:
        times.append((times[-1] + step) & 0xFFFFFFFF)
    pictures = [Packet(number, at, 0, bytes(size)) for number, at in enumerate(times)]
    squeezed = squeeze(pictures, 90_000)
    assert squeezed[times[-1]] == times[-1]
    moved = [squeezed[at] for at in times]
    assert all(0 < (b - a) & 0xFFFFFFFF < 2**31 for a, b in pairwise(moved))
    assert (moved[-1] - moved[0]) & 0xFFFFFFFF <= (times[-1] - times[0]) & 0xFFFFFFFF


def test_jitter_is_what_rfc_3550_says() -> None:
    reception = Reception(1, 90_000, 0)
    for number in range(200):
        reception.count(number, number * 3000, number / 30 + (0.01 if number % 2 else 0))
    assert reception.block(10.0).jitter == pytest.approx(900, rel=0.05)


def test_loss_is_told_for_each_interval_and_in_sum() -> None:
    reception = Reception(1, 90_000, 0)
    for number in range(0, 100, 2):
        reception.count(number, number, 0.0)
    first = reception.block(1.0)
    for number in range(100, 200):
        reception.count(number, number, 1.0)
    second = reception.block(2.0)
    assert (first.lost, first.fraction_lost) == (49, 49 * 256 // 99)
    assert (second.lost, second.fraction_lost) == (50, 256 // 101)
