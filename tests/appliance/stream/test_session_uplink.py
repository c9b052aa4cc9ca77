"""A session and its uplink: what it samples, what it passes on, and what it sends again."""

from __future__ import annotations

import asyncio

from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, RtcpRtpfbPacket

from appliance.stream.path import Sample
from appliance.stream.session import SessionTimes
from appliance.stream.timestamps import rtp_payload
from appliance.stream.uplink import WIRE_OVERHEAD_OCTETS, Target
from tests.appliance.stream.media import LIMITS, unit, voice
from tests.appliance.stream.session_stage import stage, watched

QUICK = SessionTimes(connect_s=5.0, liveness_s=1.0, probe_every_s=0.1, suspect_s=0.2)


async def test_a_packet_that_is_asked_for_in_a_hurry_is_sent_again_once_in_a_round_trip() -> None:
    async with stage() as on:
        video = on.server.ssrc("video")
        on.pictures.put(unit(0, key_frame=True, size=5000))
        await on.complete(1)
        on.session._probing.sent(asyncio.get_running_loop().time() - 60, 0)  # an answer is owed: a queue of a minute
        lost = on.server.packets("video")[1].sequence
        for _ in range(4):
            await on.server.send_rtcp(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=video, lost=[lost]))
        await on.until(lambda: on.session.counts.nacked == 4)
        on.pictures.put(unit(33_333, size=10))
        await on.complete(2)
        again = [packet for packet in on.server.rtp if packet.ssrc not in {video, on.server.ssrc("audio")}]
        assert len(again) == 1


async def test_what_a_full_queue_lost_of_the_pictures_is_not_sent_again_once_a_key_frame_is_to_come() -> None:
    narrow = Target(bitrate_bps=LIMITS.min_bps, fps=LIMITS.fps, pace_bps=None, hold=True)
    async with stage(times=QUICK) as on:
        on.pictures.put(unit(0, key_frame=True, size=5000))
        await on.complete(1)
        video = on.server.ssrc("video")
        old = on.server.packets("video")[1].sequence
        on.session._uplink.observe = lambda sample: narrow  # type: ignore[method-assign]
        async with watched(on):
            await on.until(lambda: on.targets)
        on.pictures.put(unit(33_333, key_frame=True, size=5000))
        await on.complete(2)
        new = on.server.packets("video")[-2].sequence
        for lost in (old, new):
            await on.server.send_rtcp(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=video, lost=[lost]))
        await on.until(lambda: on.session.counts.nacked == 2)
        on.pictures.put(unit(66_666, size=10))
        await on.complete(3)
        again = [packet for packet in on.server.rtp if packet.ssrc not in {video, on.server.ssrc("audio")}]
        assert [int.from_bytes(rtp_payload(packet.data)[:2], "big") for packet in again] == [new]


async def test_voice_that_is_sent_again_does_not_move_the_voices_clock() -> None:
    async with stage() as on:
        for number in range(4):
            on.voices.put(voice(number * 20_000))
        await on.until(lambda: len(on.server.packets("audio")) == 4)
        audio = on.server.ssrc("audio")
        timeline = on.session._timelines[audio]
        before = timeline.report(1_000_000)[1], timeline.packets
        octets = on.session.counts.wire_octets
        first = on.server.packets("audio")[0]
        await on.server.send_rtcp(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=audio, lost=[first.sequence]))
        await on.until(lambda: on.session.counts.nacked == 1)
        on.pictures.put(unit(80_000, key_frame=True, size=10))
        await on.complete(1)  # SRTP's replay protection hides what came twice
        picture = len(on.server.packets("video")[0].data) + WIRE_OVERHEAD_OCTETS
        assert on.session.counts.wire_octets == octets + len(first.data) + WIRE_OVERHEAD_OCTETS + picture
        assert (timeline.report(1_000_000)[1], timeline.packets) == before


async def test_the_uplink_is_told_what_left_and_what_was_answered_and_its_target_is_passed_on() -> None:
    async with stage(times=QUICK) as on, watched(on):
        seen: list[Sample] = []
        observe = on.session._uplink.observe

        def note(sample: Sample) -> Target:
            seen.append(sample)
            return observe(sample)

        on.session._uplink.observe = note  # type: ignore[method-assign]
        on.pictures.put(unit(0, key_frame=True, size=5000))
        await on.complete(1)
        video = on.server.ssrc("video")
        report = RtcpReceiverInfo(
            ssrc=video, fraction_lost=64, packets_lost=1, highest_sequence=1, jitter=0, lsr=0, dlsr=0
        )
        await on.server.send_rtcp(RtcpRrPacket(ssrc=1, reports=[report]))
        async with asyncio.timeout(10):
            while not any(sample.lost == 0.25 for sample in seen) or not any(sample.answered for sample in seen):
                await on.server.send_rtcp(RtcpRrPacket(ssrc=1, reports=[report]))
                on.server.progress.clear()
                await on.server.progress.wait()
        assert seen[-1].wire_octets > 5000
        assert seen[-1].packets == len(on.server.packets("video"))
        assert on.targets
        assert on.targets[0] == Target(bitrate_bps=LIMITS.max_bps, fps=LIMITS.fps, pace_bps=None)
