"""How sessions come to be, move, and end, and that they leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Callable

import pytest

from relay.engines.embedded import EmbeddedEngine, rtcp, transport
from relay.engines.embedded import engine as engine_module
from relay.engines.embedded.publisher import Publisher
from relay.engines.embedded.viewer import Viewer
from relay.errors import ChannelBusy, EngineFull, FragmentRejected, OfferRejected, SessionUnknown
from tests.relay.engines.raw_peer import (
    Camera,
    RawPeer,
    credentials_of,
    picture_number,
    raw_publisher,
    raw_viewer,
    some_offer,
)
from tests.relay.engines.waiting import until, until_counted, until_delivery

FRAGMENT = "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=video 9 UDP/TLS/RTP/SAVPF 106\r\na=mid:v\r\na=end-of-candidates\r\n"


def sessions_in_memory() -> int:
    return sum(isinstance(thing, Viewer | Publisher | transport.Transport) for thing in gc.get_objects())


async def test_a_session_that_ended_is_freed_at_once_and_waits_for_no_garbage_collector(engine: EmbeddedEngine) -> None:
    gc.collect()
    before = sessions_in_memory()
    gc.disable()
    try:
        async with raw_publisher(engine, "kit") as kit, raw_viewer(engine) as viewer:
            assert sessions_in_memory() == before + 4
            engine.end(viewer.session_id)
            engine.end(kit.session_id)
        await until(lambda: sessions_in_memory() == before)
    finally:
        gc.enable()


async def test_another_publisher_is_refused_while_the_first_is_live(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine, "first"):
        with pytest.raises(ChannelBusy):
            engine.publish("7B", "second", some_offer("sendonly"))
        assert engine.counters()["sessions_now"] == 1
        assert engine.delivery("7B").publisher == "first"


async def test_another_publisher_may_follow_one_that_ended(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine, "first") as first:
        engine.end(first.session_id)
        async with raw_publisher(engine, "second"):
            await until_delivery(engine, "7B", lambda d: d.publisher == "second")
            assert engine.counters()["sessions_now"] == 1


async def test_the_same_publishers_new_session_ends_its_old_one(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine, "kit") as old, raw_publisher(engine, "kit"):
        await asyncio.wait_for(old.closed.wait(), 5)
        with pytest.raises(SessionUnknown):
            engine.channel_of(old.session_id)
        assert engine.counters()["sessions_now"] == 1


async def test_a_rejected_offer_leaves_the_publishers_session_as_it_was(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine, "kit") as kit:
        with pytest.raises(OfferRejected):
            engine.publish("7B", "kit", some_offer("recvonly"))
        assert engine.channel_of(kit.session_id) == "7B"


async def test_nothing_is_allocated_for_a_rejected_offer(engine: EmbeddedEngine) -> None:
    for refused in (engine.watch, lambda channel, sdp: engine.publish(channel, "kit", sdp)):
        with pytest.raises(OfferRejected):
            refused("7B", "v=0\r\n")
    assert engine.counters()["sessions_now"] == engine.counters()["channels_now"] == 0
    assert engine._demux.sizes == (0, 0)


async def test_a_full_engine_takes_nobody_but_a_publisher_that_replaces_itself() -> None:
    engine = EmbeddedEngine(port=0, advertise=("127.0.0.1",), max_sessions=2)
    await engine.start()
    try:
        engine.publish("7B", "kit", some_offer("sendonly"))
        engine.watch("7B", some_offer())
        with pytest.raises(EngineFull):
            engine.watch("7B", some_offer())
        engine.publish("7B", "kit", some_offer("sendonly"))
    finally:
        await engine.close()


async def test_half_open_sessions_are_bounded(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_HALF_OPEN", 3)
    for _ in range(3):
        engine.watch("7B", some_offer())
    with pytest.raises(EngineFull):
        engine.watch("7B", some_offer())


async def test_one_class_cannot_take_all_half_open_sessions(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "MAX_HALF_OPEN", 4)
    monkeypatch.setattr(engine_module, "MAX_HALF_OPEN_EACH", 2)
    for _ in range(2):
        engine.watch("7B", some_offer())
    with pytest.raises(EngineFull, match="of this class"):
        engine.watch("7B", some_offer())
    for _ in range(2):
        engine.watch("8A", some_offer())
    with pytest.raises(EngineFull):
        engine.watch("9C", some_offer())


async def test_half_open_sessions_are_dropped_in_time(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "HANDSHAKE_S", 0.5)
    engine.watch("7B", some_offer())
    await until_counted(engine, "sessions_expired")
    assert engine.counters()["sessions_now"] == engine.counters()["channels_now"] == 0


async def test_a_viewer_without_consent_is_dropped(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_viewer(engine) as quiet, raw_viewer(engine) as alive:
        monkeypatch.setattr(engine_module, "SILENCE_S", 1.5)
        await until(lambda: alive.check() != b"" and engine.counters()["sessions_expired"] > 0)
        with pytest.raises(SessionUnknown):
            engine.etag_of(quiet.session_id)
        assert engine.channel_of(alive.session_id) == "7B"


@pytest.mark.parametrize("end", [lambda e, s: e.end(s), lambda e, _: e.close_channel("7B")])
async def test_a_session_that_is_ended_hears_it_and_is_gone(
    engine: EmbeddedEngine, end: Callable[[EmbeddedEngine, str], None]
) -> None:
    async with raw_viewer(engine) as viewer:
        end(engine, viewer.session_id)
        await asyncio.wait_for(viewer.closed.wait(), 5)
        assert engine._demux.sizes == (0, 0)
        for ask in (engine.end, engine.etag_of, engine.channel_of, lambda session: engine.patch(session, "")):
            with pytest.raises(SessionUnknown):
                ask(viewer.session_id)


async def test_ending_the_publisher_leaves_the_viewers(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine), raw_publisher(engine) as kit:
        engine.end_publisher("7B")
        await asyncio.wait_for(kit.closed.wait(), 5)
        delivery = await until_delivery(engine, "7B", lambda d: d.publisher is None)
        assert delivery.viewers == 1
        engine.end_publisher("7B")
        engine.end_publisher("nobody's")


async def test_a_joiner_sees_nothing_of_a_publisher_that_is_gone(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as kit:
        kit.send(Camera().picture())
        await until_counted(engine, "packets_received")
        async with raw_viewer(engine) as before:
            await before.next_rtp()
            engine.end_publisher("7B")
            async with raw_viewer(engine) as after, raw_publisher(engine) as again:
                assert after.rtp.empty()
                again.send(Camera(pictures=30).picture())
                assert picture_number(await after.next_rtp()) == 30


async def test_a_peer_that_says_goodbye_is_gone_at_once(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer:
        viewer.goodbye()
        await until(lambda: engine.counters()["sessions_now"] == 0)
        assert engine.counters()["sessions_expired"] == 0


async def test_closing_says_goodbye_to_everybody_and_releases_the_port(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as kit:
        port = engine.port
        await engine.close()
        await engine.close()
        await asyncio.wait_for(viewer.closed.wait(), 5)
        await asyncio.wait_for(kit.closed.wait(), 5)
    with pytest.raises(EngineFull):
        engine.watch("7B", some_offer())
    again = EmbeddedEngine(port=port, advertise=("127.0.0.1",))
    await again.start()
    await again.close()


async def test_a_port_that_is_taken_is_an_os_error(engine: EmbeddedEngine) -> None:
    second = EmbeddedEngine(port=engine.port)
    with pytest.raises(OSError, match="in use"):
        await second.start()


async def test_an_advertised_name_that_is_unknown_is_an_os_error() -> None:
    engine = EmbeddedEngine(port=0, advertise=("no-such-host.invalid",))
    with pytest.raises(OSError):  # noqa: PT011 - the text is the resolver's
        await engine.start()


async def test_session_ids_are_unguessable_and_etags_differ(engine: EmbeddedEngine) -> None:
    answers = [engine.watch("7B", some_offer()) for _ in range(20)]
    assert len({answer.session_id for answer in answers}) == len({answer.etag for answer in answers}) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", answer.session_id) for answer in answers)


async def test_an_ice_restart_moves_the_session_to_new_credentials(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as kit:
        etag = engine.etag_of(viewer.session_id)
        old = viewer.remote
        fragment = engine.patch(viewer.session_id, FRAGMENT.format("newufrag", "n" * 24))
        assert fragment is not None
        assert engine.etag_of(viewer.session_id) != etag
        assert "a=candidate:" in fragment
        assert "a=ice-lite" in fragment

        camera = Camera(group=1)
        kit.send(camera.picture())
        await viewer.next_rtp()  # the old path goes on meanwhile
        viewer.checked.clear()
        viewer.check()
        await asyncio.wait_for(viewer.checked.wait(), 5)

        viewer.remote, viewer.local = credentials_of(fragment), viewer.local.__class__("newufrag", "n" * 24)
        viewer.checked.clear()
        viewer.check()
        await asyncio.wait_for(viewer.checked.wait(), 5)
        kit.send(camera.picture())
        await viewer.next_rtp()
        assert old.ufrag not in engine._demux._by_ufrag


async def test_a_restart_that_is_never_used_keeps_the_session(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as kit:
        for number in range(10):
            engine.patch(viewer.session_id, FRAGMENT.format(f"ufrag{number}", "n" * 24))
        viewer.checked.clear()
        viewer.check()
        await asyncio.wait_for(viewer.checked.wait(), 5)
        kit.send(Camera().picture())
        await viewer.next_rtp()
        assert engine._demux.sizes[0] <= 1 + engine_module.MAX_GENERATIONS


async def test_trickled_candidates_are_taken_and_change_nothing(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer:
        etag = engine.etag_of(viewer.session_id)
        own = FRAGMENT.format(viewer.local.ufrag, viewer.local.password)
        candidate = "a=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n"
        for fragment in (own + candidate, "m=video 9 UDP/TLS/RTP/SAVPF 106\r\na=mid:v\r\n" + candidate):
            assert engine.patch(viewer.session_id, fragment) is None
        assert engine.etag_of(viewer.session_id) == etag


@pytest.mark.parametrize(
    "fragment",
    [
        "",
        "not a fragment",
        "a=ice-ufrag:abcd\r\n",
        "a=ice-ufrag:ab\r\na=ice-pwd:short\r\n",
        "x" * 20_000,
        "a=mid:v\r\n",
    ],
)
async def test_a_bad_fragment_is_rejected_and_the_session_goes_on(engine: EmbeddedEngine, fragment: str) -> None:
    async with raw_viewer(engine) as viewer:
        etag = engine.etag_of(viewer.session_id)
        with pytest.raises(FragmentRejected):
            engine.patch(viewer.session_id, fragment)
        assert engine.etag_of(viewer.session_id) == etag


async def move(viewer: RawPeer) -> asyncio.DatagramTransport:
    """Give a peer a new socket, as a phone that leaves the Wi-Fi; the old one."""
    old = viewer.socket
    await viewer.open()
    return old


async def test_a_viewer_that_changes_its_address_just_moves(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as kit:
        camera = Camera()
        kit.send(camera.picture())
        first = await viewer.next_rtp()
        old = await move(viewer)
        viewer.checked.clear()
        viewer.check()
        await asyncio.wait_for(viewer.checked.wait(), 5)
        old.close()
        kit.send(camera.picture())
        second = await viewer.next_rtp()
    assert (second.ssrc, second.sequence) == (first.ssrc, first.sequence + 1)


async def test_a_check_of_a_spare_path_does_not_move_a_viewer_whose_path_works(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as kit:
        old = await move(viewer)
        viewer.checked.clear()
        viewer.check(nominate=False)
        await asyncio.wait_for(viewer.checked.wait(), 5)
        viewer.socket.close()
        viewer.socket = old
        kit.send(Camera().picture())
        await viewer.next_rtp()


async def test_a_viewer_behind_a_nat_that_forgot_it_moves_by_its_next_check(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some clients nominate only once."""
    monkeypatch.setattr(transport, "PATH_SILENT_S", 0.0)
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as kit:
        old = await move(viewer)
        viewer.checked.clear()
        viewer.check(nominate=False)
        await asyncio.wait_for(viewer.checked.wait(), 5)
        old.close()
        kit.send(Camera().picture())
        await viewer.next_rtp()


async def test_a_hundred_joins_and_leaves_leave_nothing(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine):
        for _ in range(100):
            async with raw_viewer(engine) as viewer:
                engine.end(viewer.session_id)
        assert engine._demux.sizes == (1, 1)
        stage = engine._channels["7B"]
        assert not stage.viewers
        assert not any(stage._live.values())
        assert not stage._waiting
        assert not engine._half_open
    await engine.close()
    assert engine._channels == {}


async def test_a_viewers_report_tells_the_round_trip(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as kit:
        kit.send(Camera(ssrc=1).picture())
        packet = await viewer.next_rtp()
        kit.send_rtcp(rtcp.sender_report(1, 1 << 40, 90_000, 1, 1))
        report = next(r for r in rtcp.read(await viewer.next_rtcp(rtcp.SR)) if isinstance(r, rtcp.SenderReport))
        block = rtcp.ReportBlock(packet.ssrc, 64, 0, packet.sequence, 0, report.ntp >> 16 & 0xFFFFFFFF, 0)
        viewer.send_rtcp(rtcp.receiver_report(1, [block]))
        mine = next(iter(engine._channels["7B"].viewers))
        await until(lambda: mine.fraction_lost == 0.25)
        assert 0 < mine.round_trip_s < 0.05
