"""A viewer who is spared some of the picture: whole key frames, a numbering without holes, and all of the voice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.engines.base import PictureChoice, ViewerPicture
from relay.engines.embedded import EmbeddedEngine, rtcp, sparing
from relay.engines.embedded.numbering import Numbering
from relay.engines.embedded.resending import BURST_BYTES, KEPT_BYTES, KEPT_S, PACKET_BYTES, SHARE, Resending
from relay.engines.embedded.rtp import Packet
from relay.engines.embedded.timeline import Timeline
from relay.errors import SessionUnknown
from tests.relay.engines.raw_peer import AUDIO, DELTA, KEY, RTX, VIDEO, Camera, RawPeer, Rtp, raw_publisher, raw_viewer
from tests.relay.engines.test_bursts import recorded_seals, send_in_parts, shaken
from tests.relay.engines.waiting import until

GROUP, PARTS = 15, 4  # pictures; packets of a picture


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a key frame comes every half second, and is judged sooner."""
    monkeypatch.setattr(sparing, "EVERY_S", 0.4)
    monkeypatch.setattr(sparing, "JUDGED_S", 0.05)


class Lesson:
    """A publisher's pictures and voice, at 30 pictures a second, a key frame every half second."""

    def __init__(self, publisher: RawPeer) -> None:
        self._publisher = publisher
        self.pictures = self.spoken = 0
        self._task = asyncio.create_task(self._run(), name="lesson")

    async def _run(self) -> None:
        while True:
            for packet in self._picture():
                self._publisher.send(packet)
            self._publisher.send(Rtp(AUDIO, False, self.spoken, 1600 * self.spoken, 0x2222, b"voice"))
            self.spoken += 1
            await asyncio.sleep(1 / 30)

    def _picture(self) -> Iterator[Rtp]:
        head = KEY if self.pictures % GROUP == 0 else DELTA
        for part in range(PARTS):
            body = (head if part == 0 else DELTA) + self.pictures.to_bytes(4, "big") + bytes(200)
            number = 1000 + PARTS * self.pictures + part
            yield Rtp(VIDEO, part == PARTS - 1, number & 0xFFFF, 3000 * self.pictures, 0x1111, body)
        self.pictures += 1

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def lesson(engine: EmbeddedEngine) -> AsyncIterator[Lesson]:
    async with raw_publisher(engine) as publisher:
        running = Lesson(publisher)
        try:
            yield running
        finally:
            await running.end()


def picture_of(packet: Rtp) -> int:
    return int.from_bytes(packet.payload[4:8], "big")


def is_key(picture: int) -> bool:
    return picture % GROUP == 0


async def settled(engine: EmbeddedEngine, viewer: RawPeer, chosen: PictureChoice) -> None:
    """Choose, and let what was on its way arrive."""
    engine.choose_picture(viewer.session_id, chosen)
    channel = engine._channels["7B"]
    await until(lambda: not channel._leaving)


def taken(viewer: RawPeer) -> list[Rtp]:
    """Everything that has come."""
    return [viewer.rtp.get_nowait() for _ in range(viewer.rtp.qsize())]


async def test_a_slow_picture_is_whole_key_frames_and_the_way_down_and_up_has_no_hole(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, lesson(engine):
        got = await viewer.take(40)
        await settled(engine, viewer, "slow")
        assert engine.picture_of(viewer.session_id) == ViewerPicture(chosen="slow", sent="slow")
        while sum(is_key(picture_of(packet)) for packet in got[-3 * PARTS :]) < 3 * PARTS:
            got.append(await viewer.next_rtp())
        engine.choose_picture(viewer.session_id, "auto")
        while not is_key(picture_of(got[-1])):
            got.append(await viewer.next_rtp())
        while is_key(picture_of(got[-1])):
            got.append(await viewer.next_rtp())
        got += await viewer.take(5 * PARTS)

    in_order = sorted(got, key=lambda packet: packet.sequence - got[0].sequence & 0xFFFF)
    assert [b.sequence - a.sequence & 0xFFFF for a, b in pairwise(in_order)] == [1] * (len(got) - 1)
    pictures = [picture_of(packet) for packet in in_order]
    assert pictures == sorted(pictures)
    begun = in_order[: -(len(in_order) % PARTS) or None]
    assert all(len({picture_of(p) for p in begun[n : n + PARTS]}) == 1 for n in range(0, len(begun), PARTS))
    assert all(begun[n + PARTS - 1].marker for n in range(0, len(begun), PARTS))
    shown = list(dict.fromkeys(pictures))
    jumps = [(a, b) for a, b in pairwise(shown) if b != a + 1]
    assert len(jumps) >= 3
    assert all(is_key(after) for _, after in jumps)
    times = list(dict.fromkeys(packet.timestamp for packet in in_order))
    assert len(times) == len(shown)
    assert all(0 < later - earlier & 0xFFFFFFFF < 2**31 for earlier, later in pairwise(times))


@pytest.mark.parametrize("chosen", ["slow", "voice"])
async def test_the_voice_is_never_held_back(engine: EmbeddedEngine, chosen: PictureChoice) -> None:
    async with raw_viewer(engine) as viewer, lesson(engine) as running:
        first = await viewer.next_rtp(AUDIO)
        await settled(engine, viewer, chosen)
        got = [first, *await viewer.take(45, AUDIO)]
        assert [b.sequence - a.sequence & 0xFFFF for a, b in pairwise(got)] == [1] * 45
        assert running.spoken >= 45


async def test_without_picture_none_comes_and_the_next_one_begins_with_a_key_frame(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, lesson(engine) as running:
        await viewer.take(20)
        await settled(engine, viewer, "voice")
        taken(viewer)
        since = running.pictures
        await until(lambda: running.pictures > since + 2 * GROUP)
        assert [packet for packet in taken(viewer) if packet.payload_type == VIDEO] == []
        engine.choose_picture(viewer.session_id, "full")
        assert is_key(picture_of(await viewer.next_rtp()))


async def test_who_never_wanted_more_than_a_slow_picture_is_sent_no_more_from_the_first(engine: EmbeddedEngine) -> None:
    async with lesson(engine), raw_viewer(engine) as other:
        await other.take(20)
        async with raw_viewer(engine, then=lambda session_id: engine.choose_picture(session_id, "slow")) as viewer:
            got = await viewer.take(2 * PARTS)
    assert all(is_key(picture_of(packet)) for packet in got)


async def test_a_lost_part_of_a_slow_picture_is_sent_again_and_what_was_left_out_is_not(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, lesson(engine):
        before = await viewer.take(20)
        await settled(engine, viewer, "slow")
        taken(viewer)
        got = await viewer.take(PARTS)
        viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [before[-1].sequence, got[1].sequence]))
        again = await viewer.next_rtp(RTX)
        while int.from_bytes(again.payload[:2], "big") == got[-1].sequence:  # what is repeated unasked
            again = await viewer.next_rtp(RTX)
    assert int.from_bytes(again.payload[:2], "big") == got[1].sequence
    assert (again.timestamp, again.payload[2:]) == (got[1].timestamp, got[1].payload)


async def test_the_end_of_a_slow_picture_comes_twice(engine: EmbeddedEngine) -> None:
    """Nothing follows it for two seconds that would show that it was lost."""
    async with raw_viewer(engine) as viewer, lesson(engine):
        await viewer.take(20)
        await settled(engine, viewer, "slow")
        taken(viewer)
        last = (await viewer.take(PARTS))[-1]
        again = await viewer.next_rtp(RTX)
    assert (int.from_bytes(again.payload[:2], "big"), again.payload[2:]) == (last.sequence, last.payload)


async def test_only_a_viewer_has_a_picture_to_choose(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher:
        with pytest.raises(SessionUnknown):
            engine.choose_picture(publisher.session_id, "slow")
        with pytest.raises(SessionUnknown):
            engine.picture_of("nobody")


@pytest.mark.parametrize("seed", range(2))
async def test_no_number_is_ever_sealed_with_two_contents_however_a_viewer_is_spared(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """As ``test_bursts.py``'s, with a viewer who changes their mind, loses packets, and reads when packets left."""
    monkeypatch.setattr(sparing, "EVERY_S", 0.05)
    contents, hand = recorded_seals(monkeypatch), random.Random(seed)
    async with raw_publisher(engine) as publisher:
        packets = shaken(Camera(group=8), hand)
        async with raw_viewer(engine, timed=True) as timed, raw_viewer(engine, rtx=False, timed=True) as plain:
            for begin in range(0, len(packets), 10):
                await send_in_parts(engine, publisher, packets[begin : begin + 10])
                for viewer in (timed, plain):
                    engine.choose_picture(viewer.session_id, hand.choice(("auto", "slow", "voice", "full", "slow")))
                    seen = taken(viewer)
                    if seen:
                        viewer.send_rtcp(rtcp.nack(1, seen[0].ssrc, [packet.sequence for packet in seen]))
                await asyncio.sleep(hand.choice((0, 0.015, 0.06)))
    assert len(contents) > 100
    assert [nonce for nonce, said in contents.items() if len(said) > 1] == []


async def test_a_viewer_who_measures_its_line_is_told_when_each_packet_left(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine, timed=True) as viewer, lesson(engine):
        got = await viewer.take(30 * PARTS)
        viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [got[-1].sequence]))
        again = await viewer.next_rtp(RTX)
    left_s = [packet.send_time for packet in (*got, again) if packet.send_time is not None]
    assert len(left_s) == len(got) + 1
    passed_s = [(later - earlier) % 64 for earlier, later in pairwise(left_s)]
    assert all(step_s < 32 for step_s in passed_s), "it never goes backwards"
    assert 0.5 < sum(passed_s) < 30


# -- the numbering


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=40))
def test_stretches_follow_each_other_without_a_hole_and_no_number_is_used_twice(
    pieces: list[tuple[int, int]],
) -> None:
    numbering, at, used = Numbering(), 0, []
    for left_out, length in pieces:
        stretch = numbering.begin(at + left_out)
        used += [number + stretch.shift for number in range(at + left_out, at + left_out + length)]
        at += left_out + length
        numbering.close(at)
    assert used == list(range(used[0], used[0] + len(used)))
    last_left_out, last_length = pieces[-1]
    for number in range(at - last_length, at):
        found = numbering.of(number)
        assert found is not None
        assert numbering.at(number + found.shift) == number
    assert numbering.at(used[-1] + 1) is None
    assert not last_left_out or numbering.of(at - last_length - 1) is None


def test_what_has_a_number_gets_no_other() -> None:
    numbering = Numbering()
    numbering.begin(10)
    with pytest.raises(ValueError, match="twice"):
        numbering.begin(20)
    numbering.close(30)
    with pytest.raises(ValueError, match="twice"):
        numbering.begin(29)
    numbering.begin(30)
    assert not numbering.admit(29)


# -- which key frame


def put(timeline: Timeline, number: int, timestamp: int, payload: bytes, *, marker: bool = False) -> None:
    timeline.put(Packet(number, timestamp, 0x80 * marker, payload), 5.0)


def test_a_key_frame_is_whole_when_its_beginning_and_its_end_are_here() -> None:
    timeline = Timeline("video", 0.0)
    put(timeline, 0, 0, DELTA, marker=True)
    put(timeline, 1, 3000, KEY)
    put(timeline, 3, 3000, DELTA, marker=True)
    assert timeline.key_frame() is None
    put(timeline, 2, 3000, DELTA)
    found = timeline.key_frame()
    assert found is not None
    assert (found.first, found.end, found.timestamp, found.octets) == (1, 4, 3000, len(KEY) + 2 * len(DELTA))
    put(timeline, 4, 6000, DELTA, marker=True)
    assert timeline.key_frame() == found
    timeline.forget_pictures()
    assert timeline.key_frame() is None


def test_a_key_frame_before_which_something_is_missing_may_lack_its_parameter_sets() -> None:
    timeline = Timeline("video", 0.0)
    put(timeline, 0, 0, DELTA, marker=True)
    put(timeline, 2, 3000, KEY, marker=True)
    assert timeline.key_frame() is None
    put(timeline, 1, 0, DELTA)
    assert timeline.key_frame() is not None


# -- what is sent again


def test_what_is_too_old_or_too_far_back_is_not_sent_again() -> None:
    resending = Resending()
    resending.mark(0.0, 100, 0)
    resending.mark(1.0, 200, 20_000)
    assert resending.grant(100, 100, 1.0, 0.05)
    resending.mark(KEPT_S + 0.5, 300, 40_000)
    assert not resending.grant(99, 100, KEPT_S + 0.5, 0.05)
    assert resending.grant(100, 100, KEPT_S + 0.5, 0.05)
    resending.mark(KEPT_S + 1.5, 400, 60_000)
    assert not resending.grant(199, 100, KEPT_S + 1.5, 0.05)
    resending.mark(KEPT_S + 1.6, 500, 60_001 + KEPT_BYTES)
    assert not resending.grant(399, 100, KEPT_S + 1.6, 0.05)
    assert resending.grant(400, 100, KEPT_S + 1.6, 0.05)


def test_a_storm_gets_a_share_of_what_was_sent_and_no_more() -> None:
    resending, size, granted = Resending(), 1000, 0
    for number in range(20_000):
        resending.fill(number // 10, number // 10 * size)
        granted += resending.grant(number, size, number / 1000, 0.05)
    assert granted * (size + PACKET_BYTES) <= BURST_BYTES + SHARE * 2000 * (size + PACKET_BYTES)
    assert granted > 0.9 * SHARE * 2000


def test_who_asks_again_after_one_round_trip_is_not_made_wait_for_another() -> None:
    resending = Resending()
    assert resending.grant(1, 100, 0.0, 0.1)
    assert not resending.grant(1, 100, 0.05, 0.1)
    assert resending.grant(1, 100, 0.095, 0.1)
