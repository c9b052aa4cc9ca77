"""The simulated classroom: the same at the same time, true to its ground truth, cheap enough to draw."""

from __future__ import annotations

import itertools
import time

import av
import numpy as np
import pytest

from appliance.capture.base import GroundTruth
from appliance.capture.clock import LessonClock
from appliance.capture.h264 import H264Encoder
from appliance.capture.pictures import new_frame, plane_views
from appliance.capture.simulated import timecode
from appliance.capture.simulated.camera import SimulatedCamera
from appliance.capture.simulated.classroom import Classroom
from appliance.capture.simulated.lesson import Gesture, Text, pages, strokes_of
from appliance.capture.simulated.room import BOARD, Plane, Planes, View
from appliance.capture.simulated.timeline import Timeline

WIDTH, HEIGHT = 640, 360
CORE_SHARE = 0.6  # of one core, for drawing and encoding 720p30
BRIGHT = 120  # luma: chalk, and not board


@pytest.fixture(scope="module")
def classroom() -> Classroom:
    return Classroom(WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return Timeline()


def seen(classroom: Classroom, lesson_us: int) -> list[Plane]:
    frame = new_frame(WIDTH, HEIGHT)
    planes = plane_views(frame)
    classroom.draw(Planes(*planes), lesson_us)
    return [plane.copy() for plane in planes]


def on_board(luma: Plane) -> Plane:
    x0, y0, x1, y1 = (round(edge) for edge in View(WIDTH, HEIGHT).box(BOARD))
    return luma[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4]


def chalk(luma: Plane) -> int:
    return int((on_board(luma) > BRIGHT).sum())


def test_the_same_time_shows_the_same_picture_however_one_got_there(classroom: Classroom) -> None:
    times_us = [41_000_000, 41_033_333, 70_000_000, 12_000_000, 58_000_000, 41_033_333]
    first = seen(Classroom(WIDTH, HEIGHT), times_us[1])
    visited = {lesson_us: seen(classroom, lesson_us) for lesson_us in times_us}
    for again, once in zip(visited[times_us[1]], first, strict=True):
        np.testing.assert_array_equal(again, once)


def test_the_lesson_is_written_stroke_by_stroke(classroom: Classroom, timeline: Timeline) -> None:
    page_us = int(timeline.plans[0].wipe_s * 1_000_000)
    amounts = [chalk(classroom.board(page_us * step // 20)) for step in range(20)]
    assert amounts == sorted(amounts)
    assert amounts[0] == 0
    assert len(set(amounts)) > 12


def test_a_full_board_is_wiped_and_the_next_page_is_another(classroom: Classroom, timeline: Timeline) -> None:
    first, second = timeline.plans[0], timeline.plans[1]
    full = classroom.board(int(first.wipe_s * 1e6))
    half = classroom.board(int((first.wipe_s + first.length_s) / 2 * 1e6))
    clean = classroom.board(int((first.length_s - 0.05) * 1e6))
    assert chalk(full) > chalk(half) > chalk(clean) == 0
    other = classroom.board(int((first.length_s + second.wipe_s) * 1e6))
    assert (full != other).mean() > 0.02


def test_the_lesson_begins_anew_after_its_last_page(classroom: Classroom, timeline: Timeline) -> None:
    cycle_us = round(timeline.cycle_s * 1_000_000)
    np.testing.assert_array_equal(classroom.board(30_000_000), classroom.board(30_000_000 + cycle_us))


def test_the_truth_is_the_picture_without_the_teacher(classroom: Classroom, timeline: Timeline) -> None:
    lesson_us = 40_000_000
    picture, truth = seen(classroom, lesson_us)[0], classroom.board(lesson_us)
    assert truth.shape == (HEIGHT, WIDTH)
    difference = np.abs(on_board(picture).astype(int) - on_board(truth))
    away = round(timeline.hand_at(lesson_us).body_x / 2) > WIDTH // 2
    free = difference[:, : WIDTH // 4] if away else difference[:, -WIDTH // 4 :]
    assert np.percentile(free, 99) <= 12  # noise and daylight only
    assert 0.03 < (difference > 15).mean() < 0.35  # the teacher, who is no screen


def test_the_teacher_hides_chalk_and_gives_it_back(classroom: Classroom) -> None:
    hidden = []
    for second in range(5, 50, 3):
        truth, picture = on_board(classroom.board(second * 10**6)), on_board(seen(classroom, second * 10**6)[0])
        hidden.append(int(((truth > BRIGHT) & (picture < BRIGHT - 30)).sum()))
    assert max(hidden) > 150
    assert min(hidden) < 20


def test_the_teacher_walks_and_does_not_jump(timeline: Timeline) -> None:
    hands = [timeline.hand_at(n * 33_333) for n in range(int(timeline.cycle_s * 30))]
    steps = [abs(b.body_x - a.body_x) for a, b in itertools.pairwise(hands)]
    assert max(steps) < 30
    assert {hand.engaged > 0.5 for hand in hands} == {True, False}


def test_every_picture_tells_its_time(classroom: Classroom) -> None:
    for lesson_us in (0, 33_333, 59_999_999, 3_600_000_000):
        assert timecode.read(seen(classroom, lesson_us)[0]) == lesson_us


def test_the_lesson_is_in_russian_and_in_english() -> None:
    texts = [item.text for page in pages() for item in page if isinstance(item, Text)]
    letters = {letter for text in texts for letter in text.lower()}
    assert len(letters & set("абвгдеёжзийклмнопрстуфхцчшщъыьэюя")) > 20
    assert len(letters & set("abcdefghijklmnopqrstuvwxyz")) > 20


def test_everything_is_written_on_the_board_and_not_beside_it() -> None:
    x0, y0, x1, y1 = BOARD
    for page in pages():
        for item in page:
            if not isinstance(item, Gesture):
                points = np.vstack(strokes_of(item))
                assert x0 < points[:, 0].min(), item
                assert points[:, 0].max() < x1, item
                assert y0 < points[:, 1].min(), item
                assert points[:, 1].max() < y1, item


@pytest.mark.parametrize("size", [(160, 120), (480, 640), (1282, 482)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    frame = new_frame(*size)
    planes = Planes(*plane_views(frame))
    Classroom(*size).draw(planes, 20_000_000)
    assert planes.luma.std() > 10
    assert planes.luma.min() >= 16
    assert planes.luma.max() <= 240


def test_drawing_and_encoding_720p30_leaves_most_of_a_core() -> None:
    classroom, encoder = Classroom(1280, 720), H264Encoder(1280, 720, 30, 1_700_000, bt709=True)
    frames: list[av.VideoFrame] = [new_frame(1280, 720) for _ in range(2)]
    count = 90
    began_s = time.process_time()
    for n in range(count):
        frame = frames[n % 2]
        classroom.draw(Planes(*plane_views(frame)), 30_000_000 + n * 33_333)
        encoder.encode(frame, 30_000_000 + n * 33_333)
    share = (time.process_time() - began_s) / (count / 30)
    print(f"drawing and encoding 720p30 takes {share:.1%} of a core")
    assert share < CORE_SHARE


async def test_an_open_camera_knows_the_truth_and_shows_its_time_at_once() -> None:
    clock = LessonClock.start()
    camera = SimulatedCamera(320, 180)
    async with camera.open(clock) as stream:
        assert isinstance(stream, GroundTruth)
        first = await anext(aiter(stream))
        assert stream.board(first.capture_us).shape == (180, 320)
    place = first.capture_us * 30 / 1_000_000
    assert place == pytest.approx(round(place), abs=0.001)  # on the grid of pictures
