"""What recording costs, and what it keeps: the kit's CPU with and without it, the event loop's worst stall, a lesson of
45 minutes by a faster clock, and a real one from press to replay.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from appliance.capture.base import AccessUnit, PcmBlock
from appliance.capture.clock import LessonClock
from appliance.capture.h264 import H264Encoder
from appliance.capture.pacing import BLOCK_US
from appliance.capture.pictures import new_frame, plane_views
from appliance.capture.recorder import Recorder
from appliance.capture.simulated.classroom import Classroom
from appliance.capture.simulated.room import Planes
from appliance.capture.simulated.voice import Voice
from appliance.recordings.lesson_folder import read_head, read_index, segment_name
from appliance.recordings.shelf import Shelf
from bench.cost import cpu_shares
from bench.figures import Figure
from bench.replayed import replayed
from tests.appliance.capture.long_lesson import recorded
from tests.running import FoundedSchool, RunningSchool, running_school

LESSON_S = 45 * 60
PPM = 100.0
TICK_S = 0.002
FPS = 30
FILM_S = 4  # encoded beforehand, and shown again and again: what is measured is the recorder
TURNS = 5
SETTLE_S = 6.0  # beyond the start, whose rates are not those of a lesson


async def recording(folder: Path, founded: FoundedSchool, length_s: float) -> list[Figure]:
    """All of it. ``length_s``: of the running measurements, and of the real lesson."""
    figures = await _cpu(folder, founded, length_s)
    figures += await _stalls(length_s)
    lesson = await asyncio.to_thread(recorded, LESSON_S, PPM)
    figures += [
        Figure("45 min by a faster clock, card 100 ppm off: replay's length", "ms off", (lesson.length_error_ms,), 500),
        Figure("45 min: picture–voice skew at the end", "ms", tuple(map(abs, lesson.skews_ms)), 40),
    ]
    return figures


async def _cpu(folder: Path, founded: FoundedSchool, length_s: float) -> list[Figure]:
    """The kit's CPU in lessons that are recorded and uploaded, and in ones that are not; and a replay of the former.

    Lessons of both kinds take turns, and each is compared with the one before it: what a core is worth here changes by
    more than what is measured, and within minutes.
    """
    without: list[float] = []
    recorded_too: list[float] = []
    for turn in range(TURNS):
        async with _lesson(folder / f"without-{turn}", founded, "enabled = false") as school:
            without.append(await _cpu_share(school, length_s))
        async with _lesson(folder / f"with-{turn}", founded, "enabled = true") as school:
            recorded_too.append(await _cpu_share(school, length_s))
            if turn == TURNS - 1:
                lesson_id = (await school.kit.status())["lesson"]["id"]
                at_risk_s = _at_risk_s(school.kit.folder / "state" / "recordings" / lesson_id)
                judged = await replayed(school)
    added = tuple(after - before for before, after in zip(without, recorded_too, strict=True))
    return [
        Figure("kit: CPU, 720p30, not recorded", "% of a core", tuple(without)),
        Figure("kit: CPU, 720p30, recorded and uploaded", "% of a core", tuple(recorded_too)),
        Figure("kit: CPU that recording adds, lesson by lesson", "% of a core", added, 5),
        Figure(
            "kit: from a segment's first picture to its file on the disk: what a kill costs at most", "s", at_risk_s, 2
        ),
        *judged,
    ]


async def _cpu_share(school: RunningSchool, length_s: float) -> float:
    """The kit's CPU, in percent of a core."""
    kit = school.kit.program.pid
    return statistics.median((await cpu_shares([kit], length_s))[kit])


def _at_risk_s(lesson: Path) -> tuple[float, ...]:
    """For each segment, how long its first picture was in memory alone, in seconds."""
    started_us = read_head(lesson).started_unix_us
    return tuple(
        ((lesson / segment_name(entry.n)).stat().st_ctime_ns / 1000 - started_us - entry.start_us) / 1e6  # its rename
        for entry in read_index(lesson).values()
    )


@asynccontextmanager
async def _lesson(folder: Path, founded: FoundedSchool, recording: str) -> AsyncIterator[RunningSchool]:
    async with running_school(folder, founded, recording=recording) as school:
        await school.kit.press("start")
        await school.kit.until_state("live")
        await asyncio.sleep(SETTLE_S)
        yield school


async def _stalls(length_s: float) -> list[Figure]:
    """How late a timer of 2 ms comes on a loop that feeds a recorder at a lesson's pace, and on one that feeds none."""
    film = await asyncio.to_thread(_film)
    with tempfile.TemporaryDirectory(prefix="parta-bench-recording-") as folder:
        recorder = Recorder(Shelf(Path(folder), 10**9), 1280, 720)
        idle = await _lateness(film, None, length_s)
        running = asyncio.create_task(recorder.run())
        try:
            busy = await _lateness(film, recorder, length_s)
        finally:
            running.cancel()
            await asyncio.wait([running])
    return [
        Figure("loop: latest timer, each second, not recording", "ms", tuple(idle)),
        Figure("loop: latest timer, each second, recording 720p30", "ms", tuple(busy), p95_at_most=20),
    ]


async def _lateness(film: list[AccessUnit], recorder: Recorder | None, length_s: float) -> list[float]:
    clock, voice, loop = LessonClock.start(), Voice(), asyncio.get_running_loop()
    if recorder is not None:
        recorder.begin("bench", clock, goes_on=False, cut_off=False)
    pictures = blocks = 0
    worst_ms = [0.0] * max(1, round(length_s))
    began_s = loop.time()
    while (passed_s := loop.time() - began_s) < len(worst_ms):
        due_s = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        second = min(len(worst_ms) - 1, int(passed_s))
        worst_ms[second] = max(worst_ms[second], 1000 * (loop.time() - due_s))
        while blocks * BLOCK_US < clock.now_us():
            block = PcmBlock(voice.block(blocks), blocks * BLOCK_US)
            blocks += 1
            if recorder is not None:
                recorder.sound(block)
        while pictures * 1_000_000 // FPS < clock.now_us():
            unit = film[pictures % len(film)]
            if recorder is not None:
                recorder.picture(AccessUnit(unit.data, unit.key_frame, pictures * 1_000_000 // FPS))
            pictures += 1
    if recorder is not None:
        recorder.finish()
        await recorder.settled()
    return worst_ms


def _film() -> list[AccessUnit]:
    """Pictures of the simulated classroom at 1.7 Mb/s."""
    encoder, classroom = H264Encoder(1280, 720, FPS, 1_700_000), Classroom(1280, 720)
    frame = new_frame(1280, 720)
    planes = Planes(*plane_views(frame))
    film: list[AccessUnit] = []
    for number in range(FILM_S * FPS):
        classroom.draw(planes, number * 1_000_000 // FPS)
        film.append(encoder.encode(frame, number * 1_000_000 // FPS))
    return film
