"""The director's crew with sources that fail: what is a fault, what is not, and what is kept of a board still."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.board_stills import KEPT_DAYS, BoardStills
from appliance.capture.base import AccessUnit, Camera, CameraStream, OpusFrame
from appliance.capture.clock import LessonClock
from appliance.capture.fanout import Capture
from appliance.capture.recorder import NoRecorder
from appliance.capture.silence import NoMicrophone
from appliance.capture.simulated.camera import SimulatedCamera
from appliance.capture.simulated.microphone import SimulatedMicrophone
from appliance.crew import RunningLesson, SourceName
from appliance.errors import CameraUnavailable, KitError, RecordingLost
from appliance.hw.base import LinkFace
from appliance.kept_lesson import LessonKeeper
from appliance.kit_crew import KitCrew
from appliance.recordings.lesson_folder import IndexEntry
from appliance.settings import MicrophoneSection
from wire.messages import KitStatus

WITHIN_S = 10


class DeadCamera:
    """A camera that is not plugged in."""

    def open(self, clock: LessonClock) -> AbstractAsyncContextManager[CameraStream]:
        raise CameraUnavailable("no camera on the ribbon cable")


class WarmCamera(DeadCamera):
    """A camera that notes when it is kept warm."""

    def __init__(self) -> None:
        self.warm, self.cold = asyncio.Event(), asyncio.Event()

    async def keep_warm(self) -> None:
        self.warm.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cold.set()


@dataclass
class Ears:
    """A link that counts what passes, and a watch that notes what it is told."""

    pictures: int = 0
    keys: int = 0
    voices: int = 0
    times_us: list[int] = field(default_factory=list)
    stills: list[tuple[str, int, bytes]] = field(default_factory=list)
    told: list[tuple[SourceName, str | None]] = field(default_factory=list)
    told_of_recording: list[str | None] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def broadcast(self, lesson: RunningLesson) -> None:
        await asyncio.Event().wait()

    def picture(self, unit: AccessUnit) -> None:
        self.pictures += 1
        self.keys += unit.key_frame
        self.times_us.append(unit.capture_us)
        self.changed.set()

    def voice(self, frame: OpusFrame) -> None:
        self.voices += 1
        self.changed.set()

    def still(self, lesson_id: str, capture_us: int, jpeg: bytes) -> None:
        self.stills.append((lesson_id, capture_us, jpeg))

    def recorded(self, lesson_id: str, entry: IndexEntry | None) -> None:
        """Nothing is recorded here."""

    def report(self, status: KitStatus) -> None:
        """Nobody listens."""

    def face(self) -> LinkFace:
        return LinkFace()

    def steer(self, aim: Callable[[int, int], None]) -> None:
        self.aim = aim

    def source(self, name: SourceName, trouble: KitError | None) -> None:
        self.told.append((name, None if trouble is None else str(trouble)))
        self.changed.set()

    def recording(self, trouble: KitError | None) -> None:
        self.told_of_recording.append(None if trouble is None else str(trouble))

    def records_nothing(self) -> None:
        self.told_of_recording.append("nothing")

    def lacks(self, name: SourceName) -> None:
        self.told.append((name, "lacking"))

    async def until(self, *, pictures: int = 0, voices: int = 0, told: int = 0) -> None:
        async with asyncio.timeout(WITHIN_S):
            while self.pictures < pictures or self.voices < voices or len(self.told) < told:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def _crew(folder: Path, ears: Ears, camera: Camera, *, deaf: bool = False) -> AsyncIterator[KitCrew]:
    microphone = NoMicrophone() if deaf else SimulatedMicrophone()
    voice = MicrophoneSection(kind="none" if deaf else "simulated")
    async with asyncio.TaskGroup() as tasks:
        yield KitCrew(
            camera,
            microphone,
            ears,
            LessonKeeper(folder),
            BoardStills(folder),
            NoRecorder(),
            tasks,
            voice=voice,
            open_preview=nullcontext,
        )


def _camera() -> SimulatedCamera:
    return SimulatedCamera(320, 240, 10)


async def test_both_sources_are_told_and_pass_and_a_cut_stops_them_before_they_close(tmp_path: Path) -> None:
    ears = Ears()
    async with _crew(tmp_path, ears, _camera()) as crew, crew.open_capture(LessonClock.start(), ears) as capture:
        await ears.until(pictures=3, voices=3)
        assert sorted(ears.told) == [("camera", None), ("microphone", None)]
        capture.cut()
        passed = ears.pictures, ears.voices
    assert (ears.pictures, ears.voices) == passed


async def test_a_dead_camera_leaves_the_voice_alone(tmp_path: Path) -> None:
    ears = Ears()
    async with _crew(tmp_path, ears, DeadCamera()) as crew, crew.open_capture(LessonClock.start(), ears):
        await ears.until(voices=3, told=2)
    assert sorted(ears.told) == [("camera", "no camera on the ribbon cable"), ("microphone", None)]


async def test_silence_in_place_of_a_microphone_does_not_count_as_one(tmp_path: Path) -> None:
    ears = Ears()
    crew_of = _crew(tmp_path, ears, DeadCamera(), deaf=True)
    async with crew_of as crew, crew.open_capture(LessonClock.start(), ears):
        await ears.until(voices=3, told=2)
    assert ears.told == [("microphone", "lacking"), ("camera", "no camera on the ribbon cable")]


async def test_the_devices_can_be_opened_again_in_the_same_lesson(tmp_path: Path) -> None:
    ears, clock = Ears(), LessonClock.start()
    async with _crew(tmp_path, ears, _camera()) as crew:
        for opening in (1, 2):
            async with crew.open_capture(clock, ears):
                await ears.until(pictures=2 * opening, told=2 * opening)
            ears.pictures = 2 * opening
    assert [trouble for _, trouble in ears.told] == [None] * 4


async def test_the_camera_follows_what_the_network_carries(tmp_path: Path) -> None:
    ears = Ears()
    camera = SimulatedCamera(320, 240, 30)
    async with _crew(tmp_path, ears, camera) as crew, crew.open_capture(LessonClock.start(), ears) as capture:
        await ears.until(pictures=3)
        ears.aim(300_000, 5)
        assert isinstance(capture, Capture)
        assert (capture._bitrate_bps, capture._fps) == (300_000, 5)
        ears.times_us.clear()
        await ears.until(pictures=ears.pictures + 5)
    late_us = ears.times_us[2:]  # the first two may have been on their way
    assert min(after - before for before, after in itertools.pairwise(late_us)) >= 190_000


async def test_a_still_is_kept_and_sent(tmp_path: Path) -> None:
    ears = Ears()
    async with _crew(tmp_path, ears, _camera()) as crew:
        await crew.store_still(RunningLesson("ab" * 16, LessonClock.start()), 1234, b"jpeg")
    assert ears.stills == [("ab" * 16, 1234, b"jpeg")]
    assert (tmp_path / "stills" / ("ab" * 16) / "1234.jpg").read_bytes() == b"jpeg"


async def test_old_stills_are_forgotten(tmp_path: Path) -> None:
    old, new = tmp_path / "stills" / "old", tmp_path / "stills" / "new"
    for folder, days in ((old, KEPT_DAYS + 1), (new, KEPT_DAYS - 1)):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - days * 86_400,) * 2)
    await BoardStills(tmp_path).keep("today", 1, b"jpeg")
    assert (old.exists(), new.exists()) == (False, True)


async def test_a_still_that_the_disk_does_not_take_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "stills").write_text("a file where the folder should be")
    await BoardStills(tmp_path).keep("today", 1, b"jpeg")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_the_camera_that_is_kept_warm_is_the_one_that_the_next_lesson_opens(tmp_path: Path) -> None:
    first, second = WarmCamera(), WarmCamera()
    async with _crew(tmp_path, Ears(), first) as crew, asyncio.timeout(WITHIN_S):
        keeping = asyncio.create_task(crew.keep_warm())
        await first.warm.wait()
        crew.use_camera(second)
        await second.warm.wait()
        assert first.cold.is_set()
        keeping.cancel()
        await asyncio.wait([keeping])
        assert second.cold.is_set()


async def test_what_becomes_of_the_recording_is_told_and_its_want_of_a_key_frame_reaches_the_camera(
    tmp_path: Path,
) -> None:
    ears = Ears()
    async with _crew(tmp_path, ears, _camera()) as crew, crew.open_capture(LessonClock.start(), ears):
        await ears.until(pictures=2)
        crew.key_frame_wanted()
        crew.recording(RecordingLost("the card is full"))
        crew.recording(None)
        await ears.until(pictures=ears.pictures + 3)
    assert ears.told_of_recording == ["nothing", "the card is full", None]  # the first: this crew has no recorder
    assert ears.keys >= 2
