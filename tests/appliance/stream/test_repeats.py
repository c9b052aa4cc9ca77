"""A packet is sent again when it is asked for, but not twice in one round trip."""

from __future__ import annotations

import struct

from appliance.stream.repeats import FORGOTTEN_S, REMEMBERED, Repeats


def packet(number: int, ssrc: int = 7, payload: bytes = b"") -> bytes:
    return struct.pack("!BBHLL", 0x80, 96, number, 0, ssrc) + payload


def rtx(own: int, original: int) -> bytes:
    return packet(own, ssrc=8, payload=original.to_bytes(2, "big") + b"picture")


def test_a_repeat_leaves_once_in_a_round_trip() -> None:
    repeats = Repeats()
    asked = [(0.0, True), (0.1, False), (0.4, False), (0.5, True), (0.6, False)]
    for now_s, leaves in asked:
        assert repeats.allows(packet(1), picture=True, rtx=False, now_s=now_s, round_trip_s=0.5) is leaves, now_s


def test_the_picture_that_is_repeated_counts_and_not_the_number_of_the_repeat() -> None:
    repeats = Repeats()
    assert repeats.allows(rtx(1, 500), picture=True, rtx=True, now_s=0.0, round_trip_s=0.5)
    assert not repeats.allows(rtx(2, 500), picture=True, rtx=True, now_s=0.1, round_trip_s=0.5)
    assert repeats.allows(rtx(3, 501), picture=True, rtx=True, now_s=0.1, round_trip_s=0.5)


def test_streams_do_not_share_numbers_and_a_short_round_trip_holds_nothing_back() -> None:
    repeats = Repeats()
    assert repeats.allows(packet(1, ssrc=7), picture=True, rtx=False, now_s=0.0, round_trip_s=0.02)
    assert repeats.allows(packet(1, ssrc=9), picture=True, rtx=False, now_s=0.0, round_trip_s=0.02)
    assert repeats.allows(packet(1, ssrc=7), picture=True, rtx=False, now_s=0.03, round_trip_s=0.02)


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats()
    for number in range(3 * REMEMBERED):
        repeats.allows(packet(number & 0xFFFF), picture=True, rtx=False, now_s=0.0, round_trip_s=1.0)
    assert len(repeats._sent_s) == REMEMBERED


def asked(repeats: Repeats, number: int, *, now_s: float = 0.0, picture: bool = True) -> bool:
    return repeats.allows(packet(number), picture=picture, rtx=False, now_s=now_s, round_trip_s=0.0)


def test_once_a_key_frame_is_to_follow_no_packet_of_a_picture_before_it_is_repeated() -> None:
    repeats = Repeats()
    repeats.give_up()
    assert not asked(repeats, 65_534)
    assert asked(repeats, 65_534, picture=False), "voice has no key frame to wait for"
    repeats.key_frame(3, now_s=0.0)
    assert [asked(repeats, number) for number in (65_535, 2, 3, 4)] == [False, False, True, True]


def test_a_key_frame_that_nobody_waited_for_leaves_what_was_lost_before_it_to_be_mended() -> None:
    repeats = Repeats()
    repeats.key_frame(3, now_s=0.0)
    assert asked(repeats, 2)


def test_numbers_that_come_round_again_are_not_taken_for_old_ones() -> None:
    repeats = Repeats()
    repeats.give_up()
    repeats.key_frame(3, now_s=0.0)
    assert asked(repeats, 3 + 0x8000, now_s=FORGOTTEN_S)
