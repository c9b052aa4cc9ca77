"""Where a recording is cut, and that what was cut is whole when FFmpeg reads it again."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.capture.aac import FRAME_SAMPLES
from appliance.capture.base import PcmBlock
from appliance.capture.segmenter import MOST_US, Segment, Segmenter
from tests.appliance.capture.long_lesson import recorded
from tests.appliance.capture.taped import (
    GREY_WIDTH,
    PICTURE_US,
    WIDTH,
    Film,
    grey,
    is_without_holes,
    read,
    record,
    sine,
)

S = 1_000_000
BEGINS_US = 200_000


def _lengths(segments: list[Segment]) -> list[int]:
    return [segment.end_us - segment.start_us for segment in segments]


def test_segments_are_two_seconds_from_key_frame_to_key_frame_and_hold_every_picture_once() -> None:
    segmenter = Segmenter(grey)
    segments = record(segmenter, Film(), BEGINS_US, 9 * S) + segmenter.close()
    assert _lengths(segments)[:-1] == [2 * S] * 4
    assert is_without_holes(segments)
    found = read(segments)
    assert list(found.codes) == list(found.pictures_us) == list(range(BEGINS_US, 9 * S, 100_000))
    assert not any(segment.discontinuity for segment in segments)


def test_sound_is_one_line_without_a_hole_in_its_own_place() -> None:
    segmenter = Segmenter(grey)
    found = read(record(segmenter, Film(), BEGINS_US, 9 * S) + segmenter.close())
    steps = np.diff(np.array(found.sound_us))
    assert set(steps) <= {21333, 21334, 21332}
    assert abs(found.sound_us[0] - BEGINS_US) <= 21
    spoken = np.concatenate([sine(number) for number in range(BEGINS_US // 20_000, 9 * S // 20_000)])
    middle = slice(10 * FRAME_SAMPLES, 300 * FRAME_SAMPLES)
    assert np.corrcoef(found.wave[middle], spoken[middle])[0, 1] > 0.999  # the same place to the sample


def test_every_segment_is_whole_by_itself() -> None:
    segmenter = Segmenter(grey)
    for number, segment in enumerate(record(segmenter, Film(), BEGINS_US, 7 * S)):
        found = read([segment], number)
        assert found.pictures_us[0] == segment.start_us == found.codes[0]
        assert len(found.pictures_us) == 20
        assert abs(found.sound_us[0] - segment.start_us) < 21_400


def test_a_key_frame_that_somebody_else_asked_for_cuts_nothing_too_short() -> None:
    segmenter, film = Segmenter(grey), Film()
    segments: list[Segment] = []
    for at_us in range(0, 10 * S, 500_000):
        film.force_key_frame()
        segments += record(segmenter, film, at_us, at_us + 500_000)
    assert _lengths(segments) == [1_900_000, 1_900_000, 1_700_000, 1_900_000, 1_900_000]


@pytest.mark.parametrize("after_us", [300_000, 900_000, 1_600_000])
def test_a_key_frame_that_somebody_else_asked_for_makes_no_segment_longer(after_us: int) -> None:
    segmenter, film = Segmenter(grey), Film(key_frame_every_s=1.8)
    segments = record(segmenter, film, 0, 3_600_000 + after_us)
    film.force_key_frame()
    segments += record(segmenter, film, 3_600_000 + after_us, 12 * S)
    assert max(_lengths(segments)) <= 1_800_000 + 2 * PICTURE_US
    assert is_without_holes(segments)


def test_a_camera_that_gives_none_by_itself_is_asked_and_a_segment_is_over_within_four_seconds() -> None:
    segmenter = Segmenter(grey)
    segments = record(segmenter, Film(key_frame_every_s=60), 0, 15 * S)
    assert 3 * S <= min(_lengths(segments)) <= max(_lengths(segments)) <= 4 * S


def test_a_camera_that_gives_none_though_asked_is_cut_before_the_limit_and_its_voice_is_kept() -> None:
    segmenter, film = Segmenter(grey), Film(key_frame_every_s=60)
    segments: list[Segment] = []
    for at_us in range(0, 25 * S, 100_000):
        segments += segmenter.picture(film.at(at_us))
        for number in range(at_us // 20_000, at_us // 20_000 + 5):
            segments += segmenter.sound(PcmBlock(sine(number), number * 20_000))
    assert segmenter.wants_key_frame
    assert max(_lengths(segments)) <= MOST_US + 100_000
    assert is_without_holes(segments)
    assert segments[-1].end_us >= 20 * S


def test_without_a_camera_the_voice_is_recorded_under_a_grey_picture() -> None:
    segmenter = Segmenter(grey)
    segments = record(segmenter, None, BEGINS_US, 12 * S) + segmenter.close()
    assert is_without_holes(segments)
    assert segments[-1].end_us >= 12 * S
    found = read(segments)
    assert set(found.widths) == {GREY_WIDTH}
    assert len(found.wave) >= 11 * 48_000


def test_a_camera_that_dies_leaves_its_last_key_frame_and_one_that_returns_is_seen_from_its_key_frame_on() -> None:
    segmenter, film = Segmenter(grey), Film()
    segments = record(segmenter, film, 0, 5 * S)
    segments += record(segmenter, None, 5 * S, 11 * S)
    segments += record(segmenter, film, 11 * S, 16 * S) + segmenter.close()
    assert is_without_holes(segments)
    assert max(_lengths(segments)) <= 4 * S
    found = read(segments)
    by_time = dict(zip(found.pictures_us, found.codes, strict=True))
    assert {code for at_us, code in by_time.items() if 6 * S <= at_us < 11 * S} == {4 * S}
    assert all(by_time[at_us] == at_us for at_us in range(12 * S, 16 * S, 100_000))
    assert not any(segment.discontinuity for segment in segments)  # somebody captured all the while


def test_a_camera_of_another_kind_begins_a_segment_of_its_own() -> None:
    segmenter = Segmenter(grey)
    segments = record(segmenter, None, 0, 5 * S)
    segments += record(segmenter, Film(), 5 * S, 10 * S) + segmenter.close()
    assert is_without_holes(segments)
    first = next(at for at, segment in enumerate(segments) if segment.sets == segments[-1].sets)
    assert set(read(segments[:first]).widths) == {GREY_WIDTH}
    assert set(read(segments[first:]).widths) == {WIDTH}
    assert segments[first].start_us == 5 * S


def test_without_a_microphone_there_is_silence() -> None:
    segmenter = Segmenter(grey)
    segments = record(segmenter, Film(), 0, 9 * S, sound=False) + segmenter.close()
    assert is_without_holes(segments)
    found = read(segments)
    assert set(np.diff(np.array(found.sound_us))) <= {21333, 21334, 21332}
    assert np.abs(found.wave).max() <= 1
    assert found.sound_us[-1] >= 8.9 * S


def test_a_microphone_that_pauses_leaves_a_silence_of_the_same_length() -> None:
    segmenter, film = Segmenter(grey), Film()
    segments = record(segmenter, film, 0, 3 * S)
    segments += record(segmenter, film, 3 * S, 6 * S, sound=False)
    segments += record(segmenter, film, 6 * S, 9 * S) + segmenter.close()
    wave = read(segments).wave
    loud = np.array([np.abs(wave[at * 480 : (at + 1) * 480]).max() > 1000 for at in range(len(wave) // 480)])
    assert loud[2:298].all()  # the decoder runs up in the first
    assert loud[604:895].all()
    assert not loud[304:598].any()


def test_behind_the_curtain_nothing_is_recorded_and_what_follows_tells_of_the_hole() -> None:
    segmenter, film = Segmenter(grey), Film()
    segments = record(segmenter, film, 0, 3 * S) + segmenter.close()
    assert segments[-1].end_us <= 3 * S + 100_000
    film.force_key_frame()
    after = record(segmenter, film, 20 * S, 25 * S)
    assert [segment.discontinuity for segment in after] == [True, False]
    assert after[0].start_us == 20 * S
    assert read(after[:1]).codes[0] == 20 * S


def test_nothing_from_anybody_for_long_is_a_hole_though_nobody_said_so() -> None:
    segmenter, film = Segmenter(grey), Film()
    segments = record(segmenter, film, 0, 5 * S)
    for at_us in range(5 * S, 60 * S, 250_000):
        segments += segmenter.tick(at_us)
    assert segments[-1].end_us <= 8 * S
    film.force_key_frame()
    assert record(segmenter, film, 60 * S, 63 * S)[0].discontinuity


def test_a_lesson_that_goes_on_begins_with_a_hole() -> None:
    segmenter = Segmenter(grey, goes_on=True)
    assert [segment.discontinuity for segment in record(segmenter, Film(), 90 * S, 95 * S)] == [True, False]


@pytest.mark.parametrize("late_us", [100_000, 1_500_000])
def test_a_camera_that_opens_a_moment_after_the_microphone_is_seen_from_the_start(late_us: int) -> None:
    segmenter, film = Segmenter(grey), Film()
    segments = record(segmenter, None, 0, late_us)
    segments += record(segmenter, film, late_us, 6 * S)
    found = read(segments)
    assert segments[0].start_us == found.pictures_us[0] == 0
    assert found.codes[0] == late_us
    assert set(found.widths) == {WIDTH}


def test_pictures_that_refer_to_what_is_in_no_segment_are_left_out_and_a_key_frame_is_asked_for() -> None:
    segmenter, film = Segmenter(grey), Film(key_frame_every_s=60)
    film.at(0)
    segmenter.picture(film.at(100_000))
    assert segmenter.wants_key_frame
    assert segmenter.close() == []


def test_picture_and_voice_stay_together_and_the_replay_is_as_long_as_the_lesson() -> None:
    lesson = recorded(150, ppm=100)  # 15 ms apart by then, uncorrected; 45 minutes are ``python -m bench recording``
    assert lesson.whole
    assert lesson.length_error_ms < 500
    assert len(lesson.skews_ms) >= 6
    assert max(map(abs, lesson.skews_ms)) < 5
