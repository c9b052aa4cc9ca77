"""What a session reports of its streams, so that lips stay in step: over real loopback UDP."""

from __future__ import annotations

from aiortc.rtp import (
    RtcpPacket,
    RtcpSdesPacket,
    RtcpSrPacket,
)

from appliance.capture.clock import LessonClock
from appliance.stream.timestamps import PICTURE_RATE_HZ, VOICE_RATE_HZ, ntp_time
from tests.appliance.stream.media import unit, voice
from tests.appliance.stream.session_stage import KEY_FRAME_BYTES, complete, reports, stage


async def test_both_streams_report_the_lesson_clock_so_that_lips_stay_in_step() -> None:
    """Voice is fed 180 ms late and picture at once; by their reports a receiver puts both where they were captured."""
    clock = LessonClock.start()
    async with stage(clock=clock) as on:
        picture_us = [clock.now_us() + number * 33_333 for number in range(4)]
        voice_us = [picture_us[0] - 180_000 + number * 20_000 for number in range(6)]
        for number, at_us in enumerate(picture_us):
            on.pictures.put(unit(at_us, key_frame=number == 0, size=KEY_FRAME_BYTES if number == 0 else 2000))
        for at_us in voice_us:
            on.voices.put(voice(at_us))
        await on.until(lambda: complete(on.server.packets("video"), 4) and len(on.server.packets("audio")) == 6)
        kinds = {"video": (picture_us, PICTURE_RATE_HZ), "audio": (voice_us, VOICE_RATE_HZ)}
        # The first report right after the first packet, and one of aiortc's own up to 1.5 s later.
        await on.until(lambda: all(len(reports(on.server, on.server.ssrc(kind))) >= 2 for kind in kinds))
        for kind, (captured_us, rate_hz) in kinds.items():
            timestamps = list(dict.fromkeys(packet.timestamp for packet in on.server.packets(kind)))
            for report in reports(on.server, on.server.ssrc(kind)):
                for at_us, timestamp in zip(captured_us, timestamps, strict=True):
                    assert abs(_by_report_us(report, timestamp, rate_hz) - at_us - clock.started_unix_us) < 200


def _by_report_us(report: RtcpSrPacket, timestamp: int, rate_hz: int) -> float:
    """When a receiver believes that the media with this RTP timestamp was captured, in µs since 1970."""
    ahead = (timestamp - report.sender_info.rtp_timestamp + 2**31) % 2**32 - 2**31
    return (report.sender_info.ntp_timestamp - ntp_time(0)) / 2**32 * 1e6 + ahead * 1e6 / rate_hz


async def test_the_first_report_follows_the_first_packet_and_names_both_streams_alike() -> None:
    async with stage() as on:
        on.pictures.put(unit(0, key_frame=True, size=10))
        on.voices.put(voice(0))
        await on.until(lambda: len(on.server.rtcp) >= 2)
        packets = [packet for arrived in on.server.rtcp for packet in RtcpPacket.parse(arrived.data)]
        first_media_s = min(packet.at_s for packet in on.server.rtp)
        assert on.server.rtcp[1].at_s - first_media_s < 0.4, "before aiortc's earliest, at 0.5 s"
        names = {chunk.items[0] for packet in packets if isinstance(packet, RtcpSdesPacket) for chunk in packet.chunks}
        assert len(names) == 1, "one CNAME: RFC 3550 §6.5.1 lets a receiver synchronise only within one"


async def test_no_report_goes_out_for_a_stream_that_has_sent_nothing() -> None:
    async with stage() as on:
        on.voices.put(voice(0))
        await on.until(lambda: len(reports(on.server, on.server.ssrc("audio"))) >= 2)
        assert not reports(on.server, on.server.ssrc("video"))


async def test_reports_count_what_left_and_not_what_waits() -> None:
    async with stage() as on:
        on.pictures.put(unit(0, key_frame=True, size=KEY_FRAME_BYTES))
        await on.complete(1)
        video = on.server.ssrc("video")
        await on.until(lambda: len(reports(on.server, video)) >= 2)
        first, last = reports(on.server, video)[0].sender_info, reports(on.server, video)[-1].sender_info
        assert first.packet_count == 1
        assert last.packet_count == len(on.server.packets("video"))
        assert KEY_FRAME_BYTES < last.octet_count < KEY_FRAME_BYTES * 1.01
