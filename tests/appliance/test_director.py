"""The director: hands and the relay's words become captures, broadcasts and lamps, in the right order and in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from msgspec import UNSET

from appliance import director as director_module
from appliance.capture.clock import LessonClock
from appliance.capture.sound_meter import SoundFigures
from appliance.crew import CaptureWatch, RunningLesson
from appliance.director import Director
from appliance.errors import CameraUnavailable, MicrophoneUnavailable, RecordingLost
from appliance.hw import gestures
from appliance.hw.base import Button, Cue, Edge, Face, Fault, LinkFace
from appliance.kept_lesson import KeptLesson, boot_id
from wire.messages import Command, Delivery, KitStatus

WITHIN_S = 5
JPEG = b"\xff\xd8 a board"


@dataclass
class Recorder:
    """A crew, panel and buzzer that write down, in one list, what they were told; devices close when allowed to."""

    told: list[str] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    kept: list[KeptLesson | None] = field(default_factory=list)
    reports: list[KitStatus] = field(default_factory=list)
    stills: list[tuple[str, bytes]] = field(default_factory=list)
    may_close: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    sound_now: SoundFigures | None = None

    def _note(self, what: str) -> None:
        self.told.append(what)
        self.changed.set()

    @asynccontextmanager
    async def open_capture(self, clock: LessonClock, watch: CaptureWatch) -> AsyncIterator[Recorder]:
        self._note("capture open")
        yield self
        await self.may_close.wait()
        self._note("capture closed")

    @asynccontextmanager
    async def open_preview(self) -> AsyncIterator[None]:
        self._note("preview open")
        yield
        await self.may_close.wait()
        self._note("preview closed")

    def cut(self) -> None:
        self._note("cut")

    def force_key_frame(self) -> None:
        self._note("key frame")

    async def still(self) -> bytes:
        return JPEG

    def begin_recording(self, lesson: RunningLesson, *, goes_on: bool, cut_off: bool) -> None:
        self._note(f"recording {'goes on' if goes_on else 'begins'}{', cut off' if cut_off else ''}")

    def end_recording(self) -> None:
        self._note("recording over")

    async def broadcast(self, lesson: RunningLesson) -> None:
        self._note("broadcast")
        try:
            await asyncio.Event().wait()
        finally:
            self._note("broadcast over")

    def report(self, status: KitStatus) -> None:
        self.reports.append(status)
        self._note(f"lamp {status.tally}")

    def keep(self, kept: KeptLesson | None) -> None:
        self.kept.append(kept)

    async def store_still(self, lesson: RunningLesson, capture_us: int, jpeg: bytes) -> None:
        self.stills.append((lesson.lesson_id, jpeg))
        self._note("still")

    @property
    def buzzer(self) -> Recorder:
        return self

    def hearing(self) -> SoundFigures | None:
        return self.sound_now

    def link(self) -> LinkFace:
        return LinkFace(relay="http://relay")

    def show(self, face: Face) -> None:
        self.faces.append(face)
        self.changed.set()

    def sound(self, cue: Cue) -> None:
        self._note(f"sound {cue}")

    async def until(self, holds: Callable[[Recorder], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds(self):
                self.changed.clear()
                await self.changed.wait()

    async def until_told(self, what: str, times: int = 1) -> None:
        await self.until(lambda seen: seen.told.count(what) >= times)

    async def until_state(self, state: str) -> None:
        await self.until(lambda seen: bool(seen.faces) and seen.faces[-1].state == state)


@dataclass
class Stage:
    """A director on stage, and hands."""

    director: Director
    seen: Recorder

    def press(self, button: Button) -> None:
        self.director.edge(Edge(button, True, time.monotonic()))

    def release(self, button: Button) -> None:
        self.director.edge(Edge(button, False, time.monotonic()))

    def tally(self) -> str:
        return self.seen.faces[-1].tally

    def tap(self, button: Button) -> None:
        self.press(button)
        self.release(button)

    def delivery(self, *, on_air: bool, picture: bool = False, lesson_id: str | None = None) -> None:
        lesson = self.director.status().lesson
        assert lesson is not None
        self.director.delivery(
            Delivery(
                lesson_id=lesson_id or lesson.lesson_id,
                on_air=on_air,
                picture_fresh=on_air or picture,
                sound_fresh=on_air,
                viewers=3,
                viewers_receiving=2,
            )
        )


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    seen = Recorder()
    seen.may_close.set()
    async with asyncio.TaskGroup() as tasks:
        director = Director(seen, seen, seen, tasks)
        yield Stage(director, seen)
        seen.may_close.set()
        await asyncio.wait_for(director.end(), WITHIN_S)
        director.close()


async def test_a_press_lights_the_lamp_and_dials_before_the_camera_opens(stage: Stage) -> None:
    stage.tap("start")
    await stage.seen.until_told("capture open")
    assert stage.seen.told == ["sound begun", "recording begins", "lamp connecting", "broadcast", "capture open"]
    kept = stage.seen.kept[-1]
    assert kept is not None
    assert kept.lesson_id == stage.seen.faces[-1].lesson.lesson_id  # type: ignore[union-attr]
    assert not kept.curtain


async def test_red_is_shown_on_the_relays_word_and_taken_back_with_it(stage: Stage) -> None:
    stage.tap("start")
    stage.delivery(on_air=True)
    assert stage.tally() == "on_air"
    assert (stage.seen.faces[-1].link.viewers, stage.seen.faces[-1].link.viewers_receiving) == (3, 2)
    stage.delivery(on_air=False)
    assert stage.tally() == "not_live"


async def test_a_picture_without_its_voice_is_not_live_unless_the_kit_is_meant_to_have_none(stage: Stage) -> None:
    stage.tap("start")
    stage.delivery(on_air=True)
    stage.delivery(on_air=False, picture=True)
    assert stage.tally() == "not_live"
    stage.director.lacks("microphone")
    stage.delivery(on_air=False, picture=True)
    assert stage.tally() == "on_air"
    assert stage.seen.faces[-1].voiceless
    stage.delivery(on_air=False)
    assert stage.tally() == "not_live"


async def test_what_is_wrong_with_the_voice_is_shown_and_reported_once(stage: Stage) -> None:
    stage.tap("start")
    await stage.seen.until_told("capture open")
    stage.seen.sound_now = SoundFigures(-90.0, -90.0, "silent")
    reported = len(stage.seen.reports)
    stage.director.show()
    stage.director.show()
    assert stage.seen.faces[-1].sound == stage.seen.sound_now
    assert [status.sound_warning for status in stage.seen.reports[reported:]] == ["silent"]
    stage.seen.sound_now = SoundFigures(-30.0, -20.0)
    stage.director.show()
    assert stage.seen.reports[-1].sound_warning is UNSET


async def test_the_word_of_another_lesson_counts_for_nothing(stage: Stage) -> None:
    stage.tap("start")
    stage.delivery(on_air=True, lesson_id="f" * 32)
    assert stage.tally() == "connecting"
    stage.director.command(Command(kind="end_lesson", lesson_id="f" * 32))
    assert stage.tally() == "connecting"


async def test_a_relay_that_falls_silent_is_not_believed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(director_module, "DELIVERY_STALE_S", 0.02)
    stage.tap("start")
    stage.delivery(on_air=True)
    await stage.seen.until_state("degraded")
    assert stage.seen.faces[-1].link.viewers is None


async def test_connecting_does_not_last_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(director_module, "START_WITHIN_S", 0.02)
    stage.tap("start")
    await stage.seen.until_state("degraded")


async def test_the_curtain_cuts_at_once_and_is_white_only_when_the_devices_are_closed(stage: Stage) -> None:
    stage.tap("start")
    await stage.seen.until_told("capture open")
    stage.delivery(on_air=True)
    stage.seen.may_close.clear()
    stage.tap("curtain")
    assert "cut" in stage.seen.told
    assert stage.tally() == "on_air"
    assert stage.seen.kept[-1] is not None
    assert stage.seen.kept[-1].curtain  # a kit that dies now comes back behind its curtain
    stage.seen.may_close.set()
    await stage.seen.until_state("curtain")
    assert stage.seen.told[-2:] == ["capture closed", "lamp curtain"]
    stage.tap("curtain")
    await stage.seen.until_told("capture open", times=2)
    assert stage.seen.told[-2:] == ["lamp connecting", "capture open"]
    assert stage.seen.told.count("broadcast") == 1  # the same lesson, the same session


async def test_a_hold_of_a_second_ends_the_lesson_and_counts_down(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gestures._LIMIT_S, "end", 0.15)
    stage.tap("start")
    await stage.seen.until_told("capture open")
    stage.press("start")
    await stage.seen.until_state("idle")
    holds = [face.hold for face in stage.seen.faces if face.hold_for == "end"]
    assert holds == sorted(holds)
    assert len(holds) >= 2
    assert stage.seen.kept[-1] is None
    assert not stage.director.off.is_set()
    stage.release("start")


async def test_the_long_hold_takes_back_the_lesson_that_it_began_and_switches_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gestures._LIMIT_S, "shut_down", 0.1)
    monkeypatch.setitem(gestures._SHOWN_AFTER_S, "shut_down", 0.05)
    stage.press("start")
    await asyncio.wait_for(stage.director.off.wait(), WITHIN_S)
    await stage.seen.until_told("broadcast over")
    assert stage.seen.reports[-1].lesson is None
    stage.tap("start")  # too late
    assert stage.seen.reports[-1].state == "idle"


async def test_a_start_press_while_ending_begins_the_next_lesson(stage: Stage) -> None:
    stage.tap("start")
    await stage.seen.until_told("capture open")
    first = stage.director.status().lesson
    assert first is not None
    stage.seen.may_close.clear()
    stage.director.command(Command(kind="end_lesson", lesson_id=first.lesson_id, reason="the bell"))
    assert stage.seen.faces[-1].state == "ending"
    stage.tap("start")
    stage.seen.may_close.set()
    await stage.seen.until_told("capture open", times=2)
    second = stage.director.status().lesson
    assert second is not None
    assert second.lesson_id != first.lesson_id


async def test_two_dead_sources_are_a_fault_that_says_why_and_heals(stage: Stage) -> None:
    stage.tap("start")
    stage.director.source("camera", CameraUnavailable("the camera is unplugged"))
    assert stage.seen.faces[-1].state == "starting"
    assert stage.seen.reports[-1].camera_ok is False
    stage.director.source("microphone", MicrophoneUnavailable("so is the microphone"))
    face = stage.seen.faces[-1]
    assert (face.state, face.tally) == ("fault", "fault")
    assert face.fault is not None
    assert face.fault.reason == "the camera is unplugged; so is the microphone"
    assert "sound fault" in stage.seen.told
    stage.director.source("camera", None)
    assert stage.seen.faces[-1].state == "starting"


async def test_a_still_is_taken_of_the_lesson_that_runs(stage: Stage) -> None:
    stage.tap("still")
    stage.tap("start")
    await stage.seen.until_told("capture open")
    stage.director.source("camera", None)
    stage.tap("still")
    await stage.seen.until_told("still")
    lesson = stage.director.status().lesson
    assert lesson is not None
    assert stage.seen.stills == [(lesson.lesson_id, JPEG)]


async def test_a_lost_picture_at_the_relay_is_a_key_frame_here(stage: Stage) -> None:
    stage.director.force_key_frame()  # nothing is open: nothing to do
    stage.tap("start")
    await stage.seen.until_told("capture open")
    lesson = stage.director.status().lesson
    assert lesson is not None
    stage.director.command(Command(kind="key_frame", lesson_id=lesson.lesson_id))
    assert stage.seen.told[-1] == "key frame"


@pytest.mark.parametrize("curtain", [False, True])
async def test_a_start_press_lights_the_lamp_at_once_and_opens_the_camera_when_the_preview_has_let_go(
    stage: Stage, curtain: bool
) -> None:
    stage.seen.may_close.clear()
    assert stage.director.preview(True)
    await stage.seen.until_told("preview open")
    assert (stage.tally(), stage.seen.faces[-1].state) == ("preview", "preview")
    assert stage.seen.reports[-1].state == "idle"  # no lesson: the relay is told of none
    stage.tap("start")
    assert stage.tally() == "connecting"
    if curtain:
        stage.tap("curtain")
    await stage.seen.until_told("broadcast")
    assert "capture open" not in stage.seen.told
    stage.seen.may_close.set()
    await stage.seen.until_state("curtain" if curtain else "starting")
    if not curtain:
        await stage.seen.until_told("capture open")
        assert stage.seen.told.index("preview closed") < stage.seen.told.index("capture open")


async def test_a_kit_that_is_switched_off_closes_its_preview_first(stage: Stage) -> None:
    stage.director.preview(True)
    await stage.seen.until_told("preview open")
    await asyncio.wait_for(stage.director.end(), WITHIN_S)
    assert stage.seen.told[-2:] == ["preview closed", "lamp off"]
    assert stage.director.off.is_set()


@pytest.mark.parametrize("curtain", [False, True])
async def test_a_restarted_kit_goes_on_with_its_lesson(stage: Stage, curtain: bool) -> None:
    started_us = time.time_ns() // 1000 - 600_000_000
    kept = KeptLesson(lesson_id="ab" * 16, started_unix_us=started_us, curtain=curtain, boot_id=boot_id())
    stage.director.resume(kept)
    await stage.seen.until_told("broadcast")
    face = stage.seen.faces[-1]
    assert face.state == ("curtain" if curtain else "starting")
    assert face.lesson is not None
    assert face.lesson.lesson_id == kept.lesson_id
    assert 600 <= face.lesson.clock.now_us() / 1e6 < 605
    if curtain:
        assert "capture open" not in stage.seen.told
        assert "recording goes on" in stage.seen.told
    else:
        await stage.seen.until_told("capture open")
        assert "recording goes on, cut off" in stage.seen.told


async def test_a_recording_that_is_lost_is_told_on_the_lamp_the_panel_and_to_the_relay_and_so_is_its_return(
    stage: Stage,
) -> None:
    stage.tap("start")
    await stage.seen.until_told("capture open")
    stage.delivery(on_air=True)
    stage.director.recording(RecordingLost("the card is full"))
    face = stage.seen.faces[-1]
    assert (face.state, face.tally, face.recording) == ("live", "unrecorded", "lost")
    assert face.fault == Fault("recording_lost", "the card is full")
    assert (stage.seen.reports[-1].tally, stage.seen.reports[-1].recorded) == ("on_air", False)
    stage.director.recording(None)
    face = stage.seen.faces[-1]
    assert (face.state, face.tally, face.recording, face.fault) == ("live", "on_air", "on", None)
    assert stage.seen.reports[-1].recorded is True


async def test_a_lesson_that_is_neither_recorded_nor_live_is_a_fault_that_sounds(stage: Stage) -> None:
    stage.tap("start")
    await stage.seen.until_told("capture open")
    stage.delivery(on_air=True)
    stage.director.recording(RecordingLost("the card is full"))
    stage.delivery(on_air=False)
    assert stage.seen.faces[-1].tally == "fault"
    assert stage.seen.told.count("sound fault") == 1
    stage.director.recording(None)
    assert (stage.seen.faces[-1].state, stage.seen.faces[-1].fault) == ("degraded", None)
