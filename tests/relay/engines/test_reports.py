"""What the engine reports: to the publisher, to viewers, and to the relay."""

from __future__ import annotations

import asyncio

import pytest

from relay.engines.embedded import EmbeddedEngine, channel, publisher, rtcp, viewer
from tests.relay.engines.raw_peer import AUDIO, Camera, RawPeer, Rtp, raw_publisher, raw_viewer
from tests.relay.engines.waiting import until, until_counted, until_delivery

NTP_SECOND = 1 << 32


async def test_a_publisher_gets_reports_behind_the_curtain_too(engine: EmbeddedEngine) -> None:
    """No media for longer than the kit's watchdog waits: it must still hear that the relay lives."""
    async with raw_publisher(engine) as kit:
        heard = []
        for _ in range(4):
            started = asyncio.get_running_loop().time()
            heard += rtcp.read(await kit.next_rtcp(rtcp.RR))
            assert asyncio.get_running_loop().time() - started < 2
    assert all(isinstance(item, rtcp.ReceiverReport) and item.blocks == () for item in heard)


async def test_a_report_tells_the_publisher_what_was_lost(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as kit:
        camera = Camera(ssrc=0x5151)
        for number in range(100):
            packet = camera.picture()
            if number % 4 != 1:
                kit.send(packet)
        kit.send_rtcp(rtcp.sender_report(0x5151, 0x1234_5678_9ABC_DEF0, 0, 75, 0))
        await until_counted(engine, "packets_received", 75)
        block = await next_block(kit, 0x5151)
    assert block.lost == 25
    assert block.fraction_lost == 25 * 256 // 100
    assert block.highest & 0xFFFF == 1099
    assert block.lsr == 0x5678_9ABC
    assert block.dlsr < 2 * 65536


async def next_block(kit: RawPeer, ssrc: int) -> rtcp.ReportBlock:
    while True:
        for item in rtcp.read(await kit.next_rtcp(rtcp.RR)):
            for block in item.blocks if isinstance(item, rtcp.ReceiverReport) else ():
                if block.ssrc == ssrc:
                    return block


async def test_lip_sync_holds_through_the_relays_rewriting(engine: EmbeddedEngine) -> None:
    """A picture and a sound of the same instant stay so: their sender reports give the same NTP time."""
    async with raw_viewer(engine) as pupil, raw_publisher(engine) as kit:
        ntp = 1_000 * NTP_SECOND
        camera = Camera(ssrc=1, timestamp=90_000)  # picture 90,000 and voice 7,000 were both taken at 1,000 s
        kit.send(camera.picture())
        kit.send(Rtp(AUDIO, False, 1, 7_000, 2, b"voice"))
        voice, picture = await pupil.next_rtp(AUDIO), await pupil.next_rtp()  # a voice waits for no picture
        kit.send_rtcp(rtcp.sender_report(1, ntp, 90_000, 1, 1))
        kit.send_rtcp(rtcp.sender_report(2, ntp + 2 * NTP_SECOND, 7_000 + 2 * 48_000, 1, 1))
        reports = {report.ssrc: report for report in [await next_report(pupil), await next_report(pupil)]}
    taken = [
        reports[packet.ssrc].ntp / NTP_SECOND
        - ((reports[packet.ssrc].rtp - packet.timestamp + 2**31 & 0xFFFFFFFF) - 2**31) / rate
        for packet, rate in ((picture, 90_000), (voice, 48_000))
    ]
    assert abs(taken[0] - taken[1]) < 1e-3


async def next_report(pupil: RawPeer) -> rtcp.SenderReport:
    for item in rtcp.read(await pupil.next_rtcp(rtcp.SR)):
        if isinstance(item, rtcp.SenderReport):
            return item
    raise AssertionError("the compound holds a sender report")


async def test_both_streams_of_a_viewer_carry_one_name(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as pupil, raw_publisher(engine) as kit:
        kit.send(Camera(ssrc=1).picture())
        kit.send(Rtp(AUDIO, False, 1, 7_000, 2, b"voice"))
        await pupil.next_rtp(AUDIO)
        for ssrc in (1, 2):
            kit.send_rtcp(rtcp.sender_report(ssrc, NTP_SECOND, 0, 1, 1))
        names = {(await pupil.next_rtcp(rtcp.SDES))[28 + 8 :].rstrip(b"\0") for _ in range(2)}
    assert len(names) == 1


async def test_a_joiner_is_told_the_instant_with_its_first_packets(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as kit:
        kit.send(Camera(ssrc=1).picture())
        kit.send_rtcp(rtcp.sender_report(1, NTP_SECOND, 90_000, 1, 1))
        await until_counted(engine, "packets_received")
        async with raw_viewer(engine) as pupil:
            packet = await pupil.next_rtp()
            assert (await next_report(pupil)).ssrc == packet.ssrc


async def test_picture_and_sound_are_fresh_while_they_come_and_stale_soon_after(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "PICTURE_FRESH_S", 0.3)
    monkeypatch.setattr(channel, "VOICE_FRESH_S", 0.3)
    async with raw_publisher(engine, "kit-7") as kit:
        kit.send(Camera().picture())
        kit.send(Rtp(AUDIO, False, 1, 0, 2, b"a loud voice"))
        fresh = await until_delivery(engine, "7B", lambda d: d.picture_fresh and d.sound_fresh)
        assert fresh.publisher == "kit-7"
        assert fresh.on_air
        stale = await until_delivery(engine, "7B", lambda d: not d.picture_fresh and not d.sound_fresh)
        assert stale.publisher == "kit-7"
        assert not stale.on_air


async def test_what_a_publisher_before_sent_makes_nothing_fresh(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lesson that begins right after another is not on air by the other's last picture."""
    monkeypatch.setattr(channel, "PICTURE_FRESH_S", 60.0)
    monkeypatch.setattr(channel, "KEY_FRESH_S", 60.0)
    monkeypatch.setattr(channel, "VOICE_FRESH_S", 60.0)
    monkeypatch.setattr(channel, "LOUD_FRESH_S", 60.0)
    camera = Camera()
    async with raw_publisher(engine) as kit:
        kit.send(camera.picture())
        kit.send(Rtp(AUDIO, False, 1, 0, 2, b"a loud voice"))
        await until_delivery(engine, "7B", lambda d: d.picture_fresh and d.sound_fresh)
    async with raw_publisher(engine) as kit:
        begun = await until_delivery(engine, "7B", lambda d: d.publisher is not None)
        assert (begun.picture_fresh, begun.sound_fresh) == (False, False)
        kit.send(Camera(sequence=5000, timestamp=900_000).picture())
        kit.send(Rtp(AUDIO, False, 9, 9_600, 2, b"a loud voice"))
        await until_delivery(engine, "7B", lambda d: d.picture_fresh and d.sound_fresh)


async def test_pictures_without_a_recent_key_frame_are_not_fresh(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "KEY_FRESH_S", 0.3)
    async with raw_publisher(engine) as kit:
        camera = Camera(group=10_000)
        kit.send(camera.picture())
        await until_counted(engine, "packets_received")
        await until(lambda: send(kit, camera) and not engine.delivery("7B").picture_fresh)


def send(kit: RawPeer, camera: Camera) -> bool:
    kit.send(camera.picture())
    return True


async def test_dead_silence_is_no_sound(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as kit:
        for number in range(10):
            kit.send(Rtp(AUDIO, False, number, 960 * number, 2, b"\xf8\xff\xfe"))
        await until_counted(engine, "packets_received", 10)
        assert not engine.delivery("7B").sound_fresh


async def test_a_publisher_that_falls_silent_counts_as_gone(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "GONE_S", 0.5)
    async with raw_publisher(engine) as kit:
        await until_delivery(engine, "7B", lambda d: d.publisher == "kit")
        await until_delivery(engine, "7B", lambda d: d.publisher is None)
        kit.check()
        await until_delivery(engine, "7B", lambda d: d.publisher == "kit")


async def test_viewers_count_as_receiving_by_their_own_reports(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "RECEIVING_S", {"video": 0.6, "audio": 0.6})
    async with raw_publisher(engine) as kit, raw_viewer(engine) as pupil:
        await until_delivery(engine, "7B", lambda d: (d.viewers, d.viewers_receiving) == (1, 1))
        await until_delivery(engine, "7B", lambda d: (d.viewers, d.viewers_receiving) == (1, 0))
        kit.send(Camera().picture())
        packet = await pupil.next_rtp()
        block = rtcp.ReportBlock(packet.ssrc, 0, 0, packet.sequence, 0, 0, 0)
        pupil.send_rtcp(rtcp.receiver_report(1, [block]))
        await until_delivery(engine, "7B", lambda d: (d.viewers, d.viewers_receiving) == (1, 1))
        pupil.send_rtcp(rtcp.receiver_report(1, [block]))  # the same number: nothing came since
        await until_delivery(engine, "7B", lambda d: (d.viewers, d.viewers_receiving) == (1, 0))


async def test_a_channel_where_nobody_is_has_nothing_to_deliver(engine: EmbeddedEngine) -> None:
    delivery = engine.delivery("nobody's")
    assert not delivery.on_air
    assert delivery.viewers == 0


async def test_an_unsubscribed_listener_hears_nothing(engine: EmbeddedEngine) -> None:
    heard: list[str] = []
    unsubscribe = engine.subscribe(heard.append)
    unsubscribe()
    unsubscribe()
    async with raw_viewer(engine):
        await until_delivery(engine, "7B", lambda d: d.viewers == 1)
    assert heard == []


async def test_figures_tell_how_viewers_and_publishers_are(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as kit, raw_viewer(engine) as pupil:
        camera = Camera()
        for _ in range(12):
            kit.send(camera.picture())
        packet = (await pupil.take(12))[-1]
        pupil.send_rtcp(rtcp.receiver_report(1, [rtcp.ReportBlock(packet.ssrc, 128, 3, packet.sequence, 0, 0, 0)]))
        await until(lambda: engine.counters()["viewer_loss_now"] == 0.5)
        figures = engine.counters()
    assert figures["viewers_now"] == figures["viewers_receiving_now"] == figures["publishers_now"] == 1
    assert figures["viewer_round_trip_s_now"] > 0


async def test_a_joiner_is_told_the_instant_of_the_voice_before_any_of_it(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as kit:
        kit.send(Rtp(AUDIO, False, 1, 7_000, 2, b"voice"))
        kit.send_rtcp(rtcp.sender_report(2, NTP_SECOND, 7_000, 1, 1))
        await until_counted(engine, "packets_received")
        async with raw_viewer(engine) as pupil:
            report = await next_report(pupil)
            kit.send(Rtp(AUDIO, False, 2, 7_960, 2, b"voice"))
            assert (await pupil.next_rtp(AUDIO)).ssrc == report.ssrc
