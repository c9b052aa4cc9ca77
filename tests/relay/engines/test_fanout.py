"""How a lesson is spread over its live viewers: paced, in turns, and voice with picture where many watch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from relay.engines.embedded import EmbeddedEngine, fanout, rtcp
from relay.engines.embedded.batch import Batch
from relay.engines.embedded.burst import Burst
from relay.engines.embedded.fanout import (
    CREDIT_BYTES,
    DRAIN_S,
    HOLD_S,
    LATE_S,
    MANY,
    PACE_BYTES_PER_S,
    RIDE_S,
    SLICE_PACKETS,
    FanOut,
)
from relay.engines.embedded.rhythm import MOST_S, Rhythm
from relay.engines.embedded.rtp import MARKER, Packet
from relay.engines.embedded.timeline import Timeline
from relay.engines.embedded.turns import Turns
from tests.relay.engines.raw_peer import AUDIO, KEY, Camera, Rtp, raw_publisher, raw_viewer
from tests.relay.engines.waiting import until, until_counted

PAYLOAD_BYTES = 1150
FEW = MANY - 1
VOICE_S, VOICE_BYTES, VOICE_TICKS = 0.02, 90, 960
PICTURE_S, PICTURE_TICKS = 1 / 30, 3000


def picture(first: int, packets: int, timestamp: int = 0, payload_bytes: int = PAYLOAD_BYTES) -> list[Packet]:
    """One picture's packets, the first of which begins a key frame."""
    last = first + packets - 1
    return [
        Packet(number, timestamp, MARKER if number == last else 0, KEY + bytes(payload_bytes - len(KEY)))
        for number in range(first, first + packets)
    ]


@dataclass(eq=False)
class Lane:
    """A viewer's picture, or its voice, who notes what it is sent and when; ``alone``: voice that came by itself."""

    now_s: list[float]
    voice: Lane | None = None
    got: list[tuple[float, int]] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    alone: int = 0

    def send(self, burst: Burst, batch: Batch | None) -> None:
        """As an outlet's."""
        self.take(burst)
        self.alone += 1
        if burst.voice is not None and self.voice is not None:
            self.voice.take(burst.voice)

    def take(self, burst: Burst) -> None:
        """Some packets are here."""
        self.got.append((self.now_s[0], burst.octets))
        self.sequences += [packet.sequence for packet in burst.packets]


class Hall:
    """A fan-out to some viewers, on a clock that goes when it is told to. The last of ``listeners`` sees no picture."""

    def __init__(self, viewers: int, listeners: int = 0) -> None:
        self.now_s = [100.0]
        self.timeline, self.speech = Timeline("video", self.now_s[0]), Timeline("audio", self.now_s[0])
        self.fan_out = FanOut(self.timeline, self.speech)
        self.voices = [Lane(self.now_s) for _ in range(viewers + listeners)]
        self.lanes = [Lane(self.now_s, self.voices[number]) for number in range(viewers)]
        self.fan_out.live.update(dict.fromkeys(self.lanes))  # type: ignore[arg-type]
        self.fan_out.voices.update(dict.fromkeys(self.voices))  # type: ignore[arg-type]

    def put(self, packets: list[Packet]) -> None:
        """The publisher's packets arrive, now."""
        for packet in packets:
            assert self.timeline.put(packet, self.now_s[0])
            assert self.fan_out.put(packet, self.now_s[0])

    def say(self, number: int) -> None:
        """A packet of voice arrives, now."""
        packet = Packet(number, number * VOICE_TICKS, 0, bytes(VOICE_BYTES))
        assert self.speech.put(packet, self.now_s[0])
        self.fan_out.put_voice(packet, self.now_s[0])

    def send(self) -> list[int]:
        """All that may leave now; how many packets each slice sent."""
        slices = []
        while self.fan_out.ready(self.now_s[0]):
            slices.append(self.fan_out.work(self.now_s[0])[0])
        return slices

    def run_s(self, length_s: float) -> list[int]:
        """Let time pass in milliseconds; how many packets each slice sent."""
        slices = []
        for _ in range(round(length_s * 1000)):
            slices += self.send()
            self.now_s[0] += 0.001
        return slices

    def teach_s(self, length_s: float, *, picture_at_s: float = 0.0) -> None:
        """A lesson of small pictures and voice; the pictures that much out of step with the voice."""
        begun_s, shown, said = self.now_s[0], 0, 0
        while (passed_s := self.now_s[0] - begun_s) < length_s:
            if passed_s >= said * VOICE_S:
                self.say(said)
                said += 1
            if passed_s >= shown * PICTURE_S + picture_at_s:
                self.put(picture(shown, 1, shown * PICTURE_TICKS))
                shown += 1
            self.run_s(0.001)
        self.run_s(RIDE_S + LATE_S)


# -- paced


def test_a_complete_picture_leaves_at_once_and_in_order_to_everybody() -> None:
    hall = Hall(viewers=3)
    hall.put(picture(0, 8))
    assert hall.fan_out.work(hall.now_s[0]) == (24, 24 * PAYLOAD_BYTES)
    assert all(lane.sequences == list(range(8)) for lane in hall.lanes)
    assert not hall.fan_out.waiting


def test_an_incomplete_picture_waits_a_moment_and_no_longer() -> None:
    hall = Hall(viewers=1)
    hall.put(picture(0, 8)[:3])
    assert not hall.fan_out.ready(hall.now_s[0])
    hall.run_s(HOLD_S + 0.002)
    assert hall.lanes[0].sequences == [0, 1, 2]
    assert hall.lanes[0].got[0][0] - 100.0 <= HOLD_S + 0.001


def test_a_key_frame_does_not_reach_a_home_router_as_one_burst() -> None:
    hall = Hall(viewers=2)
    key_frame = picture(0, 100)
    octets = sum(len(packet.payload) for packet in key_frame)
    hall.put(key_frame)
    hall.run_s(1.0)
    for lane in hall.lanes:
        assert lane.sequences == list(range(100))
        rate = max(PACE_BYTES_PER_S, octets / DRAIN_S)
        for at_s, _ in lane.got:
            by_then = sum(size for when_s, size in lane.got if when_s <= at_s)
            assert by_then <= 2 * CREDIT_BYTES + (at_s - 100.0) * rate
        assert lane.got[-1][0] - lane.got[0][0] <= DRAIN_S


def test_a_slice_ends_soon_whatever_the_number_of_viewers() -> None:
    hall = Hall(viewers=500)
    hall.put(picture(0, 30))
    slices = hall.run_s(0.2)
    assert sum(slices) == 500 * 30
    assert max(slices) <= SLICE_PACKETS + 30
    assert all(lane.sequences == list(range(30)) for lane in hall.lanes)


def test_what_comes_late_is_told_from_what_waits() -> None:
    hall = Hall(viewers=1)
    packets = picture(0, 4)
    hall.put([packets[0], *packets[2:]])
    hall.run_s(0.01)
    assert hall.timeline.put(packets[1], hall.now_s[0])
    assert not hall.fan_out.put(packets[1], hall.now_s[0]), "it is the channel's to send, now"


# -- voice


@pytest.mark.parametrize("viewers", [1, FEW])
def test_where_few_watch_voice_leaves_when_it_comes(viewers: int) -> None:
    hall = Hall(viewers)
    hall.teach_s(1.0, picture_at_s=0.004)
    for voice in hall.voices:
        assert voice.sequences == list(range(50))
        assert [at_s - 100.0 - number * VOICE_S for number, (at_s, _) in enumerate(voice.got)] == pytest.approx(
            [0.0] * 50, abs=0.0011
        )


@pytest.mark.parametrize("out_of_step_s", [0.0, 0.003, 0.008, 0.013, 0.019])
def test_where_many_watch_every_picture_takes_voice_along(out_of_step_s: float) -> None:
    hall = Hall(MANY)
    hall.teach_s(2.0, picture_at_s=out_of_step_s)
    for lane, voice in zip(hall.lanes, hall.voices, strict=True):
        assert voice.sequences == list(range(100))
        assert lane.sequences == list(range(len(lane.sequences)))
        assert voice.alone <= 100 - len(lane.sequences) + 2, "the first pictures have no rhythm yet"


@pytest.mark.parametrize("out_of_step_s", [0.0, 0.003, 0.008, 0.013, 0.019])
def test_neither_waits_long_for_the_other(out_of_step_s: float) -> None:
    hall = Hall(MANY)
    hall.teach_s(2.0, picture_at_s=out_of_step_s)
    most_s = RIDE_S + LATE_S + 0.0021
    for number, (at_s, _) in enumerate(hall.voices[0].got):
        assert at_s - 100.0 - number * VOICE_S <= most_s
    for number, (at_s, _) in enumerate(hall.lanes[0].got):
        assert at_s - 100.0 - number * PICTURE_S - out_of_step_s <= most_s


def test_voice_that_waits_for_a_picture_that_does_not_come_leaves_by_itself() -> None:
    hall = Hall(MANY)
    hall.teach_s(0.5)
    before = len(hall.voices[0].sequences)
    began_s = hall.now_s[0]
    hall.put(picture(len(hall.lanes[0].sequences), 3, 15 * PICTURE_TICKS)[:1])  # the rest of it is lost
    hall.say(before)
    hall.run_s(0.1)
    assert all(voice.sequences == list(range(before + 1)) for voice in hall.voices)
    assert hall.voices[0].got[-1][0] - began_s <= RIDE_S + 0.001


def test_a_picture_does_not_wait_for_a_voice_that_has_stopped() -> None:
    hall = Hall(MANY)
    hall.teach_s(0.5)
    hall.run_s(0.5)
    hall.put(picture(len(hall.lanes[0].sequences), 2, 30 * PICTURE_TICKS))
    assert sum(hall.send()) == 2 * MANY


def test_voice_rides_past_nobody_who_gets_no_picture() -> None:
    hall = Hall(MANY, listeners=3)
    hall.teach_s(1.0, picture_at_s=0.004)
    assert all(voice.sequences == list(range(50)) for voice in hall.voices)
    assert all(voice.alone == 50 for voice in hall.voices[MANY:])


@pytest.mark.parametrize("viewers", [FEW, MANY])
def test_voice_passes_a_picture_that_is_on_its_way_to_many_viewers(viewers: int) -> None:
    hall = Hall(viewers)
    hall.put(picture(0, 14))
    per_viewer = SLICE_PACKETS // 14 + 1
    assert hall.fan_out.work(hall.now_s[0])[0] // 14 == min(viewers, per_viewer)
    hall.put(picture(14, 14, PICTURE_TICKS))
    hall.fan_out.work(hall.now_s[0])
    hall.say(0)
    hall.now_s[0] += RIDE_S + 0.001
    hall.fan_out.work(hall.now_s[0])
    assert sum(voice.sequences == [0] for voice in hall.voices) == viewers


def test_words_keep_their_order_whatever_they_ride_with() -> None:
    hall = Hall(10 * MANY)
    for number in range(20):
        hall.say(2 * number)
        hall.put(picture(14 * number, 14, number * PICTURE_TICKS))
        hall.fan_out.work(hall.now_s[0])
        hall.say(2 * number + 1)
        hall.now_s[0] += RIDE_S + 0.001
        hall.fan_out.work(hall.now_s[0])
        hall.run_s(PICTURE_S)
    assert all(voice.sequences == list(range(40)) for voice in hall.voices)


def test_words_that_waited_together_leave_in_order() -> None:
    hall = Hall(MANY)
    hall.put(picture(0, 2)[:1])
    hall.say(1)
    hall.say(0)
    hall.run_s(0.05)
    assert all(voice.sequences == [0, 1] for voice in hall.voices)


def test_a_rhythm_is_known_from_two_pieces_and_forgotten_with_a_pause() -> None:
    rhythm = Rhythm(48_000)
    assert rhythm.due_s == float("-inf")
    rhythm.saw(0xFFFFFFFF - 479, 10.0)
    rhythm.saw(480, 10.021)
    assert rhythm.due_s == pytest.approx(10.041)
    rhythm.saw(480 + int(48_000 * MOST_S) + 1, 11.0)
    assert rhythm.due_s == float("-inf")


@pytest.fixture
def one_is_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Picture and voice leave together for a single viewer already."""
    monkeypatch.setattr(fanout, "MANY", 1)


@pytest.mark.usefixtures("one_is_many")
@pytest.mark.parametrize("timed", [False, True])
async def test_a_viewer_gets_all_of_what_leaves_together(engine: EmbeddedEngine, timed: bool) -> None:
    async with raw_publisher(engine) as publisher, raw_viewer(engine, timed=timed) as viewer:
        camera = Camera()
        for number in range(60):
            publisher.send(Rtp(AUDIO, False, 500 + number, VOICE_TICKS * number, 0x2222, b"opus" + bytes([number])))
            publisher.send(camera.picture())
        got = [await asyncio.wait_for(viewer.rtp.get(), 5) for _ in range(120)]
    voice = [packet for packet in got if packet.payload_type == AUDIO]
    shown = [packet for packet in got if packet.payload_type != AUDIO]
    assert [packet.payload for packet in voice] == [b"opus" + bytes([number]) for number in range(60)]
    for stream in (voice, shown):
        assert len(stream) == 60
        assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(stream))
        assert all((packet.send_time is not None) == timed for packet in shown)


@pytest.mark.usefixtures("one_is_many")
async def test_what_left_together_is_sent_again_singly(engine: EmbeddedEngine) -> None:
    """A NACK for a voice packet that rode along, where plain retransmission was agreed."""
    async with raw_publisher(engine) as publisher, raw_viewer(engine) as viewer:
        camera = Camera()
        for number in range(10):
            publisher.send(Rtp(AUDIO, False, 500 + number, VOICE_TICKS * number, 0x2222, b"opus" + bytes([number])))
            publisher.send(camera.picture())
        got = await viewer.take(10, AUDIO)
        viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [packet.sequence for packet in got]))
        await until_counted(engine, "packets_resent", 10)
        arrived: list[bytes] = []

        def each_came_twice() -> bool:
            while not viewer.raw.empty():
                arrived.append(viewer.raw.get_nowait())
            voice = [datagram for datagram in arrived if datagram[0] >= 0x80 and datagram[1] == AUDIO]
            return len(voice) == 20 and all(voice.count(datagram) == 2 for datagram in voice)

        await until(each_came_twice)


# -- turns


async def test_lessons_take_turns_slice_by_slice() -> None:
    order: list[str] = []
    done = asyncio.Event()

    class Lesson:
        def __init__(self, name: str, slices: int) -> None:
            self.name, self.slices = name, slices

        def work(self, now_s: float) -> bool:
            order.append(self.name)
            self.slices -= 1
            if len(order) == 5:
                done.set()
            return self.slices > 0

    turns = Turns()
    turns.add(Lesson("long", 4))  # type: ignore[arg-type]
    turns.add(Lesson("short", 1))  # type: ignore[arg-type]
    await asyncio.wait_for(done.wait(), 5)
    turns.close()
    assert order == ["long", "short", "long", "long", "long"]
