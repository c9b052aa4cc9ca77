"""A video file as a source: untouched where it may be, in step with its own sound, and clear about what is wrong."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from appliance.capture import h264
from appliance.capture.base import AccessUnit, PcmBlock
from appliance.capture.clock import LessonClock, boot_clock_us
from appliance.capture.file import FileCamera, FileMicrophone, check_file
from appliance.capture.media_file import Schedule, access_units, probe
from appliance.capture.pictures import plane_views
from appliance.capture.soundtrack import Tape
from appliance.capture.transcoding import fitted
from appliance.errors import CameraUnavailable, MicrophoneUnavailable
from tests.appliance.capture.media import AUDIO_HZ, Recipe, make_video
from tests.appliance.capture.reading import decoded, take, take_all, take_until, time_codes

SYNC_US = 40_000


def clock_at(lesson_us: int) -> LessonClock:
    """A lesson that began that long ago."""
    return LessonClock(started_boot_us=boot_clock_us() - lesson_us, started_unix_us=time.time_ns() // 1000)


def coded_pictures(path: Path) -> list[bytes]:
    """The file's access units as FFmpeg's own filter gives them."""
    with av.open(str(path)) as container:
        return [unit.data for unit in access_units(container, container.streams.video[0])]


# What passes through.


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "mov"])
async def test_constrained_baseline_passes_through_byte_for_byte(tmp_path: Path, container: str) -> None:
    video = make_video(tmp_path / f"a.{container}", Recipe(seconds=1.0))
    assert probe(video, "camera").pass_through is not None
    async with FileCamera(video, loop=False).open(LessonClock.start()) as stream:
        units = await take_all(stream)
    assert [unit.data for unit in units] == coded_pictures(video)
    assert len(units) == 30


async def test_parameter_sets_are_put_where_a_key_frame_lacks_them(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", Recipe(seconds=1.5))
    async with FileCamera(video, loop=False).open(LessonClock.start()) as stream:
        units = await take_all(stream)
    keys = [unit for unit in units if unit.key_frame]
    assert len(keys) == 3
    assert all(h264.has_parameter_sets(unit.data) for unit in keys)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(codec="mpeg4"),
        Recipe(profile="main"),
        Recipe(profile="main", b_frames=2),
        Recipe(seconds=5, key_every=1000),  # a joiner would wait too long
    ],
    ids=["another codec", "another profile", "B-frames", "rare key frames"],
)
async def test_everything_else_is_encoded_anew(tmp_path: Path, recipe: Recipe) -> None:
    video = make_video(tmp_path / "a.mp4", recipe)
    assert probe(video, "camera").pass_through is None
    async with FileCamera(video, key_frame_every_s=0.5).open(LessonClock.start()) as stream:
        units = await take(stream, 40)
    assert h264.is_constrained_baseline(units[0].data)
    codes = time_codes(units)
    assert None not in codes
    for unit, code in zip(units, codes, strict=True):
        assert code is not None
        assert abs(unit.capture_us - code) < 40_000  # its own picture, at its own time


def test_how_rare_key_frames_may_be_follows_the_settings(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", Recipe(seconds=4, key_every=45))
    assert probe(video, "camera", key_frame_every_s=1.0).pass_through is not None
    assert probe(video, "camera", key_frame_every_s=0.5).pass_through is None


# Size, rate, shape.


async def test_a_large_video_is_scaled_down_and_thinned(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", Recipe(codec="mpeg4", width=640, height=360, fps=60, seconds=1.0))
    camera = FileCamera(video, width=320, height=320, fps=15)
    async with camera.open(LessonClock.start()) as stream:
        units = await take(stream, 10)
        still = await stream.still()
    assert (decoded(units)[0].width, decoded(units)[0].height) == (320, 180)
    assert (units[-1].capture_us - units[0].capture_us) / 9 > 60_000
    with Image.open(BytesIO(still)) as image:
        assert image.size == (640, 360)  # a still has every pixel that the file has


@given(
    st.floats(2, 8000),
    st.floats(2, 8000),
    st.integers(80, 1920).map(lambda n: 2 * n),
    st.integers(60, 1080).map(lambda n: 2 * n),
)
def test_a_fitted_size_is_even_within_bounds_and_of_the_same_shape(
    w: float, h: float, most_w: int, most_h: int
) -> None:
    width, height = fitted(w, h, most_w, most_h)
    assert width % 2 == height % 2 == 0
    assert 2 <= width <= max(most_w, w + 1)
    assert width <= most_w
    assert height <= most_h
    if min(width, height) > 100:
        assert width / height == pytest.approx(w / h, rel=0.03)


UPRIGHT = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)  # ISO/IEC 14496-12 §8.3.2
QUARTER_TURN = struct.pack(">9I", 0, 0x10000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000)  # clockwise


async def test_a_phone_held_sideways_is_turned_upright(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", Recipe(sound=False))
    movie, track, *rest = video.read_bytes().split(UPRIGHT)
    video.write_bytes(movie + UPRIGHT + track + QUARTER_TURN + UPRIGHT.join(rest))
    async with FileCamera(video).open(LessonClock.start()) as stream:
        units = await take(stream, 3)
    picture = decoded(units)[0]
    assert (picture.width, picture.height) == (180, 320)
    luma = plane_views(picture)[0]
    assert luma[:, :6].std() > 60 > luma[:, 12:].std()  # the strip of cells was at the bottom, and is at the left now


@pytest.mark.parametrize(
    ("container", "codec"), [("webm", "libvpx"), ("avi", "mjpeg"), ("mkv", "libx265"), ("mov", "prores_ks")]
)
async def test_common_formats_play(tmp_path: Path, container: str, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg cannot make {codec}")
    video = make_video(tmp_path / f"a.{container}", Recipe(codec=codec, sound=False, seconds=1.0))
    async with FileCamera(video).open(LessonClock.start()) as stream:
        units = await take(stream, 10)
    assert None not in time_codes(units)


# Time.


@given(st.integers(0, 10**10), st.integers(1_000, 10**8))
def test_a_loop_plays_media_time_t_modulo_duration(lesson_us: int, duration_us: int) -> None:
    schedule = Schedule(duration_us, loop=True)
    place = schedule.place(lesson_us)
    assert place is not None
    number, media_us = place
    assert media_us == lesson_us % duration_us
    assert schedule.lesson_us(number, media_us) == lesson_us


def test_once_is_once() -> None:
    assert Schedule(5_000_000, loop=False).place(4_999_999) == (0, 4_999_999)
    assert Schedule(5_000_000, loop=False).place(5_000_000) is None


async def test_a_file_played_once_ends_by_itself(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", Recipe(seconds=0.6))
    clock = LessonClock.start()
    async with (
        FileCamera(video, loop=False).open(clock) as camera,
        FileMicrophone(video, loop=False).open(clock) as mic,
    ):
        assert len(await take_all(camera)) >= 15
        assert len(await take_all(mic)) >= 20
    async with FileCamera(video, loop=False).open(clock) as camera:  # opened again after its end
        assert await take_all(camera) == []


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
async def test_a_loop_goes_on_without_a_hole(tmp_path: Path, codec: str) -> None:
    video = make_video(tmp_path / "a.mp4", Recipe(seconds=1.0, codec=codec, sound=False))
    async with FileCamera(video).open(clock_at(700_000)) as stream:
        units = await take_until(stream, lambda unit: unit.capture_us > 2_300_000)
    steps = np.diff([unit.capture_us for unit in units if unit.capture_us > 800_000])
    assert steps.max() <= 600_000  # whole pictures may be dropped on a busy machine; a lost loop is a second
    assert steps.min() > 0


RECIPES = {"passing through": Recipe(seconds=3.0, key_every=45), "transcoded": Recipe(seconds=3.0, codec="mpeg4")}


@pytest.mark.parametrize("kind", RECIPES)
@pytest.mark.parametrize("begun_us", [0, 1_700_000, 7_300_000])
async def test_picture_and_sound_play_the_same_place_whenever_they_open(
    tmp_path: Path, kind: str, begun_us: int
) -> None:
    video = make_video(tmp_path / "a.mp4", RECIPES[kind])
    duration_us = probe(video, "camera").duration_us
    clock = clock_at(begun_us)
    async with AsyncExitStack() as stack:
        camera = await stack.enter_async_context(FileCamera(video).open(clock))
        microphone = await stack.enter_async_context(FileMicrophone(video).open(clock))
        units, blocks = await asyncio.gather(
            take_until(camera, lambda unit: unit.capture_us > begun_us + 2_200_000),
            take_until(microphone, lambda block: block.capture_us > begun_us + 2_200_000),
        )
    assert max(picture_errors(units, duration_us, begun_us + 200_000)) < SYNC_US
    assert max(click_errors(blocks, duration_us)) < SYNC_US


def picture_errors(units: list[AccessUnit], duration_us: int, from_us: int) -> list[int]:
    """How far each picture's media time is from the one that belongs to its capture time."""
    errors = []
    for unit, code in zip(units, time_codes(units), strict=True):
        if unit.capture_us >= from_us:
            assert code is not None
            errors.append(abs(unit.capture_us % duration_us - code))
    return errors


def click_errors(blocks: list[PcmBlock], duration_us: int) -> list[int]:
    """How far each click's media time is from a whole second."""
    sound = np.abs(np.concatenate([block.samples for block in blocks]).astype(int))
    loud = np.flatnonzero(sound > 6_000)
    onsets = loud[np.diff(loud, prepend=-48_000) > 10_000]
    assert len(onsets) >= 1
    times_us = [(blocks[0].capture_us + int(onset) * 1_000_000 // 48_000) % duration_us for onset in onsets if onset]
    return [min(t % 1_000_000, 1_000_000 - t % 1_000_000) for t in times_us]


async def test_passing_through_begins_at_once_with_the_key_frame_before_its_place(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", Recipe(seconds=4.0, key_every=60))
    clock = clock_at(1_500_000)
    async with FileCamera(video).open(clock) as stream:
        (first,) = await take(stream, 1)
        caught_up = await take_until(stream, lambda unit: unit.capture_us > 1_700_000)
    assert first.key_frame
    assert first.capture_us > 1_400_000  # near the clock, although its picture is 1.5 s older
    captured = [first.capture_us, *(unit.capture_us for unit in caught_up)]
    assert captured == sorted(set(captured))
    assert len(decoded([first, *caught_up])) == 1 + len(caught_up)


async def test_sound_is_resampled_without_drift(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.m4a", Recipe(seconds=3.0, picture=False))
    assert AUDIO_HZ != 48_000
    async with FileMicrophone(video, loop=False).open(LessonClock.start()) as stream:
        blocks = await take_all(stream)
    assert len(blocks) == pytest.approx(149, abs=3)
    assert max(click_errors(blocks, 10**9)) < 5_000


def test_a_tape_fills_gaps_with_silence_and_cuts_overlaps() -> None:
    tape = Tape(first_block=2)
    ones, twos = np.ones(1_000, np.int16), np.full(1_000, 2, np.int16)
    tape.put(ones, 1_500)  # begins before the tape does: 420 samples too early
    tape.put(twos, 2_400)  # overlaps by 100
    tape.put(ones, 3_500)  # leaves a hole of 100
    first, second = tape.cut(), tape.cut()
    assert first is not None
    assert second is not None
    assert tape.cut() is None
    assert (first[:580] == 1).all()
    assert (first[580:] == 2).all()
    assert (second[:520] == 2).all()
    assert (second[520:620] == 0).all()
    assert (second[620:] == 1).all()


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 3_000)), max_size=8))
def test_a_tape_never_misplaces_a_block(pieces: list[tuple[int, int]]) -> None:
    tape = Tape(first_block=0)
    cut = 0
    for position, length in pieces:
        tape.put(np.arange(position, position + length).astype(np.int16), position)
        while (block := tape.cut()) is not None:
            heard = np.flatnonzero(block)
            assert (block[heard] == (heard + cut * 960).astype(np.int16)).all()
            cut += 1


# What is wrong with a file.


def _text(folder: Path) -> Path:
    (folder / "notes.mp4").write_text("not a video\n" * 100)
    return folder / "notes.mp4"


def _empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _truncated(folder: Path) -> Path:
    video = make_video(folder / "a.mp4")
    video.write_bytes(video.read_bytes()[:2000])
    return video


BROKEN: dict[str, Callable[[Path], Path]] = {
    "missing": lambda folder: folder / "none.mp4",
    "folder": lambda folder: folder,
    "text": _text,
    "truncated": _truncated,
    "empty": _empty,
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_an_unreadable_file_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    path = BROKEN[kind](tmp_path)
    with pytest.raises(CameraUnavailable, match=str(path)) as said:
        check_file(path, "camera")
    assert "\n" not in str(said.value)
    assert any(remedy in str(said.value) for remedy in ("set camera.file", "use another video"))
    with pytest.raises(CameraUnavailable):
        async with FileCamera(path).open(LessonClock.start()):
            pass
    with pytest.raises(MicrophoneUnavailable):
        async with FileMicrophone(path).open(LessonClock.start()):
            pass


def test_sound_alone_is_no_camera_and_picture_alone_no_microphone(tmp_path: Path) -> None:
    sound = make_video(tmp_path / "a.m4a", Recipe(picture=False))
    silent = make_video(tmp_path / "a.mp4", Recipe(sound=False))
    check_file(sound, "microphone")
    check_file(silent, "camera")
    with pytest.raises(CameraUnavailable, match="no picture"):
        check_file(sound, "camera")
    with pytest.raises(MicrophoneUnavailable, match=r"no sound.*microphone\.kind"):
        check_file(silent, "microphone")


def test_a_file_without_time_stamps_says_what_to_do(tmp_path: Path) -> None:
    raw = tmp_path / "a.h264"
    raw.write_bytes(b"".join(coded_pictures(make_video(tmp_path / "a.mp4", Recipe(sound=False)))))
    with pytest.raises(CameraUnavailable, match=r"no time stamps; .*ffmpeg -i"):
        check_file(raw, "camera")


async def test_a_file_that_vanishes_during_the_lesson_is_said_at_the_next_opening(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4")
    camera = FileCamera(video)
    clock = LessonClock.start()
    async with camera.open(clock) as stream:
        await take(stream, 2)
    video.unlink()
    with pytest.raises(CameraUnavailable, match="no such file"):
        async with camera.open(clock):
            pass


async def test_a_file_that_was_replaced_is_looked_into_again(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", Recipe(seconds=0.5))
    camera = FileCamera(video)
    async with camera.open(LessonClock.start()) as stream:
        before = await take(stream, 1)
    make_video(video, Recipe(seconds=0.7, codec="mpeg4", width=160, height=120))
    async with camera.open(LessonClock.start()) as stream:
        after = await take(stream, 1)
    assert decoded(before)[0].width == 320
    assert decoded(after)[0].width == 160
