"""A session over real loopback UDP, against a real aiortc peer that only receives packets."""

from __future__ import annotations

import asyncio
import itertools
import socket
import statistics
import struct
from collections.abc import Callable

import pytest
from aiortc.rtp import (
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
)

from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock
from appliance.errors import RelayUnreachable
from appliance.stream.session import SessionTimes
from tests.appliance.stream.media import decodable, unit, voice
from tests.appliance.stream.session_stage import KEY_FRAME_BYTES, Stage, complete, reports, stage, watched

QUICK = SessionTimes(connect_s=5.0, liveness_s=1.0, probe_every_s=0.1, suspect_s=0.2)


async def test_pictures_and_voice_arrive_as_they_were_encoded() -> None:
    async with stage() as on:
        on.pictures.put(unit(0, key_frame=True, size=100))
        on.voices.put(voice(0))
        await on.until(lambda: on.server.packets("video") and on.server.packets("audio"))
        (picture,), (spoken,) = on.server.packets("video"), on.server.packets("audio")
        assert picture.data.endswith(b"\x65" + b"\x5a" * 100)
        assert spoken.data.endswith(voice(0).data)
        assert on.key_frames_left == 1


async def test_what_arrives_decodes() -> None:
    async with stage(decode=True) as on:
        units = decodable(12)
        for made in units:
            on.pictures.put(made)
        track = next(track for track in on.server.tracks if track.kind == "video")
        async with asyncio.timeout(10):
            frames = [await track.recv() for _ in range(8)]
        assert {(frame.width, frame.height) for frame in frames} == {(320, 180)}
        steps = {round(after.pts - before.pts) for before, after in itertools.pairwise(frames)}
        assert steps <= {2999, 3000, 3001}


async def test_a_key_frame_is_paced_and_voice_passes_it() -> None:
    interval_us = 200_000  # long, so that a busy machine's delays are small against it
    async with stage() as on:
        for number in range(12):
            on.pictures.put(unit(number * interval_us, key_frame=number == 0, size=10))
            await on.complete(number + 1)
        on.pictures.put(unit(12 * interval_us, key_frame=True, size=KEY_FRAME_BYTES))
        await on.until(lambda: len(on.server.packets("video")) > 12)
        for number in range(3):  # while the key frame is leaving
            on.voices.put(voice(number * 20_000))
        await on.until(lambda: complete(on.server.packets("video"), 13) and len(on.server.packets("audio")) == 3)
        pictures, spoken = on.server.packets("video")[12:], on.server.packets("audio")
        assert len(pictures) >= 90
        lasted_s = pictures[-1].at_s - pictures[0].at_s
        assert lasted_s >= interval_us / 2e6 * 0.95, "half an interval; arrival, so a little less"
        assert spoken[-1].at_s < pictures[len(pictures) // 2].at_s, "voice waited behind picture"


async def test_sequence_numbers_and_timestamps_go_on_through_their_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiortc.rtcrtpsender.random_sequence_number", lambda: 65_534)
    monkeypatch.setattr("aiortc.rtcrtpsender.random32", lambda: 0xFFFFFFFF - 1000)
    async with stage() as on:
        for number in range(4):
            on.pictures.put(unit(number * 33_333, key_frame=number == 0, size=10))
            on.voices.put(voice(number * 20_000))
        await on.until(lambda: len(on.server.packets("video")) == 4 and len(on.server.packets("audio")) == 4)
        pictures = on.server.packets("video")
        assert [packet.sequence for packet in pictures] == [65_534, 65_535, 0, 1]
        assert pictures[-1].timestamp < 10_000 < pictures[0].timestamp
        for report in reports(on.server, on.server.ssrc("video")):
            assert 0 <= report.sender_info.rtp_timestamp <= 0xFFFFFFFF


@pytest.mark.parametrize(
    "request_of",
    [
        lambda ssrc: RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=ssrc),
        lambda ssrc: RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=struct.pack("!LB3x", ssrc, 1)),
    ],
    ids=["PLI", "FIR"],
)
async def test_a_lost_picture_is_heard_of(request_of: Callable[[int], RtcpPsfbPacket]) -> None:
    async with stage() as on:
        await on.server.send_rtcp(request_of(on.server.ssrc("video")))
        await on.until(lambda: on.picture_losses)
        assert on.session.counts.picture_requests == 1


async def test_loss_and_nacks_are_counted() -> None:
    async with stage() as on:
        video = on.server.ssrc("video")
        on.pictures.put(unit(0, key_frame=True, size=5000))
        await on.complete(1)
        report = RtcpReceiverInfo(
            ssrc=video, fraction_lost=64, packets_lost=1, highest_sequence=1, jitter=0, lsr=0, dlsr=0
        )
        await on.server.send_rtcp(RtcpRrPacket(ssrc=1, reports=[report]))
        lost = on.server.packets("video")[1]
        await on.server.send_rtcp(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=video, lost=[lost.sequence]))
        await on.until(lambda: len(on.server.rtp) > len(on.server.packets("video")))
        again = next(packet for packet in on.server.rtp if packet.ssrc != video)
        assert again.data.endswith(lost.data[-1000:]), "sent again, as RTX (RFC 4588)"
        assert (on.session.counts.loss, on.session.counts.nacked) == (0.25, 1)


async def test_a_packet_of_two_seconds_ago_can_still_be_sent_again() -> None:
    async with stage() as on:
        for number in range(8):  # 760 packets; aiortc alone keeps 128
            on.pictures.put(unit(number * 33_333, key_frame=True, size=KEY_FRAME_BYTES))
            await on.complete(number + 1)
        video, oldest = on.server.ssrc("video"), on.server.packets("video")[0]
        assert len(on.server.packets("video")) > 700
        await on.server.send_rtcp(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=video, lost=[oldest.sequence]))
        await on.until(lambda: any(packet.ssrc not in {video, on.server.ssrc("audio")} for packet in on.server.rtp))


async def test_datagrams_from_a_stranger_do_not_end_the_session() -> None:
    async with stage(times=QUICK) as on, watched(on) as running:
        hostile = [
            b"",
            b"\x80",
            b"\x80" + bytes(1599),
            b"\xbf" * 1600,
            b"\x16" * 1600,
            struct.pack("!HHI12s", 1, 8, 0x2112A442, b"t" * 12) + struct.pack("!HH", 0x8028, 1) + b"\x00" * 4,
        ]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for datagram in hostile:
                stranger.sendto(datagram, on.server.address())
        await on.server.send_rtcp(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=on.server.ssrc("video")))
        await on.until(lambda: on.picture_losses)  # read after them, and still understood
        on.pictures.put(unit(0, key_frame=True, size=10))
        await on.complete(1)
        assert on.session._peer.datagrams_refused == len(hostile)
        assert not running.done()


async def test_the_way_there_and_back_is_measured() -> None:
    async with stage(times=QUICK) as on, watched(on):
        on.pictures.put(unit(0, key_frame=True, size=10))
        await on.until(lambda: len(on.server.rtcp) >= 2)
        assert on.session.counts.rtt_ms is not None
        assert 0 < on.session.counts.rtt_ms < 200


async def test_a_relay_that_falls_silent_is_noticed_by_our_own_watchdog() -> None:
    async with stage(times=QUICK) as on, watched(on) as running:
        loop = asyncio.get_running_loop()
        on.server.fall_silent()
        since_s = loop.time()
        with pytest.raises(RelayUnreachable, match="has not answered for"):
            async with asyncio.timeout(10):
                await running
        assert loop.time() - since_s < 5, "aiortc alone needs 34 s"
        assert on.session.lost


async def test_doubt_finds_a_dead_relay_sooner_and_a_live_one_alive() -> None:
    patient = SessionTimes(liveness_s=30.0, probe_every_s=10.0, suspect_s=0.2)
    async with stage(times=patient) as on, watched(on) as running:
        on.session.suspect()
        on.pictures.put(unit(0, key_frame=True, size=10))
        await on.until(lambda: on.session.counts.rtt_ms is not None and len(on.server.rtcp) >= 2)
        assert not running.done()
        on.server.fall_silent()
        on.session.suspect()
        with pytest.raises(RelayUnreachable, match="has not answered for"):
            async with asyncio.timeout(5):
                await running


async def test_a_relay_that_ends_the_session_is_heard() -> None:
    async with stage() as on, watched(on) as running:
        await on.server.pc.close()
        with pytest.raises(RelayUnreachable, match="the media connection ended"):
            async with asyncio.timeout(5):
                await running


async def test_a_unit_that_cannot_be_packetised_ends_the_session_and_not_just_its_picture() -> None:
    async with stage() as on, watched(on) as running:
        on.pictures.put(AccessUnit(b"\x00\x00\x01\x00\x00\x01\x65", True, 0))  # an empty NAL unit
        with pytest.raises(RelayUnreachable, match="the media connection ended"):
            async with asyncio.timeout(5):
                await running


async def test_a_machine_that_has_only_loopback_reaches_a_relay_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [])
    async with stage() as on:
        assert on.server.address()[0] == "127.0.0.1"


async def test_the_address_that_answered_the_post_is_checked_first() -> None:
    """Checks start 20 ms apart; a relay behind bridges and VPNs names many addresses."""
    made = Stage(LessonClock.start(), None, decode=False)
    try:
        answer = await made.server.answer(await made.session.offer())
        right = next(line for line in answer.splitlines() if line.startswith("a=candidate:") and " 127.0.0.1 " in line)
        wrong = [right.replace(" 127.0.0.1 ", f" 127.0.0.{number} ") for number in range(2, 12)]
        await made.session.accept(answer.replace(right, "\r\n".join([*wrong, right])))
        await made.session.connected()
        checked = made.session._peer._connection._check_list
        assert checked[0].remote_candidate.host == "127.0.0.1"
    finally:
        await made.close()


async def test_a_relay_without_a_udp_path_is_given_up_on_soon() -> None:
    times = SessionTimes(connect_s=0.3)
    made = Stage(LessonClock.start(), times, decode=False)
    try:
        answer = await made.server.answer(await made.session.offer())
        made.server.fall_silent()
        lines = [line for line in answer.splitlines() if line != "a=end-of-candidates"]  # the form that hung for 75 s
        await made.session.accept("\r\n".join(lines) + "\r\n")
        with pytest.raises(RelayUnreachable, match=r"no UDP path to the relay within 0\.3 s"):
            await made.session.connected()
    finally:
        await made.close()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "hello",
        "v=0\r\n",
        "v=0\r\nm=audio\r\n",
        "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n",
    ],
)
async def test_an_answer_that_is_none_is_refused(answer: str) -> None:
    made = Stage(LessonClock.start(), None, decode=False)
    try:
        await made.session.offer()
        with pytest.raises(RelayUnreachable, match="no usable SDP"):
            await made.session.accept(answer)
    finally:
        await made.session.close()
        await made.server.close()


async def test_an_answer_that_takes_no_h264_is_refused() -> None:
    made = Stage(LessonClock.start(), None, decode=False)
    try:
        answer = await made.server.answer(await made.session.offer())
        with pytest.raises(RelayUnreachable, match="no usable SDP"):
            await made.session.accept(answer.replace("H264/90000", "AV1/90000"))
    finally:
        await made.close()


async def test_a_session_that_aiortc_half_closed_is_closed_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first closer fails at a step, the next one would wait for ever: no task or socket may stay (conftest.py)."""
    async with stage(times=SessionTimes(close_s=0.2)) as on:
        pc = on.session._peer._pc

        async def fail() -> None:
            raise ValueError("a step of the close failed")

        monkeypatch.setattr(pc.getSenders()[0].transport, "stop", fail)
        with pytest.raises(ValueError, match="a step"):
            await pc.close()


async def test_closing_tells_the_relay() -> None:
    async with stage() as on:
        await on.session.close()
        async with asyncio.timeout(5):
            while on.server.pc.connectionState != "closed":
                on.server.progress.clear()
                await on.server.progress.wait()


async def test_the_cost_of_a_packet_stays_low() -> None:
    """A guard against a slow path, not a benchmark: CPU time of both ends of 1,000 packets."""
    import time

    async with stage() as on:
        costs = []
        for number in range(10):
            before_s = time.process_time()
            on.pictures.put(unit(number * 33_333, key_frame=True, size=KEY_FRAME_BYTES))
            await on.complete(number + 1)
            costs.append((time.process_time() - before_s) / 94)
        assert statistics.median(costs) < 0.001
