"""The lesson state machine: events in, actions out.

Pure: no I/O, no clock, no tasks. ``director.py`` feeds it events and carries its actions out, in the order in which
``Action`` lists them. DESIGN.md's rules are held here, and ``tests/appliance/test_lesson.py`` writes every state and
event out:

- The start press needs nobody: no relay, no network, not even a working camera.
- The tally is lit (``SHOW``) before capture opens, and tells of a closed camera only after capture has closed:
  between the curtain press and ``CAPTURE_CLOSED`` the phase stays what it was.
- ``live`` is entered by the relay's confirmation alone.
- ``fault`` is a lesson that reaches nobody, ever: a dead camera *and* a dead microphone, or neither live nor recorded.
  It heals when either returns.
- The preview of the setup page is no lesson: the phase stays ``idle``, but the tally is lit as long as it has the
  devices. A start press takes them over: the lesson begins at once, and captures as soon as the preview has closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from typing import Literal

from wire.messages import KitState, Tally

Capture = Literal["closed", "open", "closing"]
#: Whether the lesson is being recorded: it is; it is not, and should be; it never is, by the kit's settings.
Recording = Literal["on", "lost", "off"]
#: What the lamp of this kit can tell: what the relay is told, the setup page's preview, and a live lesson whose
#: recording is lost.
Signal = Tally | Literal["preview", "unrecorded"]
Source = Literal["waiting", "up", "lost"]
After = Literal["rest", "start", "shut_down"]


class Event(Enum):
    """What happens to a lesson."""

    START_PRESSED = auto()
    END_HELD = auto()
    SHUTDOWN_HELD = auto()
    CURTAIN_PRESSED = auto()
    STILL_PRESSED = auto()
    CAMERA_UP = auto()
    CAMERA_LOST = auto()
    MICROPHONE_UP = auto()
    MICROPHONE_LOST = auto()
    #: The card takes nothing, or takes it again.
    RECORDING_LOST = auto()
    RECORDING_BACK = auto()
    #: By its settings, this kit records nothing.
    RECORDING_OFF = auto()
    DELIVERY_CONFIRMED = auto()
    #: The relay says that pupils don't get it, or has been silent for too long to be believed.
    DELIVERY_DENIED = auto()
    #: ``starting`` has lasted so long that "connecting" is no longer the honest word.
    START_OVERDUE = auto()
    CAPTURE_CLOSED = auto()
    END_COMMANDED = auto()
    #: The kit was restarted within a lesson, which goes on.
    RESUMED = auto()
    RESUMED_BEHIND_CURTAIN = auto()
    #: A person at the setup page wants to see what the camera sees, or has seen enough.
    PREVIEW_WANTED = auto()
    PREVIEW_LEFT = auto()
    PREVIEW_CLOSED = auto()


class Action(Enum):
    """What the kit must do about it; carried out in this order."""

    CLOSE_PREVIEW = auto()  # show no more at once, close the devices, then tell PREVIEW_CLOSED
    CLOSE_CAPTURE = auto()  # cut what leaves the kit at once, close the devices, then tell CAPTURE_CLOSED
    END_LESSON = auto()
    BEGIN_LESSON = auto()
    RESUME_LESSON = auto()
    SHOW = auto()  # the new state, on the panel and to the relay
    OPEN_CAPTURE = auto()
    OPEN_PREVIEW = auto()
    TAKE_STILL = auto()
    KEEP = auto()  # write down that the lesson runs, and whether behind the curtain, in case the kit dies
    SHUT_DOWN = auto()


@dataclass(frozen=True, slots=True)
class Lesson:
    """The state. ``curtain`` is what the teacher wants; ``phase`` says ``curtain`` once it is true.

    While ``preview`` is ``closing``, a lesson that has begun waits for the devices.
    """

    phase: KitState = "idle"
    capture: Capture = "closed"
    camera: Source = "waiting"
    microphone: Source = "waiting"
    curtain: bool = False
    after: After = "rest"
    preview: Capture = "closed"
    recording: Recording = "on"

    @property
    def runs(self) -> bool:
        """A lesson is going on that a hold would end."""
        return self.phase not in ("idle", "ending")

    @property
    def tally(self) -> Tally:
        """The lamp's truth. While ending, the devices may still be open though nothing leaves: not off, not red."""
        return _TALLY[self.phase]

    @property
    def signal(self) -> Signal:
        """What this kit's own lamp shows."""
        if self.phase == "live" and self.recording == "lost":
            return "unrecorded"
        return "preview" if self.phase == "idle" and self.preview != "closed" else self.tally

    @property
    def is_dead(self) -> bool:
        """Nothing is captured, though it should be."""
        return self.camera == self.microphone == "lost"


_TALLY: Mapping[KitState, Tally] = {
    "idle": "off",
    "starting": "connecting",
    "live": "on_air",
    "degraded": "not_live",
    "curtain": "curtain",
    "ending": "not_live",
    "fault": "fault",
}

Actions = frozenset[Action]
Step = tuple[Lesson, Actions]
_NOTHING: Actions = frozenset()


def step(lesson: Lesson, event: Event) -> tuple[Lesson, tuple[Action, ...]]:
    """What ``event`` makes of ``lesson``, and what is to be done, in order."""
    after, actions = _HANDLERS[event](lesson)
    if after != lesson:
        actions |= {Action.SHOW}
    return after, tuple(action for action in Action if action in actions)


def _start(lesson: Lesson) -> Step:
    if lesson.phase == "idle" and lesson.after == "rest":
        return _begun(Action.BEGIN_LESSON, lesson.preview)
    if lesson.phase == "ending" and lesson.after == "rest":
        return replace(lesson, after="start"), _NOTHING  # a quick hand is not lost while the devices close
    return lesson, _NOTHING


def _begun(how: Action, preview: Capture = "closed") -> Step:
    if preview == "closed":
        return Lesson(phase="starting", capture="open"), frozenset({how, Action.OPEN_CAPTURE, Action.KEEP})
    closing: Actions = frozenset({Action.CLOSE_PREVIEW}) if preview == "open" else _NOTHING
    return Lesson(phase="starting", preview="closing"), closing | {how, Action.KEEP}


def _end(lesson: Lesson, after: After = "rest") -> Step:
    shut_down: Actions = frozenset({Action.SHUT_DOWN}) if after == "shut_down" else _NOTHING
    if lesson.preview != "closed":
        return _end_before_capture(lesson, after)
    if lesson.phase == "idle":
        return lesson, shut_down
    if lesson.phase == "ending":
        return (replace(lesson, after="shut_down") if shut_down else lesson), _NOTHING
    if lesson.capture == "closed":
        return Lesson(), shut_down | {Action.END_LESSON}
    closing: Actions = frozenset({Action.CLOSE_CAPTURE}) if lesson.capture == "open" else _NOTHING
    return replace(lesson, phase="ending", capture="closing", after=after), closing


def _end_before_capture(lesson: Lesson, after: After) -> Step:
    """The preview still has the devices: a lesson that waits for them is over; a kit that is to go off waits itself."""
    ended: Actions = frozenset({Action.END_LESSON}) if lesson.runs else _NOTHING
    if after == "shut_down":
        closing: Actions = frozenset({Action.CLOSE_PREVIEW}) if lesson.preview == "open" else _NOTHING
        return Lesson(preview="closing", after="shut_down"), closing | ended
    return Lesson(preview=lesson.preview, after=lesson.after), ended


def _curtain(lesson: Lesson) -> Step:
    if lesson.preview == "open":
        return _preview_left(lesson)  # what the curtain is for: nobody shall look
    if not lesson.runs:
        return lesson, _NOTHING
    if lesson.preview == "closing":  # a lesson that waits for the devices: it may well not open them
        return replace(lesson, curtain=not lesson.curtain), frozenset({Action.KEEP})
    if lesson.capture == "closed":
        return _reopened(lesson)
    closing: Actions = frozenset({Action.CLOSE_CAPTURE}) if lesson.capture == "open" else _NOTHING
    return replace(lesson, capture="closing", curtain=not lesson.curtain), closing | {Action.KEEP}


def _reopened(lesson: Lesson) -> Step:
    opened = Lesson(phase="starting", capture="open", recording=lesson.recording)
    return opened, frozenset({Action.OPEN_CAPTURE, Action.KEEP})


def _closed_by_curtain(lesson: Lesson) -> Step:
    return Lesson(phase="curtain", curtain=True, recording=lesson.recording), _NOTHING


def _still(lesson: Lesson) -> Step:
    sees = lesson.capture == "open" and lesson.camera == "up"
    return lesson, frozenset({Action.TAKE_STILL}) if sees else _NOTHING


def _camera(lesson: Lesson, source: Source) -> Step:
    return _judged(lesson, replace(lesson, camera=source)) if lesson.capture == "open" else (lesson, _NOTHING)


def _microphone(lesson: Lesson, source: Source) -> Step:
    return _judged(lesson, replace(lesson, microphone=source)) if lesson.capture == "open" else (lesson, _NOTHING)


def _judged(before: Lesson, after: Lesson) -> Step:
    if after.is_dead:
        return replace(after, phase="fault"), _NOTHING
    if before.is_dead and after.phase == "fault":
        return replace(after, phase="starting"), _NOTHING
    return after, _NOTHING


def _recording(lesson: Lesson, recording: Recording) -> Step:
    if not lesson.runs or lesson.recording == recording:
        return lesson, _NOTHING
    after = replace(lesson, recording=recording)
    if after.phase == "degraded" or (after.phase == "fault" and not after.is_dead):
        return _unseen(after)
    return after, _NOTHING


def _unseen(lesson: Lesson) -> Step:
    """Pupils do not get it now: they will in the replay, unless it is not recorded either."""
    return replace(lesson, phase="degraded" if lesson.recording == "on" else "fault"), _NOTHING


def _confirmed(lesson: Lesson) -> Step:
    is_to_be_live = lesson.phase in ("starting", "degraded") or (lesson.phase == "fault" and not lesson.is_dead)
    if is_to_be_live and lesson.capture == "open":
        return replace(lesson, phase="live"), _NOTHING
    return lesson, _NOTHING


def _denied(lesson: Lesson) -> Step:
    return _unseen(lesson) if lesson.phase == "live" else (lesson, _NOTHING)


def _overdue(lesson: Lesson) -> Step:
    return _unseen(lesson) if lesson.phase == "starting" else (lesson, _NOTHING)


def _closed(lesson: Lesson) -> Step:
    if lesson.capture == "closed":
        return lesson, _NOTHING
    if lesson.capture == "open":  # nobody asked: both sources are gone, and whoever runs them goes on trying
        return _judged(lesson, replace(lesson, camera="lost", microphone="lost"))
    if lesson.phase == "ending":
        return _ended(lesson.after)
    if lesson.curtain:
        return _closed_by_curtain(lesson)
    return _reopened(lesson)  # the teacher changed their mind while it closed


def _ended(after: After) -> Step:
    if after == "start":
        begun, actions = _begun(Action.BEGIN_LESSON)
        return begun, actions | {Action.END_LESSON}
    shut_down: Actions = frozenset({Action.SHUT_DOWN}) if after == "shut_down" else _NOTHING
    return Lesson(), shut_down | {Action.END_LESSON}


def _preview_wanted(lesson: Lesson) -> Step:
    if lesson != Lesson():
        return lesson, _NOTHING
    return Lesson(preview="open"), frozenset({Action.OPEN_PREVIEW})


def _preview_left(lesson: Lesson) -> Step:
    if lesson.preview != "open":
        return lesson, _NOTHING
    return replace(lesson, preview="closing"), frozenset({Action.CLOSE_PREVIEW})


def _preview_closed(lesson: Lesson) -> Step:
    if lesson.preview == "closed":
        return lesson, _NOTHING
    if lesson.phase == "idle":
        return Lesson(), frozenset({Action.SHUT_DOWN}) if lesson.after == "shut_down" else _NOTHING
    return _closed_by_curtain(lesson) if lesson.curtain else _reopened(lesson)


def _resumed(lesson: Lesson) -> Step:
    return _begun(Action.RESUME_LESSON) if lesson == Lesson() else (lesson, _NOTHING)


def _resumed_behind_curtain(lesson: Lesson) -> Step:
    if lesson != Lesson():
        return lesson, _NOTHING
    return Lesson(phase="curtain", curtain=True), frozenset({Action.RESUME_LESSON})


_HANDLERS: Mapping[Event, Callable[[Lesson], Step]] = {
    Event.START_PRESSED: _start,
    Event.END_HELD: _end,
    Event.SHUTDOWN_HELD: partial(_end, after="shut_down"),
    Event.CURTAIN_PRESSED: _curtain,
    Event.STILL_PRESSED: _still,
    Event.CAMERA_UP: partial(_camera, source="up"),
    Event.CAMERA_LOST: partial(_camera, source="lost"),
    Event.MICROPHONE_UP: partial(_microphone, source="up"),
    Event.MICROPHONE_LOST: partial(_microphone, source="lost"),
    Event.RECORDING_LOST: partial(_recording, recording="lost"),
    Event.RECORDING_BACK: partial(_recording, recording="on"),
    Event.RECORDING_OFF: partial(_recording, recording="off"),
    Event.DELIVERY_CONFIRMED: _confirmed,
    Event.DELIVERY_DENIED: _denied,
    Event.START_OVERDUE: _overdue,
    Event.CAPTURE_CLOSED: _closed,
    Event.END_COMMANDED: _end,
    Event.RESUMED: _resumed,
    Event.RESUMED_BEHIND_CURTAIN: _resumed_behind_curtain,
    Event.PREVIEW_WANTED: _preview_wanted,
    Event.PREVIEW_LEFT: _preview_left,
    Event.PREVIEW_CLOSED: _preview_closed,
}
