"""Losses on either leg: asked for, answered, bounded."""

from __future__ import annotations

import asyncio

import pytest

from relay.engines.embedded import EmbeddedEngine, rtcp
from relay.engines.embedded.dtls import PROFILES, Profile
from relay.engines.embedded.losses import MOST_REQUESTS
from relay.engines.embedded.resending import BURST_BYTES, PACKET_BYTES, SHARE
from relay.engines.embedded.rtp import PADDED, VERSION
from tests.relay.engines.raw_peer import RTX, VIDEO, Camera, RawPeer, Rtp, picture_number, raw_publisher, raw_viewer
from tests.relay.engines.waiting import until, until_counted


async def test_a_nack_is_answered_by_rtx_where_it_was_agreed(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        got = await play(publisher, viewer, 20)
        lost = got[5:8]
        viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [packet.sequence for packet in lost]))
        again = await viewer.take(3, RTX)
    assert [int.from_bytes(packet.payload[:2], "big") for packet in again] == [packet.sequence for packet in lost]
    assert [packet.payload[2:] for packet in again] == [packet.payload for packet in lost]
    assert [packet.timestamp for packet in again] == [packet.timestamp for packet in lost]
    assert {packet.ssrc for packet in again}.isdisjoint({got[0].ssrc})


@pytest.mark.parametrize("profile", PROFILES)
async def test_without_rtx_the_very_same_datagram_is_sent_again(engine: EmbeddedEngine, profile: Profile) -> None:
    """Byte for byte: with AES-GCM, the same packet index must never seal anything else."""
    async with raw_viewer(engine, rtx=False, profiles=(profile,)) as viewer, raw_publisher(engine) as publisher:
        got = await play(publisher, viewer, 20)
        first = {await viewer.raw.get() for _ in range(viewer.raw.qsize())}
        viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [got[3].sequence]))
        await until_counted(engine, "packets_resent")
        again = await asyncio.wait_for(media(viewer), 5)
    assert again in first


async def media(viewer: RawPeer) -> bytes:
    while True:
        datagram = await viewer.raw.get()
        if datagram[0] >= 0x80 and not 192 <= datagram[1] <= 223:
            return datagram


async def test_also_a_replayed_picture_can_be_asked_for_again(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher:
        camera = Camera(group=30)
        for _ in range(30):
            publisher.send(camera.picture())
        await until_counted(engine, "packets_received", 30)
        async with raw_viewer(engine, rtx=False) as viewer:
            got = await viewer.take(30)
            first = {await viewer.raw.get() for _ in range(viewer.raw.qsize())}
            viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [got[3].sequence]))
            assert await asyncio.wait_for(media(viewer), 5) in first


async def test_the_history_reaches_a_thousand_packets_back(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera, got = Camera(group=5000), []
        for _ in range(11):
            for _ in range(100):
                publisher.send(camera.picture())
            got += await viewer.take(100)
        viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [got[-1024].sequence]))
        again = await viewer.next_rtp(RTX)
    assert again.payload[2:] == got[-1024].payload


async def test_a_packet_is_not_sent_twice_within_a_round_trip(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        got = await play(publisher, viewer, 10)
        for _ in range(3):
            viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [got[5].sequence]))
        await until_counted(engine, "nacks_received", 3)
        assert engine.counters()["packets_resent"] == 1
        assert engine.counters()["nacks_unanswered"] == 2


async def test_a_storm_of_nacks_is_cut_at_the_viewers_budget(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera, got = Camera(group=5000), []
        for _ in range(10):
            for _ in range(100):
                publisher.send(camera.picture())
            got += await viewer.take(100)
        for begin in range(0, 1000, 100):
            viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [packet.sequence for packet in got[begin : begin + 100]]))
        await until_counted(engine, "nacks_received", 10)
        cost = PACKET_BYTES + len(got[0].payload)
        assert engine.counters()["packets_resent"] <= (BURST_BYTES + SHARE * 1000 * cost) / cost


async def test_what_was_never_sent_is_not_sent_again(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        got = await play(publisher, viewer, 10)
        before = got[0].sequence - 1 & 0xFFFF
        viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [before, got[-1].sequence + 50 & 0xFFFF]))
        viewer.send_rtcp(rtcp.nack(1, 4711, [got[0].sequence]))
        await until_counted(engine, "nacks_received", 2)
        assert engine.counters()["packets_resent"] == 0


async def test_a_hole_on_the_publishers_leg_is_asked_for_and_mended(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera = Camera()
        sent = [camera.picture() for _ in range(10)]
        for packet in sent[:4] + sent[6:]:
            publisher.send(packet)
        asked = nacked(await publisher.next_rtcp(205))
        assert asked == [packet.sequence for packet in sent[4:6]]
        for packet in sent[4:6]:
            publisher.send(packet)
        got = await viewer.take(10)
        assert engine.counters()["packets_recovered"] == 2
    base = got[0].sequence
    in_order = sorted(got, key=lambda packet: packet.sequence - base & 0xFFFF)
    assert [packet.payload for packet in in_order] == [packet.payload for packet in sent]
    assert [packet.sequence - base & 0xFFFF for packet in in_order] == list(range(10))


async def test_a_publisher_may_mend_a_hole_by_rtx(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera = Camera()
        sent = [camera.picture() for _ in range(5)]
        for packet in sent[:2] + sent[3:]:
            publisher.send(packet)
        await publisher.next_rtcp(205)
        lost = sent[2]
        publisher.send(Rtp(RTX, True, 77, lost.timestamp, 0x9999, lost.sequence.to_bytes(2, "big") + lost.payload))
        got = await viewer.take(5)
    assert sorted(picture_number(packet) for packet in got) == list(range(5))
    assert all(packet.payload_type == VIDEO for packet in got)


async def test_reordered_packets_are_not_asked_for(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera = Camera()
        sent = [camera.picture() for _ in range(20)]
        publisher.send(sent[0])
        for first, second in zip(sent[1::2], sent[2::2], strict=False):
            publisher.send(second)
            publisher.send(first)
        got = await viewer.take(19)
        assert sorted(picture_number(packet) for packet in got) == list(range(19))
        assert engine.counters()["nacks_sent"] == 0


async def test_a_hole_that_stays_brings_a_key_frame_request(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera = Camera()
        sent = [camera.picture() for _ in range(6)]
        for packet in sent[:2] + sent[3:]:
            publisher.send(packet)
        await viewer.take(5)
        await publisher.next_rtcp(206)
        assert engine.counters()["packets_lost"] == 1
        assert engine.counters()["nacks_sent"] == MOST_REQUESTS


async def test_a_hole_that_a_key_frame_has_mended_asks_for_no_other(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera = Camera(group=4)
        sent = [camera.picture() for _ in range(6)]
        for packet in sent[:2] + sent[3:]:
            publisher.send(packet)
        await viewer.take(5)
        asked = engine.counters()["plis_sent"]
        await until_counted(engine, "packets_lost")
        assert engine.counters()["nacks_sent"] == MOST_REQUESTS
        assert engine.counters()["plis_sent"] == asked


async def test_an_outage_is_not_asked_for_packet_by_packet(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera = Camera()
        publisher.send(camera.picture())
        camera.sequence += 1000
        publisher.send(camera.picture())
        await publisher.next_rtcp(206)
        await viewer.take(2)
        assert engine.counters()["nacks_sent"] == 0
        assert engine.counters()["packets_lost"] == 1000


async def test_picture_loss_of_many_viewers_is_one_request(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher, raw_viewer(engine) as one, raw_viewer(engine) as two:
        publisher.send(Camera().picture())
        for viewer in (one, two):
            ssrc = (await viewer.next_rtp()).ssrc
            for _ in range(5):
                viewer.send_rtcp(rtcp.pli(1, ssrc))
        await until_counted(engine, "plis_received", 10)
        assert engine.counters()["plis_sent"] == 1


async def test_a_key_frame_that_does_not_come_is_asked_for_again(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher:
        publisher.send(Camera().picture())
        await until_counted(engine, "packets_received")
        engine.request_key_frame("7B")
        await until_counted(engine, "plis_sent", 2)
        camera = Camera(sequence=1001)
        publisher.send(camera.picture())
        await until_counted(engine, "packets_received", 2)
        assert engine.counters()["plis_sent"] == 2


async def test_lost_parameter_sets_reach_a_viewer_that_began_without_them(engine: EmbeddedEngine) -> None:
    slices = [b"\x67\x42\xe0\x1f", b"\x7c\x85slice", b"\x7c\x45end"]
    packets = [Rtp(VIDEO, number == 2, 50 + number, 3000, 1, part) for number, part in enumerate(slices)]
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        publisher.send(Rtp(VIDEO, True, 49, 0, 1, b"\x41delta"))
        publisher.send(packets[1])
        publisher.send(packets[2])
        await viewer.take(2)
        publisher.send(packets[0])
        late = await viewer.next_rtp()
    assert late.payload == slices[0]


async def test_a_late_first_packet_of_a_key_frame_is_sent_once_to_who_was_there_before(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        publisher.send(Rtp(VIDEO, True, 49, 0, 1, b"\x67first"))
        publisher.send(Rtp(VIDEO, True, 51, 3000, 1, b"\x7c\x85slice"))
        publisher.send(Rtp(VIDEO, False, 50, 3000, 1, b"\x67second"))
        publisher.send(Rtp(VIDEO, True, 52, 6000, 1, b"\x41delta"))
        await viewer.take(4)
        datagrams = [viewer.raw.get_nowait() for _ in range(viewer.raw.qsize())]
    assert sum(data[0] | PADDED == VERSION | PADDED and data[1] & 0x7F == VIDEO for data in datagrams) == 4


def nacked(compound: bytes) -> list[int]:
    """The sequence numbers that a compound asks for."""
    return [n for item in rtcp.read(compound) if isinstance(item, rtcp.Nack) for n in item.sequences]


async def play(publisher: RawPeer, viewer: RawPeer, count: int) -> list[Rtp]:
    """Let ``count`` pictures pass; as the viewer got them."""
    camera = Camera()
    for _ in range(count):
        publisher.send(camera.picture())
    return await viewer.take(count)


async def test_one_viewer_that_cannot_be_reached_takes_nothing_from_another(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as gone, raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        gone.socket.close()
        got = await play(publisher, viewer, 50)
        assert [picture_number(packet) for packet in got] == list(range(50))
        await until(lambda: engine.delivery("7B").viewers == 2)
