"""Reading Annex B, and what the software encoder promises."""

from __future__ import annotations

import numpy as np
import pytest
from av.video.frame import PictureType, VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from appliance.capture import h264
from appliance.capture.base import AccessUnit
from appliance.capture.h264 import NAL_SPS, H264Encoder, nal_units, parameter_sets, picture_size
from appliance.capture.pictures import new_frame, plane_views
from tests.appliance.capture.reading import decoded

WIDTH, HEIGHT, FPS = 640, 360, 30

SPS_CONSTRAINED = bytes([0x67, 66, 0xC0, 31, 0x80])
SPS_BASELINE = bytes([0x67, 66, 0x80, 31, 0x80])
SPS_MAIN = bytes([0x67, 77, 0x40, 31, 0x80])
PPS = bytes([0x68, 0xCE, 0x80])
IDR = bytes([0x65, 0x88, 0x84])
SLICE = bytes([0x41, 0x9A, 0x01])
LONG, SHORT = b"\x00\x00\x00\x01", b"\x00\x00\x01"


def test_nal_units_are_found_behind_long_and_short_start_codes() -> None:
    stream = LONG + SPS_CONSTRAINED + SHORT + PPS + LONG + IDR
    assert list(h264.nal_units(stream)) == [SPS_CONSTRAINED, PPS, IDR]
    assert h264.nal_types(stream) == [7, 8, 5]


@given(st.lists(st.binary(min_size=1, max_size=30).filter(lambda b: b"\0\0" not in b and b[-1] != 0), max_size=6))
def test_any_nal_units_survive_being_joined(units: list[bytes]) -> None:
    assert list(h264.nal_units(b"".join(LONG + unit for unit in units))) == units


@given(st.binary(max_size=80))
def test_no_bytes_upset_the_reader(data: bytes) -> None:
    h264.is_key_frame(data)
    h264.is_constrained_baseline(data)
    h264.parameter_sets(data)
    h264.avcc_parameter_sets(data)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (LONG + SPS_CONSTRAINED, True),
        (LONG + SPS_BASELINE, False),
        (LONG + SPS_MAIN, False),
        (LONG + IDR, False),
        (b"", False),
    ],
)
def test_only_constrained_baseline_is_taken_for_it(stream: bytes, expected: bool) -> None:
    assert h264.is_constrained_baseline(stream) is expected


def test_a_key_frame_is_an_idr_with_or_without_its_parameter_sets() -> None:
    assert h264.is_key_frame(LONG + IDR)
    assert not h264.is_key_frame(LONG + SPS_CONSTRAINED + LONG + PPS + LONG + SLICE)
    assert h264.has_parameter_sets(LONG + SPS_CONSTRAINED + SHORT + PPS + SHORT + IDR)
    assert not h264.has_parameter_sets(LONG + SPS_CONSTRAINED + LONG + IDR)


def test_parameter_sets_are_read_from_an_avcc_record() -> None:
    record = bytes([1, 66, 0xC0, 31, 0xFF, 0xE1, 0, len(SPS_CONSTRAINED)]) + SPS_CONSTRAINED
    record += bytes([1, 0, len(PPS)]) + PPS
    assert h264.avcc_parameter_sets(record) == LONG + SPS_CONSTRAINED + LONG + PPS
    assert h264.avcc_parameter_sets(record[:-1]) == b""


def lively_pictures(count: int) -> list[VideoFrame]:
    """Pictures that change all over: they need every bit that they get."""
    hand = np.random.default_rng(5)
    frames = []
    for _ in range(count):
        frame = new_frame(WIDTH, HEIGHT)
        luma, blue, red = plane_views(frame)
        luma[...] = np.repeat(np.repeat(hand.integers(40, 200, (HEIGHT // 8, WIDTH // 8), np.uint8), 8, 0), 8, 1)
        blue[...], red[...] = 120, 134
        frames.append(frame)
    return frames


def encode(encoder: H264Encoder, frames: list[VideoFrame], first: int = 0) -> list[AccessUnit]:
    return [encoder.encode(frame, (first + n) * 1_000_000 // FPS) for n, frame in enumerate(frames)]


def bits_per_s(units: list[AccessUnit]) -> float:
    return sum(len(unit.data) for unit in units) * 8 * FPS / len(units)


def test_every_picture_becomes_one_unit_at_once_and_decodes() -> None:
    units = encode(H264Encoder(WIDTH, HEIGHT, FPS, 1_000_000), lively_pictures(10))
    pictures = decoded(units)
    assert [(picture.width, picture.height) for picture in pictures] == [(WIDTH, HEIGHT)] * 10
    assert [picture.pict_type for picture in pictures] == [PictureType.I] + [PictureType.P] * 9


def test_the_stream_is_constrained_baseline_with_sets_in_every_key_frame() -> None:
    units = encode(H264Encoder(WIDTH, HEIGHT, FPS, 1_000_000, key_frame_every_s=0.2), lively_pictures(20))
    keys = [index for index, unit in enumerate(units) if unit.key_frame]
    assert keys == [0, 6, 12, 18]
    for index in keys:
        sps = next(iter(h264.nal_units(units[index].data)))
        assert sps[1] == 66
        assert sps[2] & 0x40
        assert h264.has_parameter_sets(units[index].data)
        assert h264.is_key_frame(units[index].data)
    assert not any(h264.is_key_frame(unit.data) for index, unit in enumerate(units) if index not in keys)


def test_a_forced_key_frame_is_the_next_picture_and_only_that() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, 1_000_000, key_frame_every_s=10)
    frames = lively_pictures(9)
    before = encode(encoder, frames[:4])
    encoder.force_key_frame()
    encoder.force_key_frame()
    after = encode(encoder, frames[4:], first=4)
    assert [unit.key_frame for unit in before + after] == [True, False, False, False, True, False, False, False, False]
    assert h264.has_parameter_sets(after[0].data)
    assert len(decoded(after)) == 5  # decoding may begin there


@pytest.mark.parametrize("bitrate", [300_000, 600_000])
def test_a_lower_bitrate_bites_within_a_second_without_a_key_frame(bitrate: int) -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, 2_000_000, key_frame_every_s=10)
    frames = lively_pictures(90)
    before = encode(encoder, frames[:30])
    encoder.set_bitrate(bitrate)
    after = encode(encoder, frames[30:], first=30)
    assert bits_per_s(before) > 1_200_000
    assert bits_per_s(after[30:]) < 1.3 * bitrate
    assert not any(unit.key_frame for unit in after)


def test_the_rate_comes_back_up_and_beyond_what_it_was_opened_with() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, 600_000, key_frame_every_s=1.0)
    frames = lively_pictures(120)
    encode(encoder, frames[:15])
    encoder.set_bitrate(300_000)
    low = encode(encoder, frames[15:60], first=15)
    encoder.set_bitrate(2_000_000)
    high = encode(encoder, frames[60:], first=60)
    assert bits_per_s(low[15:]) < 400_000
    assert bits_per_s(high[30:]) > 1_200_000
    assert len(decoded(high[next(i for i, unit in enumerate(high) if unit.key_frame) :])) > 20


def test_key_frames_shrink_with_the_rate() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, 4_000_000, key_frame_every_s=0.5)
    frames = lively_pictures(60)
    before = encode(encoder, frames[:30])
    encoder.set_bitrate(400_000)
    after = encode(encoder, frames[30:], first=30)
    largest_before = max(len(unit.data) for unit in before if unit.key_frame)
    assert max(len(unit.data) for unit in after if unit.key_frame) < 0.5 * largest_before


def test_fewer_pictures_a_second_get_more_bits_each_at_the_same_rate() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, 600_000, key_frame_every_s=1.0)
    frames = lively_pictures(90)
    full = encode(encoder, frames[:60])
    encoder.set_frame_rate(10)
    slow = [encoder.encode(frame, 2_000_000 + n * 100_000) for n, frame in enumerate(frames[60:])]
    per_picture = [sum(len(unit.data) for unit in units) / len(units) for units in (full[30:], slow[10:])]
    assert per_picture[1] > 2 * per_picture[0]
    assert sum(len(unit.data) for unit in slow[10:]) * 8 / 2 < 1.3 * 600_000
    assert len(decoded(full + slow)) == 90


def test_a_frame_rate_above_the_cameras_own_is_the_cameras_own() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, 600_000)
    encoder.set_frame_rate(60)
    assert bits_per_s(encode(encoder, lively_pictures(45))[15:]) > 400_000


def test_a_rate_above_the_opened_one_does_not_wait_for_the_regular_key_frame() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, 2_000_000, key_frame_every_s=10)
    frames = lively_pictures(90)
    encoder.set_bitrate(300_000)
    low = encode(encoder, frames[:10])
    encoder.force_key_frame()  # opens it anew, for 300 kb/s
    low += encode(encoder, frames[10:20], first=10)
    encoder.set_bitrate(1_800_000)
    high = encode(encoder, frames[20:], first=20)
    keys = [unit.capture_us for unit in high if unit.key_frame]
    assert len(keys) == 1, "one is enough"
    assert keys[0] - low[10].capture_us <= 1_100_000
    assert bits_per_s(high[-25:]) > 1_200_000


@pytest.mark.parametrize("size", [(160, 120), (320, 180), (1280, 720), (1920, 1080), (642, 362)])
def test_the_size_of_pictures_is_read_from_their_sps(size: tuple[int, int]) -> None:
    unit = H264Encoder(*size, 30, 500_000).encode(new_frame(*size), 0)
    sps = next(nal for nal in nal_units(unit.data) if nal[0] & 0x1F == NAL_SPS)
    assert picture_size(sps) == size
    for torn in range(7):
        with pytest.raises(ValueError, match="SPS"):
            picture_size(sps[:torn])


def test_the_parameter_sets_stay_the_same_whatever_rates_the_network_asks_for() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, 1_700_000, 0.5)
    frame = new_frame(WIDTH, HEIGHT)
    sets: set[bytes] = set()
    for number, (bitrate, fps) in enumerate(
        [(1_700_000, 30), (600_000, 15), (150_000, 5), (400_000, 10), (6_000_000, 30)]
    ):
        encoder.set_bitrate(bitrate)
        encoder.set_frame_rate(fps)
        for picture in range(3 * fps):
            plane_views(frame)[0][...] = (picture * 37) % 200
            unit = encoder.encode(frame, number * 3_000_000 + picture * 1_000_000 // fps)
            sets |= {parameter_sets(unit.data)} if unit.key_frame else set()
    assert len(sets) == 1
