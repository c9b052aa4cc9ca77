"""A packet is sent again when it is asked for, but not twice in one round trip."""

from __future__ import annotations

import struct

from appliance.stream.repeats import REMEMBERED, Repeats


def packet(number: int, ssrc: int = 7, payload: bytes = b"") -> bytes:
    return struct.pack("!BBHLL", 0x80, 96, number, 0, ssrc) + payload


def rtx(own: int, original: int) -> bytes:
    return packet(own, ssrc=8, payload=original.to_bytes(2, "big") + b"picture")


def test_a_repeat_leaves_once_in_a_round_trip() -> None:
    repeats = Repeats()
    asked = [(0.0, True), (0.1, False), (0.4, False), (0.5, True), (0.6, False)]
    for now_s, leaves in asked:
        assert repeats.allows(packet(1), rtx=False, now_s=now_s, round_trip_s=0.5) is leaves, now_s


def test_the_picture_that_is_repeated_counts_and_not_the_number_of_the_repeat() -> None:
    repeats = Repeats()
    assert repeats.allows(rtx(1, 500), rtx=True, now_s=0.0, round_trip_s=0.5)
    assert not repeats.allows(rtx(2, 500), rtx=True, now_s=0.1, round_trip_s=0.5)
    assert repeats.allows(rtx(3, 501), rtx=True, now_s=0.1, round_trip_s=0.5)


def test_streams_do_not_share_numbers_and_a_short_round_trip_holds_nothing_back() -> None:
    repeats = Repeats()
    assert repeats.allows(packet(1, ssrc=7), rtx=False, now_s=0.0, round_trip_s=0.02)
    assert repeats.allows(packet(1, ssrc=9), rtx=False, now_s=0.0, round_trip_s=0.02)
    assert repeats.allows(packet(1, ssrc=7), rtx=False, now_s=0.03, round_trip_s=0.02)


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats()
    for number in range(3 * REMEMBERED):
        repeats.allows(packet(number & 0xFFFF), rtx=False, now_s=0.0, round_trip_s=1.0)
    assert len(repeats._sent_s) == REMEMBERED
