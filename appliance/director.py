"""The director: feeds the lesson machine with what happens, and has the crew do what it decides.

The one owner of the lesson's state, of its timers, and of the tasks that capture and broadcast. It names no camera, no
relay and no panel: ``kit.py`` gives it a ``Crew``. Not here: the decisions (``lesson.py``), what a hand means
(``hw/gestures.py``), what is shown (``face.py``).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from appliance.capture.clock import LessonClock
from appliance.crew import Crew, OpenCapture, RunningLesson, SourceName
from appliance.errors import KitError
from appliance.face import face_of, status_of, with_pupils
from appliance.hw import gestures
from appliance.hw.base import Buzzer, Edge, Face, Fault, OpenPanel
from appliance.hw.gestures import Gesture, Hands
from appliance.hw.health import SAID, Health
from appliance.kept_lesson import KeptLesson, boot_id
from appliance.lesson import Action, Event, Lesson, step
from wire.messages import DELIVERY_STALE_S, Command, Delivery, KitStatus

log = logging.getLogger(__name__)

START_WITHIN_S = 5.0  # a healthy start takes under a second; after this, "connecting" is no longer the honest word
HOLD_STEP_S = 0.05  # how finely the hold is counted down

_GESTURE_EVENTS: Mapping[Gesture, Event] = {gesture: Event[gesture.name] for gesture in Gesture}
_SOURCE_EVENTS: Mapping[tuple[SourceName, bool], Event] = {
    ("camera", True): Event.CAMERA_UP,
    ("camera", False): Event.CAMERA_LOST,
    ("microphone", True): Event.MICROPHONE_UP,
    ("microphone", False): Event.MICROPHONE_LOST,
}


class Director:
    """One lesson after another. All methods are called on the event loop."""

    def __init__(self, crew: Crew, panel: OpenPanel, buzzer: Buzzer, tasks: asyncio.TaskGroup) -> None:
        self._crew = crew
        self._panel = panel
        self._buzzer = buzzer
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._lesson = Lesson()
        self._running: RunningLesson | None = None
        self._hands = Hands()
        self._delivery: Delivery | None = None
        self._troubles: dict[SourceName, KitError] = {}
        self._unrecorded: KitError | None = None
        self._sound_warning: str | None = None
        self.notice: Fault | None = None  # set before anything is shown
        self._voiceless = False  # by its settings: then the picture alone makes the lamp red
        self._health = Health()
        self._timers: dict[Literal["hold", "overdue", "stale"], asyncio.TimerHandle] = {}
        self._capture: OpenCapture | None = None
        self._close_asked = asyncio.Event()
        self._preview_close_asked = asyncio.Event()
        self._broadcast: asyncio.Task[None] | None = None
        self._still: asyncio.Task[None] | None = None
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self.off = asyncio.Event()  # the teacher has switched the kit off
        self._do: Mapping[Action, Callable[[], None]] = {
            Action.CLOSE_PREVIEW: self._close_preview,
            Action.CLOSE_CAPTURE: self._cut_capture,
            Action.END_LESSON: self._end_lesson,
            Action.BEGIN_LESSON: self._begin_lesson,
            Action.RESUME_LESSON: self._resume_lesson,
            Action.SHOW: self._tell,
            Action.OPEN_CAPTURE: self._open_capture,
            Action.OPEN_PREVIEW: self._open_preview,
            Action.TAKE_STILL: self._take_still,
            Action.KEEP: self._keep,
            Action.SHUT_DOWN: self.off.set,
        }

    # ---- what happens ----

    def edge(self, edge: Edge) -> None:
        """A button went down or up. A kit that is switching off takes no more."""
        if self.off.is_set():
            return
        if edge.pressed:
            runs = self._lesson.runs
            hands, done = gestures.press(self._hands, edge.button, edge.at_s, lesson_runs=runs)
        else:
            hands, done = gestures.release(self._hands, edge.button, edge.at_s)
        self._handle(hands, done)

    def source(self, name: SourceName, trouble: KitError | None) -> None:
        """A source works, or (``trouble``) does not."""
        if trouble is None:
            self._troubles.pop(name, None)
        else:
            self._troubles[name] = trouble
        self._happens(_SOURCE_EVENTS[name, trouble is None])

    def lacks(self, name: SourceName) -> None:
        """This kit has no such source, by its settings: nothing is wrong, but the other is all there is."""
        self._voiceless = self._voiceless or name == "microphone"
        self._happens(_SOURCE_EVENTS[name, False])

    def recording(self, trouble: KitError | None) -> None:
        """The lesson is not being recorded (``trouble``), or is again."""
        self._unrecorded = trouble
        self._happens(Event.RECORDING_BACK if trouble is None else Event.RECORDING_LOST)

    def records_nothing(self) -> None:
        """This kit records nothing, by its settings."""
        self._happens(Event.RECORDING_OFF)

    def delivery(self, delivery: Delivery) -> None:
        """The relay says what pupils get."""
        if self._running is None or delivery.lesson_id != self._running.lesson_id:
            return
        self._delivery = delivery
        self._after("stale", DELIVERY_STALE_S, self._stale)
        confirmed = delivery.picture_on_air if self._voiceless else delivery.on_air
        self._happens(Event.DELIVERY_CONFIRMED if confirmed else Event.DELIVERY_DENIED)
        self.show()

    def command(self, command: Command) -> None:
        """The relay wants something of this lesson."""
        if self._running is None or command.lesson_id != self._running.lesson_id:
            return
        if command.kind == "end_lesson":
            log.info("the relay ends the lesson: %s", command.reason or "it gave no reason")
            self._happens(Event.END_COMMANDED)
        else:
            self.force_key_frame()

    def force_key_frame(self) -> None:
        """Somebody at the relay lost the picture."""
        if self._capture is not None:
            self._capture.force_key_frame()

    def resume(self, kept: KeptLesson) -> None:
        """Go on with a lesson that the kit died in. Before anything else happens."""
        log.info("lesson %s goes on%s", kept.lesson_id, " behind the curtain" if kept.curtain else "")
        self._running = RunningLesson(kept.lesson_id, LessonClock.resume(kept.started_unix_us))
        self._happens(Event.RESUMED_BEHIND_CURTAIN if kept.curtain else Event.RESUMED)

    def health(self, health: Health) -> None:
        """How the board is."""
        for warning in set(health.warnings) - set(self._health.warnings):
            log.warning("health: %s", SAID[warning])
        self._health = health
        self.show()
        self._crew.report(self.status())

    def preview(self, wanted: bool) -> bool:
        """Open the preview, or close it. Whether it is open now: while a lesson runs, it is not to be had."""
        self._happens(Event.PREVIEW_WANTED if wanted else Event.PREVIEW_LEFT)
        return self._lesson.preview == "open"

    @property
    def lesson(self) -> Lesson:
        """The state now."""
        return self._lesson

    @property
    def board(self) -> Health:
        """How the board is."""
        return self._health

    async def end(self) -> None:
        """End the lesson, if there is one, because the kit stops. Returns when nothing is captured any more."""
        self._happens(Event.SHUTDOWN_HELD)  # as the long hold does: a start that waits is dropped as well
        await self._at_rest.wait()

    def close(self) -> None:
        """Stop the timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def face(self) -> Face:
        """All that there is to tell now."""
        link = with_pupils(self._crew.link(), self._delivery)
        now_s = self._loop.time()
        troubles = [*self._troubles.values(), *([self._unrecorded] if self._unrecorded is not None else [])]
        face = face_of(self._lesson, self._running, hands=self._hands, now_s=now_s, troubles=troubles, link=link)
        sound = self._crew.hearing()
        return replace(face, voiceless=self._voiceless, health=self._health, sound=sound, notice=self.notice)

    def show(self) -> None:
        """Bring the panel up to date, its figures included."""
        face = self.face()
        self._panel.show(face)
        warning = None if face.sound is None else face.sound.warning
        if warning != self._sound_warning:
            self._sound_warning = warning
            self._crew.report(self.status())

    def status(self) -> KitStatus:
        """What the relay is told."""
        return status_of(self._lesson, self._running, self._health, self._sound_warning)

    # ---- what is done about it ----

    @property
    def _now(self) -> RunningLesson:
        if self._running is None:
            raise RuntimeError("the lesson machine acts on a lesson, and none runs")
        return self._running

    def _happens(self, event: Event) -> None:
        before = self._lesson
        self._lesson, actions = step(before, event)
        for action in actions:
            self._do[action]()
        if before.phase != self._lesson.phase:
            self._entered(before.phase)
        elif before.signal != self._lesson.signal:
            log.info("the setup page's preview is %s", self._lesson.preview)

    def _entered(self, before: str) -> None:
        phase = self._lesson.phase
        log.info("%s -> %s", before, phase)
        if phase == "starting":
            self._after("overdue", START_WITHIN_S, self._overdue)
        else:
            self._never("overdue")
        if phase == "fault":
            self._buzzer.sound("fault")

    def _handle(self, hands: Hands, done: tuple[Gesture, ...]) -> None:
        self._hands = hands
        for gesture in done:
            self._happens(_GESTURE_EVENTS[gesture])
        self._never("hold")
        if self._hands.due_s is not None:
            step_s = min(HOLD_STEP_S, max(0.0, self._hands.due_s - self._loop.time()))
            self._after("hold", step_s, self._held)
        self.show()

    def _held(self) -> None:
        self._handle(*gestures.held(self._hands, self._loop.time()))

    def _stale(self) -> None:
        self._delivery = None
        self._happens(Event.DELIVERY_DENIED)
        self.show()

    def _overdue(self) -> None:
        self._happens(Event.START_OVERDUE)

    def _after(self, name: Literal["hold", "overdue", "stale"], wait_s: float, call: Callable[[], None]) -> None:
        self._never(name)
        self._timers[name] = self._loop.call_later(wait_s, call)

    def _never(self, name: Literal["hold", "overdue", "stale"]) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _tell(self) -> None:
        self.show()
        self._crew.report(self.status())
        if self._lesson.phase == "idle" and self._lesson.preview == "closed":
            self._at_rest.set()
        else:
            self._at_rest.clear()

    def _begin_lesson(self) -> None:
        self._running = RunningLesson(uuid.uuid4().hex, LessonClock.start())
        log.info("lesson %s begins", self._running.lesson_id)
        self._buzzer.sound("begun")
        self._crew.begin_recording(self._running, goes_on=False, cut_off=False)
        self._start_broadcast()

    def _resume_lesson(self) -> None:
        self._crew.begin_recording(self._now, goes_on=True, cut_off=not self._lesson.curtain)
        self._start_broadcast()

    def _start_broadcast(self) -> None:
        # Dialled while the camera opens: neither waits for the other.
        self._broadcast = self._tasks.create_task(self._crew.broadcast(self._now), name="broadcast")

    def _end_lesson(self) -> None:
        log.info("lesson %s ended", self._now.lesson_id)
        if self._broadcast is not None:
            self._broadcast.cancel()
        self._broadcast = self._running = self._delivery = self._unrecorded = None
        self._never("stale")
        self._crew.end_recording()
        self._crew.keep(None)
        self._buzzer.sound("ended")

    def _keep(self) -> None:
        kept = KeptLesson(
            lesson_id=self._now.lesson_id,
            started_unix_us=self._now.clock.started_unix_us,
            curtain=self._lesson.curtain,
            boot_id=boot_id(),
        )
        self._crew.keep(kept)

    def _open_capture(self) -> None:
        self._close_asked = asyncio.Event()
        self._tasks.create_task(self._run_capture(self._now.clock, self._close_asked), name="capture")

    async def _run_capture(self, clock: LessonClock, close_asked: asyncio.Event) -> None:
        async with self._crew.open_capture(clock, self) as capture:
            self._capture = capture
            try:
                await close_asked.wait()
            finally:
                self._capture = None
        self._troubles.clear()
        self._happens(Event.CAPTURE_CLOSED)

    def _open_preview(self) -> None:
        self._preview_close_asked = asyncio.Event()
        self._tasks.create_task(self._run_preview(self._preview_close_asked), name="preview")

    def _close_preview(self) -> None:
        self._preview_close_asked.set()

    async def _run_preview(self, close_asked: asyncio.Event) -> None:
        async with self._crew.open_preview():
            await close_asked.wait()
        self._happens(Event.PREVIEW_CLOSED)

    def _cut_capture(self) -> None:
        self._delivery = None  # what the relay said of the open curtain is old news
        if self._capture is not None:
            self._capture.cut()
        if self._lesson.phase == "ending":
            # A kit that dies while its devices close must not teach on against the teacher's will.
            self._crew.keep(None)
        self._close_asked.set()

    def _take_still(self) -> None:
        if self._still is None or self._still.done():
            self._still = self._tasks.create_task(self._run_still(), name="board still")

    async def _run_still(self) -> None:
        capture, running = self._capture, self._running
        if capture is None or running is None:
            return
        capture_us = running.clock.now_us()
        try:
            await self._crew.store_still(running, capture_us, await capture.still())
        except (KitError, OSError) as error:
            log.warning("board still: %s", error)
