"""The time code strip: what is drawn is read, through lossy encoding and scaling, and nothing else is."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.capture.h264 import H264Encoder
from appliance.capture.pictures import new_frame, plane_views
from appliance.capture.simulated import timecode
from appliance.capture.simulated.classroom import Classroom
from appliance.capture.simulated.room import Planes
from tests.appliance.capture.reading import decoded

TIMES = st.integers(0, 2**40 - 1)


def test_crc_is_ccitt_false() -> None:
    assert timecode.crc16(b"123456789") == 0x29B1  # the algorithm's published check value


def test_the_layout_is_what_the_browser_reads() -> None:
    luma, chroma = np.zeros((720, 1300), np.uint8), np.zeros((360, 650), np.uint8)
    timecode.draw(luma, chroma, chroma.copy(), 0x123456789A)
    assert timecode.strip_rows(1300) == 20
    row = luma[-1]
    assert (luma[-20:] == row).all()
    assert not luma[:-20].any()
    bits = [int(row[cell * 20 + 10] == 220) for cell in range(64)]
    assert bits[:8] == [1, 0, 1, 0, 1, 1, 0, 0]
    assert int("".join(map(str, bits[8:48])), 2) == 0x123456789A
    assert int("".join(map(str, bits[48:])), 2) == timecode.crc16(bytes.fromhex("123456789A"))
    assert set(row[:1280]) == {220, 30}
    assert (row[1280:] == 16).all()
    assert (chroma[-10:] == 128).all()


@given(TIMES, st.integers(80, 1000).map(lambda half: 2 * half))
def test_what_is_drawn_is_read_at_any_width(capture_us: int, width: int) -> None:
    luma, chroma = np.full((40, width), 77, np.uint8), np.zeros((20, width // 2), np.uint8)
    timecode.draw(luma, chroma, chroma.copy(), capture_us)
    assert timecode.read(luma) == capture_us


@given(TIMES, st.integers(0, 63))
def test_one_wrong_cell_is_not_believed(capture_us: int, cell: int) -> None:
    luma, chroma = np.zeros((40, 640), np.uint8), np.zeros((20, 320), np.uint8)
    timecode.draw(luma, chroma, chroma.copy(), capture_us)
    luma[-10:, cell * 10 : cell * 10 + 10] = 250 - luma[-10:, cell * 10 : cell * 10 + 10]
    assert timecode.read(luma) is None


def test_a_picture_without_a_strip_has_no_time() -> None:
    assert timecode.read(np.random.default_rng(1).integers(0, 255, (360, 640), np.uint8)) is None
    assert timecode.read(np.zeros((20, 30), np.uint8)) is None


@pytest.fixture(scope="module")
def classrooms() -> dict[tuple[int, int], Classroom]:
    return {size: Classroom(*size) for size in ((1280, 720), (320, 180))}


@pytest.mark.parametrize(("size", "bitrate"), [((1280, 720), 300_000), ((320, 180), 100_000)])
def test_it_survives_encoding_at_a_low_bitrate(
    classrooms: dict[tuple[int, int], Classroom], size: tuple[int, int], bitrate: int
) -> None:
    @settings(max_examples=8)
    @given(st.integers(0, 2 * 3600 * 10**6))
    def survives(start_us: int) -> None:
        encoder = H264Encoder(*size, 30, bitrate, bt709=True)
        drawn = [start_us + n * 33_333 for n in range(15)]
        units = []
        for capture_us in drawn:
            frame = new_frame(*size)
            classrooms[size].draw(Planes(*plane_views(frame)), capture_us)
            units.append(encoder.encode(frame, capture_us))
        assert [timecode.read(plane_views(picture)[0]) for picture in decoded(units)] == drawn

    survives()


@pytest.mark.parametrize("size", [(640, 360), (854, 480), (960, 540), (1920, 1080), (320, 180)])
def test_it_survives_scaling(classrooms: dict[tuple[int, int], Classroom], size: tuple[int, int]) -> None:
    frame = new_frame(1280, 720)
    classrooms[1280, 720].draw(Planes(*plane_views(frame)), 1_234_567_890)
    scaled: av.VideoFrame = frame.reformat(width=size[0], height=size[1])
    assert timecode.read(plane_views(scaled)[0]) == 1_234_567_890
