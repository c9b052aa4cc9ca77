"""A recording as one file: every picture, in step with its sound, whatever the lesson went through."""

from __future__ import annotations

import io
from itertools import pairwise

import av
import pytest

from relay.archive.boxes import NotFit
from relay.archive.one_file import Piece, Plan, plan, written
from relay.archive.recording import Init, Recording, Segment
from tests.relay.archive.footage import FPS, Footage, footage, read_footage

PER_SEGMENT = 2 * FPS


def recording_of(lesson: Footage, without: tuple[int, ...] = ()) -> Recording:
    """What a relay holds of a lesson."""
    recording = Recording(lesson_id="1e" * 16, class_id="c", publisher="k", started_unix_us=0)
    for number, init in enumerate(lesson.inits):
        recording = recording.with_init(
            Init(number=number, size_bytes=len(init), sha256=b"", codecs="", width=1, height=1)
        )
    for number, piece in enumerate(lesson.pieces):
        if number in without:
            continue
        recording = recording.with_segment(
            Segment(
                number=number,
                init=piece.head.init,
                start_us=piece.head.start_us,
                duration_us=piece.head.duration_us,
                discontinuity=piece.head.discontinuity,
                size_bytes=len(piece.body),
                sha256=b"",
            )
        )
    return recording


def _file(lesson: Footage, without: tuple[int, ...] = ()) -> tuple[Plan, bytes]:
    file = plan(recording_of(lesson, without), dict(enumerate(lesson.inits)))
    parts = [written(piece, lesson.pieces[piece.segment.number].body) for piece in file.pieces]
    assert [piece.size_bytes for piece in file.pieces] == [len(part) for part in parts]
    whole = file.head + b"".join(parts)
    assert file.size_bytes == len(whole)
    return file, whole


LESSONS: dict[str, tuple[Footage, tuple[int, ...]]] = {
    "plain": (footage(), ()),
    "a curtain of ten minutes": (footage(6, curtain=3), ()),
    "a hole": (footage(), (1, 2)),
    "without its beginning": (footage(), (0,)),
    "three encoders": (footage(6, sizes=((160, 96), (192, 112), (160, 96))), ()),
    "an encoder that began anew behind a curtain": (footage(4, sizes=((160, 96), (192, 112)), curtain=2), ()),
}


@pytest.mark.parametrize("name", LESSONS)
def test_every_picture_is_in_the_file_once_and_in_order(name: str) -> None:
    lesson, without = LESSONS[name]
    file, whole = _file(lesson, without)
    seen = read_footage(whole)
    held = [number for number in range(len(lesson.pieces)) if number not in without]
    assert seen.numbers == [n * PER_SEGMENT + index for n in held for index in range(PER_SEGMENT)]
    steps = [after - before for before, after in pairwise(seen.times_s)]
    assert max(steps) <= 1 / FPS + 0.041, "no time that was not captured"
    assert min(steps) >= 1 / FPS - 0.001
    assert seen.sound_s == pytest.approx((0, file.duration_us / 1e6), abs=0.03)
    assert file.duration_us / 1e6 == pytest.approx(2 * len(held), abs=0.05)


@pytest.mark.parametrize("name", LESSONS)
def test_picture_and_sound_stay_as_far_apart_as_they_were_recorded(name: str) -> None:
    lesson, without = LESSONS[name]
    file, whole = _file(lesson, without)
    times: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(io.BytesIO(whole), "r") as source:
        for packet in source.demux(video=0, audio=0):
            if packet.pts is not None:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
    pictures, sounds = times["video"], times["audio"]
    assert sounds == sorted(sounds)
    for index, piece in enumerate(file.pieces):
        begins_s = (piece.segment.start_us - piece.earlier_us) / 1e6
        assert pictures[index * PER_SEGMENT] == pytest.approx(begins_s, abs=0.0001)
    frame_s = 1024 / 48_000
    breaks = [after - before for before, after in pairwise(sounds)]
    assert min(breaks) >= frame_s - 0.0001, "sound is never written over"


@pytest.mark.parametrize("name", LESSONS)
def test_the_file_says_how_long_it_is_and_holds_every_size(name: str) -> None:
    lesson, without = LESSONS[name]
    file, whole = _file(lesson, without)
    with av.open(io.BytesIO(whole), "r") as source:
        assert source.duration is not None
        assert source.duration / 1e6 == pytest.approx(file.duration_us / 1e6, abs=0.03)
        sizes = {(frame.width, frame.height) for frame in source.decode(video=0)}
    assert len(sizes) == len({lesson.inits[piece.segment.init] for piece in file.pieces})


def test_a_part_is_found_by_its_first_byte() -> None:
    file, whole = _file(LESSONS["plain"][0])
    assert file.first_of(0) == file.first_of(len(file.head) - 1) == -1
    assert file.first_of(len(file.head)) == 0
    assert file.first_of(len(whole) - 1) == len(file.pieces) - 1


def test_a_segment_that_is_not_the_planned_one_is_refused() -> None:
    lesson = LESSONS["plain"][0]
    file, _ = _file(lesson)
    piece: Piece = file.pieces[0]
    with pytest.raises(NotFit):
        written(piece, lesson.pieces[1].body + (8).to_bytes(4) + b"free")
    with pytest.raises(NotFit):
        written(piece, lesson.pieces[0].body[:-1])
