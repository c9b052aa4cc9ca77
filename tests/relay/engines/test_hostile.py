"""Garbage, forgery and strangers at the UDP port: dropped, counted, unanswered, and no session the worse for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aioice import stun
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.engines.embedded import EmbeddedEngine, dtls, rtcp
from relay.engines.embedded.srtp import MAX_SOURCES
from tests.relay.engines.raw_peer import (
    VIDEO,
    Camera,
    RawPeer,
    Rtp,
    credentials_of,
    endpoint,
    offer,
    picture_number,
    raw_publisher,
    raw_viewer,
)
from tests.relay.engines.waiting import until, until_counted

BINDING = bytes.fromhex("000100002112a442") + bytes(12)
CORPUS = [
    b"",
    b"\0",
    b"\x80",
    b"\xbf" * 2,
    b"\x80" + bytes(1499),
    b"\x80\xc8" + bytes(1498),
    b"\x16\xfe\xfd" + bytes(10),
    b"\x16\xfe\xfd" + b"\xff" * 1400,
    b"\x14\xfe\xfd\0\0\0\0\0\0\0\0\0\x01\x01",
    b"\x15\xfe\xfd\0\0\0\0\0\0\0\0\0\x02\x02\x28",  # a plaintext fatal alert
    BINDING,
    BINDING[:2] + b"\xff\xff" + BINDING[4:],
    BINDING[:2] + b"\0\x08" + BINDING[4:] + b"\0\x06\xff\xff" + b"ab:c",
    BINDING[:2] + b"\0\x04" + BINDING[4:] + b"\x80\x28\0\0",
    b"\x01\x01" + BINDING[2:],
    b"\x40" + bytes(40),
    b"\xff" * 60,
    b"\x90\x6a" + bytes(10) + b"\xbe\xde\xff\xff",
]


@asynccontextmanager
async def stranger() -> AsyncIterator[RawPeer]:
    """A socket that never signalled anything."""
    peer = RawPeer(endpoint())
    await peer.open()
    yield peer
    peer.socket.close()


async def alive(viewer: RawPeer, publisher: RawPeer, camera: Camera) -> None:
    """Assert that the next picture passes."""
    packet = camera.picture()
    publisher.send(packet)
    while (await viewer.next_rtp()).payload != packet.payload:
        pass


async def test_a_storm_of_garbage_from_strangers_is_counted_and_unanswered(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher, stranger() as other:
        before = engine.counters()["datagrams_received"]
        for datagram in CORPUS * 5 + [os.urandom(size) for size in range(1, 1500, 7)]:
            other.socket.sendto(datagram, ("127.0.0.1", engine.port))
            await asyncio.sleep(0)
        await until_counted(engine, "datagrams_received", before + len(CORPUS) * 5)
        await alive(viewer, publisher, Camera())
        assert other.raw.empty()
        counters = engine.counters()
        for name in ("datagrams_from_strangers", "datagrams_unknown", "stun_malformed"):
            assert counters[name] > 0


async def test_the_same_garbage_from_a_peers_own_address_ends_nothing(engine: EmbeddedEngine) -> None:
    """A forged source address costs nothing: every byte must authenticate."""
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera = Camera()
        for peer in (viewer, publisher):
            for datagram in [*CORPUS, b"\x80\xc9" + os.urandom(60), b"\x17\xfe\xfd" + os.urandom(60)]:
                peer.socket.sendto(datagram, peer.to)
            await alive(viewer, publisher, camera)
        assert engine.counters()["sessions_now"] == 2
        assert engine.counters()["srtp_rejected"] > 0


async def test_an_oversized_datagram_is_dropped(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        publisher.socket.sendto(b"\x80" * 9000, publisher.to)
        await until_counted(engine, "datagrams_oversized")
        await alive(viewer, publisher, Camera())


async def test_a_check_with_a_wrong_password_gets_no_answer(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, stranger() as other:
        other.to, other.remote, other.local = viewer.to, viewer.remote, viewer.local
        other.check(password="w" * 24)
        await until_counted(engine, "stun_bad_integrity")
        other.remote = other.local
        other.check()
        await until_counted(engine, "stun_unknown_user")
        assert other.raw.empty()
        assert engine._demux.sizes[1] == 1


async def test_a_check_without_fingerprint_or_integrity_gets_no_answer(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, stranger() as other:
        request = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.REQUEST,
            attributes={"USERNAME": f"{viewer.remote.ufrag}:{viewer.local.ufrag}"},
        )
        other.socket.sendto(bytes(request), viewer.to)
        await until_counted(engine, "stun_bad_integrity")
        assert other.raw.empty()


async def test_an_answer_is_no_larger_than_the_check_it_answers(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer:
        while not viewer.raw.empty():
            viewer.raw.get_nowait()
        request = viewer.check()
        assert len(await asyncio.wait_for(viewer.raw.get(), 5)) <= len(request)


async def test_dtls_from_a_stranger_gets_no_answer(engine: EmbeddedEngine) -> None:
    hello = dtls.Session(endpoint(), "client", ())
    hello.start()
    async with stranger() as other:
        for datagram in hello.take_outgoing():
            other.socket.sendto(datagram, ("127.0.0.1", engine.port))
        await until_counted(engine, "datagrams_from_strangers")
        assert other.raw.empty()


async def test_a_certificate_that_was_not_signalled_is_refused(engine: EmbeddedEngine) -> None:
    async with stranger() as other:
        wrong = dtls.Fingerprint("sha-256", ":".join(["AB"] * 32))
        answer = engine.watch("7B", offer(other.local, wrong))
        connecting = asyncio.create_task(other.connect(answer, engine.port, engine.fingerprint))
        await until_counted(engine, "dtls_failed")
        connecting.cancel()
        await asyncio.wait({connecting})
        assert engine.counters()["dtls_wrong_fingerprint"] == 1
        assert engine.counters()["sessions_now"] == 0
        assert engine.counters()["dtls_established"] == 0


async def test_a_replayed_packet_is_refused(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera = Camera()
        packet = bytes(camera.picture())
        assert publisher.sealer is not None
        sealed = publisher.sealer.stream(0x1111).seal(packet[:12], packet[12:], 1000)
        for _ in range(3):
            publisher.socket.sendto(sealed, publisher.to)
        await until_counted(engine, "srtp_rejected", 2)
        assert picture_number(await viewer.next_rtp()) == 0
        await alive(viewer, publisher, camera)


async def test_a_peer_with_endless_sources_is_held_to_a_few(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher:
        for ssrc in range(1, 100):
            publisher.send(Rtp(VIDEO, True, 1, 1, ssrc, b"\x67x"))
        await until_counted(engine, "srtp_rejected", 99 - MAX_SOURCES)
        assert engine.counters()["packets_received"] == MAX_SOURCES


async def test_nobody_takes_an_address_that_another_session_speaks_from(engine: EmbeddedEngine) -> None:
    """A pupil with credentials of its own that forges another's address cannot answer there."""
    async with raw_viewer(engine) as victim, raw_publisher(engine) as publisher, stranger() as other:
        answer = engine.watch("7B", offer(*other.offer_args))
        other.to, other.remote = victim.to, credentials_of(answer.sdp)
        forge(other, victim)
        await until_counted(engine, "stun_probes")
        await alive(victim, publisher, Camera())


async def test_nobody_sends_a_lesson_to_an_address_that_did_not_ask(engine: EmbeddedEngine) -> None:
    """A connected pupil that forges a third party's address, to flood it."""
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher, stranger() as third:
        third.proves_address = False
        third.local = viewer.local  # so that the probe can be told from anything else
        forge(viewer, third)
        await until_counted(engine, "stun_probes")
        camera = Camera()
        for _ in range(20):
            await alive(viewer, publisher, camera)
        assert [datagram[:2] for datagram in queued(third.raw)] == [b"\x00\x01"]  # the probe alone


async def test_an_address_that_was_left_without_goodbye_can_be_used_at_once(engine: EmbeddedEngine) -> None:
    """A page that is loaded again, from the same port of the same NAT."""
    async with raw_viewer(engine) as gone, raw_publisher(engine) as publisher:
        again = RawPeer(endpoint(), host="127.0.0.1")
        again.socket, again.to = gone.socket, gone.to
        gone.datagram_received = again.datagram_received  # type: ignore[method-assign]
        answer = engine.watch("7B", offer(*again.offer_args))
        await again.connect(answer, engine.port, engine.fingerprint)
        await alive(again, publisher, Camera())


def forge(liar: RawPeer, whose: RawPeer) -> None:
    """Send a check from an address that is somebody else's."""
    own, liar.socket = liar.socket, whose.socket
    liar.check()
    liar.socket = own


def queued(queue: asyncio.Queue[bytes]) -> list[bytes]:
    """What is in a queue now."""
    return [queue.get_nowait() for _ in range(queue.qsize())]


async def test_malformed_rtp_and_rtcp_of_an_authenticated_peer_are_dropped(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        publisher.send_raw(b"\xa0\x6a\0\x01" + bytes(4) + b"\0\0\x77\x77", b"\xff")  # more padding than packet
        await until_counted(engine, "rtp_malformed")
        for packet in (b"\x80\xc8\xff\xff" + bytes(4), b"\x9f\xc9\x00\x01" + bytes(4), b"\x81\xcd\0\x02" + bytes(8)):
            viewer.send_rtcp(packet)
            publisher.send_rtcp(packet)
        await until_counted(engine, "rtcp_malformed", 4)
        await alive(viewer, publisher, Camera())


async def test_a_viewers_reports_about_other_streams_change_nothing(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        viewer.send_rtcp(rtcp.receiver_report(1, [rtcp.ReportBlock(4711, 255, -5, 2**32 - 1, 1, 1, 1)] * 31))
        viewer.send_rtcp(rtcp.nack(1, 0, list(range(0, 65536, 3000))))
        await until_counted(engine, "nacks_received")
        await alive(viewer, publisher, Camera())


def test_no_datagram_whatever_raises_in_the_demultiplexer() -> None:
    engine = EmbeddedEngine(port=0)

    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=200), st.binary(max_size=80).map(lambda tail: BINDING[:8] + tail)))
    def feed(datagram: bytes) -> None:
        engine._demux.receive(datagram, ("192.0.2.1", 5), (), None)  # type: ignore[arg-type]

    feed()


async def test_a_flood_of_half_open_sessions_costs_the_live_ones_nothing(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        for _ in range(200):
            engine.watch("7B", offer(*RawPeer(endpoint()).offer_args))
        camera = Camera()
        for _ in range(20):
            await alive(viewer, publisher, camera)
        await until(lambda: engine.counters()["sessions_half_open_now"] == 200)


async def test_what_is_said_over_dtls_is_read_away(engine: EmbeddedEngine) -> None:
    """There is no data channel; a peer that speaks into it costs no memory."""
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        for _ in range(50):
            viewer.dtls._connection.send(b"hello" * 20)
        viewer.dtls._collect()
        for datagram in viewer.dtls.take_outgoing():
            viewer.socket.sendto(datagram, viewer.to)
        await alive(viewer, publisher, Camera())
        mine = next(iter(engine._channels["7B"].viewers)).transport
        assert mine is not None
        assert mine._dtls._connection.pending() == 0
        viewer.goodbye()
        await until(lambda: engine.delivery("7B").viewers == 0)
