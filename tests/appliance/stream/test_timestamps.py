"""RTP clocks and sender reports: both streams speak of one time line, for ever and through every wrap."""

from __future__ import annotations

import itertools
import struct

import pytest
from aiortc.rtp import RtcpPacket, RtcpSdesPacket, RtcpSrPacket, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from appliance.stream.timestamps import (
    PICTURE_RATE_HZ,
    VOICE_RATE_HZ,
    SenderTimeline,
    VoiceTicks,
    is_rtcp,
    ntp_time,
    picture_ticks,
    rtp_payload_octets,
    sender_report_ssrc,
)

STARTED_UNIX_US = 1_788_249_600_250_000


def test_a_picture_second_is_90_000_ticks() -> None:
    assert [picture_ticks(us) for us in (0, 1_000_000, 33_333, 33_334)] == [0, 90_000, 2999, 3000]


@given(st.lists(st.integers(15_000, 25_000), min_size=1, max_size=200))
def test_back_to_back_voice_is_exactly_one_frame_apart_however_its_times_wobble(steps_us: list[int]) -> None:
    clock, at_us, ticks = VoiceTicks(), 0, []
    for step_us in steps_us:
        ticks.append(clock.ticks(at_us))
        at_us += step_us
    assert [after - before for before, after in itertools.pairwise(ticks)] == [960] * (len(ticks) - 1)


def test_a_gap_in_the_voice_is_whole_frames() -> None:
    clock = VoiceTicks()
    assert [clock.ticks(us) for us in (1_000_000, 1_020_000, 1_121_000, 1_141_000)] == [48_000, 48_960, 53_760, 54_720]


def test_voice_never_goes_back() -> None:
    clock = VoiceTicks()
    first = clock.ticks(500_000)
    assert clock.ticks(500_000) == first + 960
    assert clock.ticks(100_000) == first + 1920


@given(
    origin=st.integers(0, 2**32 - 1),
    capture_us=st.integers(0, 24 * 3600 * 1_000_000),
    late_us=st.integers(0, 2_000_000),
    rate_hz=st.sampled_from([PICTURE_RATE_HZ, VOICE_RATE_HZ]),
)
def test_a_report_puts_a_captured_instant_on_both_clocks(
    origin: int, capture_us: int, late_us: int, rate_hz: int
) -> None:
    timeline = SenderTimeline(rate_hz, STARTED_UNIX_US)
    sent = (origin + capture_us * rate_hz // 1_000_000) & 0xFFFFFFFF
    timeline.captured(capture_us, sent)
    ntp, timestamp = timeline.report(capture_us + late_us)
    back_ticks = (timestamp - sent) & 0xFFFFFFFF
    assert abs(back_ticks - late_us * rate_hz / 1_000_000) <= 1
    assert ntp == ntp_time(STARTED_UNIX_US + capture_us + late_us)


def test_ntp_time_counts_from_1900() -> None:
    assert ntp_time(0) == 2_208_988_800 << 32
    assert ntp_time(500_000) & 0xFFFFFFFF == 1 << 31
    assert ntp_time(2_085_978_496 * 1_000_000) >> 32 == 0  # the era that begins in 2036


def test_nothing_is_reported_before_something_was_sent() -> None:
    with pytest.raises(ValueError, match="nothing was sent"):
        SenderTimeline(PICTURE_RATE_HZ, STARTED_UNIX_US).report(0)


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "5921c74b-a768-4a46-a0a1-c2c1ac5e001b"])
def test_the_first_report_is_a_compound_that_others_can_read(name: str) -> None:
    timeline = SenderTimeline(PICTURE_RATE_HZ, STARTED_UNIX_US)
    timeline.captured(1_000_000, 77)
    timeline.sent(100)
    compound = timeline.first_report(0xAABBCCDD, name, 1_500_000)
    report, description = RtcpPacket.parse(compound)
    assert isinstance(report, RtcpSrPacket)
    assert isinstance(description, RtcpSdesPacket)
    assert (report.ssrc, report.sender_info.rtp_timestamp) == (0xAABBCCDD, 77 + 45_000)
    assert report.sender_info.ntp_timestamp == ntp_time(STARTED_UNIX_US + 1_500_000)
    assert (report.sender_info.packet_count, report.sender_info.octet_count) == (1, 100)
    assert description.chunks[0].items == [(1, name.encode())]
    assert (is_rtcp(compound), sender_report_ssrc(compound)) == (True, 0xAABBCCDD)


def test_only_a_sender_report_is_taken_for_one() -> None:
    receiver_report = struct.pack("!BBHL", 0x81, 201, 7, 5) + bytes(24)
    assert sender_report_ssrc(receiver_report) is None
    assert sender_report_ssrc(b"\x80\xc8\x00\x06") is None
    assert not is_rtcp(RtpPacket(payload_type=96, marker=1).serialize())


def test_a_report_counts_payload_without_headers() -> None:
    plain = RtpPacket(payload=b"x" * 70).serialize()
    extended = b"\x90" + plain[1:12] + b"\xbe\xde\x00\x01\x10\x30\x00\x00" + plain[12:]
    assert (rtp_payload_octets(plain), rtp_payload_octets(extended)) == (70, 70)
