"""RTCP from the receiver: picture loss in all its forms, and nothing that a stranger could break."""

from __future__ import annotations

import struct

from aiortc.rtp import RtcpPsfbPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpRtpfbPacket
from hypothesis import given
from hypothesis import strategies as st

from appliance.stream.feedback import Feedback, read_feedback

PICTURE, VOICE, VIEWER = 0x1111, 0x2222, 0x3333


def _read(*packets: object) -> Feedback:
    return read_feedback(b"".join(bytes(packet) for packet in packets), picture_ssrc=PICTURE)  # type: ignore[call-overload]


def _report(ssrc: int, fraction_lost: int) -> RtcpReceiverInfo:
    return RtcpReceiverInfo(
        ssrc=ssrc, fraction_lost=fraction_lost, packets_lost=9, highest_sequence=1, jitter=0, lsr=0, dlsr=0
    )


def test_a_picture_loss_indication_for_our_picture_is_seen() -> None:
    assert _read(RtcpPsfbPacket(fmt=1, ssrc=VIEWER, media_ssrc=PICTURE)).picture_lost
    assert not _read(RtcpPsfbPacket(fmt=1, ssrc=VIEWER, media_ssrc=VOICE)).picture_lost


def test_a_full_intra_request_names_its_stream_in_its_entries_and_not_in_its_header() -> None:
    """RFC 5104 §4.3.1.2; aiortc alone would lose it."""
    entry = struct.pack("!LB3x", PICTURE, 7)
    assert _read(RtcpPsfbPacket(fmt=4, ssrc=VIEWER, media_ssrc=0, fci=entry)).picture_lost
    other = struct.pack("!LB3x", VOICE, 7)
    assert not _read(RtcpPsfbPacket(fmt=4, ssrc=VIEWER, media_ssrc=0, fci=other)).picture_lost
    assert _read(RtcpPsfbPacket(fmt=4, ssrc=VIEWER, media_ssrc=0, fci=other + entry)).picture_lost


def test_other_payload_feedback_asks_for_nothing() -> None:
    assert not _read(RtcpPsfbPacket(fmt=15, ssrc=VIEWER, media_ssrc=PICTURE, fci=b"REMB" + bytes(8))).picture_lost


def test_loss_is_read_by_stream() -> None:
    report = RtcpRrPacket(ssrc=VIEWER, reports=[_report(PICTURE, 64), _report(VOICE, 0)])
    assert _read(report).lost == {PICTURE: 0.25, VOICE: 0.0}


def test_missing_packets_are_counted() -> None:
    nack = RtcpRtpfbPacket(fmt=1, ssrc=VIEWER, media_ssrc=PICTURE, lost=[10, 11, 13, 200])
    assert _read(nack).nacked == 4


def test_transport_wide_feedback_is_no_nack() -> None:
    assert _read(RtcpRtpfbPacket(fmt=15, ssrc=VIEWER, media_ssrc=PICTURE, lost=[10, 11])).nacked == 0


def test_a_compound_is_read_to_its_end() -> None:
    feedback = _read(
        RtcpRrPacket(ssrc=VIEWER, reports=[_report(PICTURE, 128)]),
        RtcpPsfbPacket(fmt=1, ssrc=VIEWER, media_ssrc=PICTURE),
    )
    assert (feedback.picture_lost, feedback.lost) == (True, {PICTURE: 0.5})


@given(st.binary(max_size=200))
def test_no_bytes_break_it(data: bytes) -> None:
    read_feedback(data, picture_ssrc=PICTURE)


@given(st.integers(0, 31), st.sampled_from([200, 201, 205, 206]), st.binary(max_size=60))
def test_no_truncated_or_lying_packet_breaks_it(count: int, kind: int, body: bytes) -> None:
    body = body[: len(body) // 4 * 4]
    feedback = read_feedback(struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body, picture_ssrc=PICTURE)
    assert len(feedback.lost) <= len(body) // 24
