"""The uplink's rate on links that are arithmetic: it fits, it recovers, it keeps to its limits, voice comes first."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.stream.path import Probe, Sample
from appliance.stream.uplink import QUEUE_HIGH_S, Limits, Target, Uplink
from tests.appliance.stream.simulated_link import SimulatedLink

LIMITS = Limits(min_bps=150_000, max_bps=1_700_000, fps=30, pixels=1280 * 720, voice_bps=24_000)
WIDE, NARROW = 4_000_000.0, 700_000.0
DOWN_S, UP_S, END_S = 10.0, 30.0, 40.0
SETTLED_S = 5.0


def stepping(seconds: float) -> float:
    return NARROW if DOWN_S <= seconds < UP_S else WIDE


def between(link: SimulatedLink, since_s: float, until_s: float) -> list[Target]:
    return [target for at_s, target in link.targets if since_s <= at_s < until_s]


@pytest.fixture(params=[16_000, 64_000, 250_000], ids=lambda octets: f"{octets // 1000} kB of queue")
def stepped(request: pytest.FixtureRequest) -> SimulatedLink:
    link = SimulatedLink(Uplink(LIMITS), stepping, queue_octets=request.param)
    link.run(END_S)
    return link


def test_a_lesson_begins_with_all_that_the_settings_allow() -> None:
    assert Uplink(LIMITS).target == Target(bitrate_bps=1_700_000, fps=30, pace_bps=None)


def test_a_link_that_carries_it_all_is_left_alone() -> None:
    link = SimulatedLink(Uplink(LIMITS), lambda _: WIDE)
    link.run(60)
    assert {target for _, target in link.targets} == {Target(bitrate_bps=1_700_000, fps=30, pace_bps=None)}


def test_a_link_that_narrows_is_fitted_within_five_seconds(stepped: SimulatedLink) -> None:
    queues_s = [queue_s for at_s, queue_s in stepped.queues_s if DOWN_S + SETTLED_S <= at_s < UP_S]
    assert max(queues_s) < 0.4, "not even while it looks around above what the link carries"
    assert sorted(queues_s)[len(queues_s) // 2] < QUEUE_HIGH_S
    sent = [LIMITS.wire_bps(target.bitrate_bps) for target in between(stepped, DOWN_S + SETTLED_S, UP_S)]
    assert 0.6 * NARROW < sum(sent) / len(sent) < NARROW


def test_a_link_that_widens_is_used_within_five_seconds(stepped: SimulatedLink) -> None:
    assert all(target.bitrate_bps == 1_700_000 for target in between(stepped, UP_S + SETTLED_S, END_S))


def test_on_the_narrow_link_the_frame_rate_falls_and_stays(stepped: SimulatedLink) -> None:
    rates = [target.fps for target in between(stepped, DOWN_S + SETTLED_S, UP_S)]
    assert set(rates) <= {10, 15}
    assert sum(a != b for a, b in itertools.pairwise(rates)) <= 2, "a board that flickers between rates is worse"


def held_s(link: SimulatedLink) -> float:
    """For how long no picture might leave, altogether."""
    spans = itertools.pairwise([*link.targets, (link.now_s, link.uplink.target)])
    return sum(until_s - since_s for (since_s, target), (until_s, _) in spans if target.hold)


def test_where_much_less_is_carried_no_picture_leaves_until_the_queue_is_gone() -> None:
    link = SimulatedLink(Uplink(LIMITS), stepping)
    link.run(DOWN_S + 2)
    first = next(target for _, target in link.targets if target.bitrate_bps < 1_700_000)
    assert first.hold
    assert link.refused_octets == 0, "so it never overflows"
    freed_s = next(at_s for at_s, target in reversed(link.targets) if target.hold)
    assert next(queue_s for at_s, queue_s in link.queues_s if at_s > freed_s) < 0.05
    assert held_s(link) < 0.8


def test_what_is_carried_is_known_by_the_time_that_the_queue_is_gone() -> None:
    link = SimulatedLink(Uplink(LIMITS), stepping)
    link.run(DOWN_S + 1.5)
    assert 0.75 * NARROW < LIMITS.wire_bps(link.uplink.target.bitrate_bps) < NARROW


def test_after_trouble_pictures_are_paced_to_what_the_link_carries(stepped: SimulatedLink) -> None:
    before, narrow = between(stepped, 0, DOWN_S), between(stepped, DOWN_S + SETTLED_S, UP_S)
    assert all(target.pace_bps is None for target in before)
    assert all(target.pace_bps is not None for target in narrow)


@pytest.mark.parametrize("loss", [0.02, 0.05])
def test_loss_without_a_queue_is_the_mediums_and_costs_nothing(loss: float) -> None:
    link = SimulatedLink(Uplink(LIMITS), lambda _: WIDE, loss=loss)
    link.run(60)
    assert {target.bitrate_bps for _, target in link.targets} == {1_700_000}


@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_the_rate_comes_back_in_spite_of_a_little_loss(loss: float) -> None:
    link = SimulatedLink(Uplink(LIMITS), stepping, loss=loss)
    link.run(END_S)
    assert link.targets[-1][1].bitrate_bps == 1_700_000


def test_a_link_that_refuses_instead_of_queueing_is_noticed_by_its_loss() -> None:
    policed = SimulatedLink(Uplink(LIMITS), stepping, queue_octets=0)
    policed.run(UP_S)
    sent = [LIMITS.wire_bps(target.bitrate_bps) for target in between(policed, DOWN_S + 2 * SETTLED_S, UP_S)]
    assert sum(sent) / len(sent) < 1.15 * NARROW


def test_a_longer_path_is_not_taken_for_a_queue_for_ever() -> None:
    link = SimulatedLink(Uplink(LIMITS), lambda _: WIDE)
    link.run(10)
    link.path_s = 0.3
    link.run(30)
    assert link.targets[-1][1].bitrate_bps == 1_700_000
    assert held_s(link) < 0.8, "a queue that does not shrink at all is none of ours"


def test_a_radio_that_is_silent_for_a_third_of_a_second_is_no_narrow_link() -> None:
    uplink = Uplink(LIMITS)
    sent_s = [number / 20 for number in range(120)]
    silent_s, again_s = 4.0, 4.35
    told = {_observe_in_air(uplink, sent_s, now_s, silent_s, again_s) for now_s in sent_s}
    assert told == {Target(bitrate_bps=1_700_000, fps=30, pace_bps=None)}


def _observe_in_air(uplink: Uplink, sent_s: list[float], now_s: float, silent_s: float, again_s: float) -> Target:
    """A sample each 50 ms; what is under way between ``silent_s`` and ``again_s`` comes at the end of that."""

    def back_s(probe_s: float) -> float:
        due_s = probe_s + 0.04
        return again_s if silent_s <= due_s < again_s else due_s

    back = [
        Probe(sent_s=probe_s, took_s=back_s(probe_s) - probe_s, octets=int(probe_s * 212_500))
        for probe_s in sent_s
        if now_s - 0.05 < back_s(probe_s) <= now_s
    ]
    owed = [now_s - probe_s for probe_s in sent_s if probe_s < now_s < back_s(probe_s)]
    octets = int(now_s * 212_500)
    waiting_s = max(owed, default=0.0)
    sample = Sample(
        now_s=now_s, wire_octets=octets, packets=octets // 1200, nacked=0, answered=back, waiting_s=waiting_s
    )
    return uplink.observe(sample)


def test_an_encoder_that_does_not_use_its_rate_does_not_raise_it_beyond_twice_what_was_proved() -> None:
    link = SimulatedLink(Uplink(LIMITS), stepping)
    link.run(DOWN_S + SETTLED_S)
    link.uses = 0.25
    link.run(UP_S + 20 - link.now_s)
    assert link.targets[-1][1].bitrate_bps < 2 * NARROW


def test_one_key_frame_that_comes_through_at_a_higher_rate_proves_that_rate() -> None:
    link = SimulatedLink(Uplink(LIMITS), stepping)
    link.run(DOWN_S + SETTLED_S)
    link.uses = 0.25
    link.run(UP_S + 4 - link.now_s)
    before = link.uplink.target.bitrate_bps
    assert before < 2 * NARROW
    link.uses = 1.0
    link.run(0.4)
    link.uses = 0.25
    link.run(2.0)
    assert link.uplink.target.bitrate_bps > 1.2 * before


def test_a_socket_that_takes_nothing_is_a_full_link() -> None:
    uplink = Uplink(LIMITS)
    for number in range(10):
        sample = Sample(
            now_s=number / 5, wire_octets=number * 45_000, packets=number * 40, nacked=0, blocked=number > 3
        )
        target = uplink.observe(sample)
    assert target.bitrate_bps < 1_700_000


def test_what_the_link_carried_is_remembered_by_the_next_session() -> None:
    link = SimulatedLink(Uplink(LIMITS), stepping)
    link.run(DOWN_S + SETTLED_S)
    before = link.uplink._rate
    link.uplink.begin()
    assert link.uplink.target.bitrate_bps == LIMITS.picture_bps(before)


def test_the_frame_rate_falls_step_by_step_before_chalk_is_illegible() -> None:
    bits = {fps: LIMITS.legible_fps(fps * 21_000) for fps in (30, 15, 10, 5)}
    assert bits == {30: 30, 15: 15, 10: 10, 5: 5}
    assert LIMITS.legible_fps(29 * 20_000) == 15
    assert LIMITS.legible_fps(1) == 5


def test_a_slow_camera_is_never_asked_for_more_than_it_gives() -> None:
    slow = Limits(min_bps=50_000, max_bps=500_000, fps=12, pixels=1280 * 720, voice_bps=24_000)
    assert [slow.legible_fps(bps) for bps in (500_000, 230_000, 100_000)] == [12, 10, 5]


limits = st.builds(
    lambda low, high, fps, side: Limits(
        min_bps=min(low, high), max_bps=max(low, high), fps=fps, pixels=side * side, voice_bps=24_000
    ),
    st.integers(50_000, 2_000_000),
    st.integers(100_000, 6_000_000),
    st.integers(1, 60),
    st.integers(160, 1500),
)
samples = st.lists(
    st.builds(
        lambda passed, octets, took, waiting, lost, blocked: (passed, octets, took, waiting, lost, blocked),
        st.floats(0.0, 20.0),
        st.integers(0, 2_000_000),
        st.lists(st.floats(1e-4, 5.0), max_size=3),
        st.floats(0.0, 5.0),
        st.none() | st.floats(0.0, 1.0),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(limits, samples)
def test_whatever_the_network_says_the_target_keeps_to_the_settings(limits: Limits, said: list[tuple]) -> None:  # type: ignore[type-arg]
    uplink, now_s, octets = Uplink(limits), 0.0, 0
    for number, (passed_s, more, took, waiting_s, lost, blocked) in enumerate(said):
        now_s, octets = now_s + passed_s, octets + more
        answered = [Probe(sent_s=now_s - took_s, took_s=took_s, octets=octets) for took_s in took]
        target = uplink.observe(
            Sample(now_s=now_s, wire_octets=octets, packets=octets // 1000, nacked=number, answered=answered,
                   waiting_s=waiting_s, lost=lost, blocked=blocked)
        )  # fmt: skip
        assert limits.min_bps <= target.bitrate_bps <= limits.max_bps
        assert target.fps in {limits.fps, 15, 10, 5}, "and never a rate between"
        assert target.fps <= limits.fps
        assert target.pace_bps is None or target.pace_bps >= limits.min_bps


@example(narrow=1_312_821, queue_octets=20_000, path_s=0.078125, seed=0)  # a short buffer: a tenth is lost
@settings(max_examples=25)
@given(st.integers(300_000, 1_500_000), st.integers(20_000, 200_000), st.floats(0.005, 0.15), st.integers(0, 1000))
def test_on_any_link_the_voice_has_its_share_and_the_rate_recovers(
    narrow: int, queue_octets: int, path_s: float, seed: int
) -> None:
    link = SimulatedLink(
        Uplink(LIMITS),
        lambda seconds: narrow if 5 <= seconds < 25 else WIDE,
        queue_octets=queue_octets,
        path_s=path_s,
        seed=seed,
    )
    link.run(37)
    sent = [target.bitrate_bps for target in between(link, 12, 25)]
    room_for_picture = narrow - LIMITS.voice_wire_bps
    assert sum(sent) / len(sent) < room_for_picture
    assert sum(sent) / len(sent) > 0.45 * room_for_picture
    assert link.targets[-1][1].bitrate_bps == 1_700_000
