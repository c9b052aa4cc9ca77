"""The lesson state machine: every event in every state, written out; then what holds for any story of events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from appliance.lesson import Action, Event, Lesson, step
from wire.messages import KitState

A = Action
E = Event

IDLE = Lesson()
OPENING = Lesson(phase="starting", capture="open")
STARTING = Lesson(phase="starting", capture="open", camera="up", microphone="up")
LIVE = Lesson(phase="live", capture="open", camera="up", microphone="up")
DEGRADED = Lesson(phase="degraded", capture="open", camera="up", microphone="up")
VOICE_ONLY = Lesson(phase="live", capture="open", camera="lost", microphone="up")
FAULT = Lesson(phase="fault", capture="open", camera="lost", microphone="lost")
UNRECORDED = Lesson(phase="live", capture="open", camera="up", microphone="up", recording="lost")
NOWHERE = Lesson(phase="fault", capture="open", camera="up", microphone="up", recording="lost")
CLOSING_CURTAIN = Lesson(phase="live", capture="closing", camera="up", microphone="up", curtain=True)
REOPENING = Lesson(phase="live", capture="closing", camera="up", microphone="up", curtain=False)
CURTAIN = Lesson(phase="curtain", curtain=True)
ENDING = Lesson(phase="ending", capture="closing", camera="up", microphone="up")
ENDING_THEN_START = Lesson(phase="ending", capture="closing", camera="up", microphone="up", after="start")
ENDING_THEN_OFF = Lesson(phase="ending", capture="closing", camera="up", microphone="up", after="shut_down")

PREVIEW = Lesson(preview="open")
PREVIEW_CLOSING = Lesson(preview="closing")
PREVIEW_THEN_OFF = Lesson(preview="closing", after="shut_down")
TAKING_OVER = Lesson(phase="starting", preview="closing")
TAKING_OVER_LATE = Lesson(phase="degraded", preview="closing")
TAKING_OVER_BEHIND_CURTAIN = Lesson(phase="starting", preview="closing", curtain=True)

BEGIN = (A.BEGIN_LESSON, A.SHOW, A.OPEN_CAPTURE, A.KEEP)
REOPEN = (A.SHOW, A.OPEN_CAPTURE, A.KEEP)
CLOSE = (A.CLOSE_CAPTURE, A.SHOW)
CLOSE_FOR_CURTAIN = (A.CLOSE_CAPTURE, A.SHOW, A.KEEP)
SHOW = (A.SHOW,)

#: state → event → (state after, actions). What is not listed is in ``UNMOVED``, which is written out too.
MOVED: dict[Lesson, dict[Event, tuple[Lesson, tuple[Action, ...]]]] = {
    IDLE: {
        E.START_PRESSED: (OPENING, BEGIN),
        E.SHUTDOWN_HELD: (IDLE, (A.SHUT_DOWN,)),
        E.RESUMED: (OPENING, (A.RESUME_LESSON, A.SHOW, A.OPEN_CAPTURE, A.KEEP)),
        E.RESUMED_BEHIND_CURTAIN: (CURTAIN, (A.RESUME_LESSON, A.SHOW)),
        E.PREVIEW_WANTED: (PREVIEW, (A.SHOW, A.OPEN_PREVIEW)),
    },
    PREVIEW: {
        E.START_PRESSED: (TAKING_OVER, (A.CLOSE_PREVIEW, A.BEGIN_LESSON, A.SHOW, A.KEEP)),
        E.SHUTDOWN_HELD: (PREVIEW_THEN_OFF, (A.CLOSE_PREVIEW, A.SHOW)),
        E.CURTAIN_PRESSED: (PREVIEW_CLOSING, (A.CLOSE_PREVIEW, A.SHOW)),
        E.PREVIEW_LEFT: (PREVIEW_CLOSING, (A.CLOSE_PREVIEW, A.SHOW)),
        E.PREVIEW_CLOSED: (IDLE, SHOW),
    },
    PREVIEW_CLOSING: {
        E.START_PRESSED: (TAKING_OVER, (A.BEGIN_LESSON, A.SHOW, A.KEEP)),
        E.SHUTDOWN_HELD: (PREVIEW_THEN_OFF, SHOW),
        E.PREVIEW_CLOSED: (IDLE, SHOW),
    },
    PREVIEW_THEN_OFF: {E.PREVIEW_CLOSED: (IDLE, (A.SHOW, A.SHUT_DOWN))},
    TAKING_OVER: {
        E.END_HELD: (PREVIEW_CLOSING, (A.END_LESSON, A.SHOW)),
        E.END_COMMANDED: (PREVIEW_CLOSING, (A.END_LESSON, A.SHOW)),
        E.SHUTDOWN_HELD: (PREVIEW_THEN_OFF, (A.END_LESSON, A.SHOW)),
        E.CURTAIN_PRESSED: (TAKING_OVER_BEHIND_CURTAIN, (A.SHOW, A.KEEP)),
        E.START_OVERDUE: (TAKING_OVER_LATE, SHOW),
        E.PREVIEW_CLOSED: (OPENING, REOPEN),
    },
    TAKING_OVER_LATE: {
        E.END_HELD: (PREVIEW_CLOSING, (A.END_LESSON, A.SHOW)),
        E.END_COMMANDED: (PREVIEW_CLOSING, (A.END_LESSON, A.SHOW)),
        E.SHUTDOWN_HELD: (PREVIEW_THEN_OFF, (A.END_LESSON, A.SHOW)),
        E.CURTAIN_PRESSED: (Lesson(phase="degraded", preview="closing", curtain=True), (A.SHOW, A.KEEP)),
        E.PREVIEW_CLOSED: (OPENING, REOPEN),
    },
    TAKING_OVER_BEHIND_CURTAIN: {
        E.END_HELD: (PREVIEW_CLOSING, (A.END_LESSON, A.SHOW)),
        E.END_COMMANDED: (PREVIEW_CLOSING, (A.END_LESSON, A.SHOW)),
        E.SHUTDOWN_HELD: (PREVIEW_THEN_OFF, (A.END_LESSON, A.SHOW)),
        E.CURTAIN_PRESSED: (TAKING_OVER, (A.SHOW, A.KEEP)),
        E.START_OVERDUE: (Lesson(phase="degraded", preview="closing", curtain=True), SHOW),
        E.PREVIEW_CLOSED: (CURTAIN, SHOW),
    },
    OPENING: {
        E.END_HELD: (Lesson(phase="ending", capture="closing"), CLOSE),
        E.END_COMMANDED: (Lesson(phase="ending", capture="closing"), CLOSE),
        E.SHUTDOWN_HELD: (Lesson(phase="ending", capture="closing", after="shut_down"), CLOSE),
        E.CURTAIN_PRESSED: (Lesson(phase="starting", capture="closing", curtain=True), CLOSE_FOR_CURTAIN),
        E.CAMERA_UP: (Lesson(phase="starting", capture="open", camera="up"), SHOW),
        E.CAMERA_LOST: (Lesson(phase="starting", capture="open", camera="lost"), SHOW),
        E.MICROPHONE_UP: (Lesson(phase="starting", capture="open", microphone="up"), SHOW),
        E.MICROPHONE_LOST: (Lesson(phase="starting", capture="open", microphone="lost"), SHOW),
        E.DELIVERY_CONFIRMED: (Lesson(phase="live", capture="open"), SHOW),
        E.START_OVERDUE: (Lesson(phase="degraded", capture="open"), SHOW),
        E.CAPTURE_CLOSED: (FAULT, SHOW),
    },
    STARTING: {
        E.END_HELD: (ENDING, CLOSE),
        E.END_COMMANDED: (ENDING, CLOSE),
        E.SHUTDOWN_HELD: (ENDING_THEN_OFF, CLOSE),
        E.CURTAIN_PRESSED: (
            Lesson(phase="starting", capture="closing", camera="up", microphone="up", curtain=True),
            CLOSE_FOR_CURTAIN,
        ),
        E.STILL_PRESSED: (STARTING, (A.TAKE_STILL,)),
        E.CAMERA_LOST: (Lesson(phase="starting", capture="open", camera="lost", microphone="up"), SHOW),
        E.MICROPHONE_LOST: (Lesson(phase="starting", capture="open", camera="up", microphone="lost"), SHOW),
        E.DELIVERY_CONFIRMED: (LIVE, SHOW),
        E.START_OVERDUE: (DEGRADED, SHOW),
        E.CAPTURE_CLOSED: (FAULT, SHOW),
    },
    LIVE: {
        E.END_HELD: (ENDING, CLOSE),
        E.END_COMMANDED: (ENDING, CLOSE),
        E.SHUTDOWN_HELD: (ENDING_THEN_OFF, CLOSE),
        E.CURTAIN_PRESSED: (CLOSING_CURTAIN, CLOSE_FOR_CURTAIN),
        E.STILL_PRESSED: (LIVE, (A.TAKE_STILL,)),
        E.CAMERA_LOST: (VOICE_ONLY, SHOW),
        E.MICROPHONE_LOST: (Lesson(phase="live", capture="open", camera="up", microphone="lost"), SHOW),
        E.DELIVERY_DENIED: (DEGRADED, SHOW),
        E.CAPTURE_CLOSED: (FAULT, SHOW),
    },
    DEGRADED: {
        E.END_HELD: (ENDING, CLOSE),
        E.END_COMMANDED: (ENDING, CLOSE),
        E.SHUTDOWN_HELD: (ENDING_THEN_OFF, CLOSE),
        E.CURTAIN_PRESSED: (
            Lesson(phase="degraded", capture="closing", camera="up", microphone="up", curtain=True),
            CLOSE_FOR_CURTAIN,
        ),
        E.STILL_PRESSED: (DEGRADED, (A.TAKE_STILL,)),
        E.CAMERA_LOST: (Lesson(phase="degraded", capture="open", camera="lost", microphone="up"), SHOW),
        E.MICROPHONE_LOST: (Lesson(phase="degraded", capture="open", camera="up", microphone="lost"), SHOW),
        E.DELIVERY_CONFIRMED: (LIVE, SHOW),
        E.CAPTURE_CLOSED: (FAULT, SHOW),
    },
    VOICE_ONLY: {
        E.END_HELD: (Lesson(phase="ending", capture="closing", camera="lost", microphone="up"), CLOSE),
        E.END_COMMANDED: (Lesson(phase="ending", capture="closing", camera="lost", microphone="up"), CLOSE),
        E.SHUTDOWN_HELD: (
            Lesson(phase="ending", capture="closing", camera="lost", microphone="up", after="shut_down"),
            CLOSE,
        ),
        E.CURTAIN_PRESSED: (
            Lesson(phase="live", capture="closing", camera="lost", microphone="up", curtain=True),
            CLOSE_FOR_CURTAIN,
        ),
        E.CAMERA_UP: (LIVE, SHOW),
        E.MICROPHONE_LOST: (FAULT, SHOW),
        E.DELIVERY_DENIED: (Lesson(phase="degraded", capture="open", camera="lost", microphone="up"), SHOW),
        E.CAPTURE_CLOSED: (FAULT, SHOW),
    },
    FAULT: {
        E.END_HELD: (Lesson(phase="ending", capture="closing", camera="lost", microphone="lost"), CLOSE),
        E.END_COMMANDED: (Lesson(phase="ending", capture="closing", camera="lost", microphone="lost"), CLOSE),
        E.SHUTDOWN_HELD: (
            Lesson(phase="ending", capture="closing", camera="lost", microphone="lost", after="shut_down"),
            CLOSE,
        ),
        E.CURTAIN_PRESSED: (
            Lesson(phase="fault", capture="closing", camera="lost", microphone="lost", curtain=True),
            CLOSE_FOR_CURTAIN,
        ),
        E.CAMERA_UP: (Lesson(phase="starting", capture="open", camera="up", microphone="lost"), SHOW),
        E.MICROPHONE_UP: (Lesson(phase="starting", capture="open", camera="lost", microphone="up"), SHOW),
    },
    CLOSING_CURTAIN: {
        E.END_HELD: (Lesson("ending", "closing", "up", "up", curtain=True), SHOW),
        E.END_COMMANDED: (Lesson("ending", "closing", "up", "up", curtain=True), SHOW),
        E.SHUTDOWN_HELD: (Lesson("ending", "closing", "up", "up", curtain=True, after="shut_down"), SHOW),
        E.CURTAIN_PRESSED: (REOPENING, (A.SHOW, A.KEEP)),
        E.DELIVERY_DENIED: (Lesson("degraded", "closing", "up", "up", curtain=True), SHOW),
        E.CAPTURE_CLOSED: (CURTAIN, SHOW),
    },
    REOPENING: {
        E.END_HELD: (ENDING, SHOW),
        E.END_COMMANDED: (ENDING, SHOW),
        E.SHUTDOWN_HELD: (ENDING_THEN_OFF, SHOW),
        E.CURTAIN_PRESSED: (CLOSING_CURTAIN, (A.SHOW, A.KEEP)),
        E.DELIVERY_DENIED: (Lesson("degraded", "closing", "up", "up"), SHOW),
        E.CAPTURE_CLOSED: (OPENING, REOPEN),
    },
    CURTAIN: {
        E.END_HELD: (IDLE, (A.END_LESSON, A.SHOW)),
        E.END_COMMANDED: (IDLE, (A.END_LESSON, A.SHOW)),
        E.SHUTDOWN_HELD: (IDLE, (A.END_LESSON, A.SHOW, A.SHUT_DOWN)),
        E.CURTAIN_PRESSED: (OPENING, REOPEN),
    },
    ENDING: {
        E.START_PRESSED: (ENDING_THEN_START, SHOW),
        E.SHUTDOWN_HELD: (ENDING_THEN_OFF, SHOW),
        E.CAPTURE_CLOSED: (IDLE, (A.END_LESSON, A.SHOW)),
    },
    ENDING_THEN_START: {
        E.SHUTDOWN_HELD: (ENDING_THEN_OFF, SHOW),
        E.CAPTURE_CLOSED: (OPENING, (A.END_LESSON, *BEGIN)),
    },
    ENDING_THEN_OFF: {
        E.CAPTURE_CLOSED: (IDLE, (A.END_LESSON, A.SHOW, A.SHUT_DOWN)),
    },
}

_RESUMES = {E.RESUMED, E.RESUMED_BEHIND_CURTAIN}
_SOURCES = {E.CAMERA_UP, E.CAMERA_LOST, E.MICROPHONE_UP, E.MICROPHONE_LOST}
_RELAY = {E.DELIVERY_CONFIRMED, E.DELIVERY_DENIED}
_NO_PREVIEW = {E.PREVIEW_WANTED, E.PREVIEW_LEFT, E.PREVIEW_CLOSED}
_STILL_HERE = {E.START_PRESSED, *_RESUMES, *_NO_PREVIEW}  # what a lesson that runs never minds

UNMOVED: dict[Lesson, set[Event]] = {
    IDLE: {
        E.END_HELD, E.END_COMMANDED, E.CURTAIN_PRESSED, E.STILL_PRESSED, E.START_OVERDUE, E.CAPTURE_CLOSED,
        *_SOURCES, *_RELAY, E.PREVIEW_LEFT, E.PREVIEW_CLOSED,
    },
    PREVIEW: {
        *_RESUMES, E.END_HELD, E.END_COMMANDED, E.STILL_PRESSED, E.START_OVERDUE, E.CAPTURE_CLOSED, *_SOURCES, *_RELAY,
        E.PREVIEW_WANTED,
    },
    PREVIEW_CLOSING: {
        *_RESUMES, E.END_HELD, E.END_COMMANDED, E.CURTAIN_PRESSED, E.STILL_PRESSED, E.START_OVERDUE, E.CAPTURE_CLOSED,
        *_SOURCES, *_RELAY, E.PREVIEW_WANTED, E.PREVIEW_LEFT,
    },
    PREVIEW_THEN_OFF: set(Event) - {E.PREVIEW_CLOSED},
    TAKING_OVER: {
        E.START_PRESSED, *_RESUMES, E.STILL_PRESSED, E.CAPTURE_CLOSED, *_SOURCES, *_RELAY, E.PREVIEW_WANTED,
        E.PREVIEW_LEFT,
    },
    TAKING_OVER_LATE: {
        E.START_PRESSED, *_RESUMES, E.STILL_PRESSED, E.CAPTURE_CLOSED, *_SOURCES, *_RELAY, E.PREVIEW_WANTED,
        E.PREVIEW_LEFT, E.START_OVERDUE,
    },
    TAKING_OVER_BEHIND_CURTAIN: {
        E.START_PRESSED, *_RESUMES, E.STILL_PRESSED, E.CAPTURE_CLOSED, *_SOURCES, *_RELAY, E.PREVIEW_WANTED,
        E.PREVIEW_LEFT,
    },
    OPENING: {*_STILL_HERE, E.STILL_PRESSED, E.DELIVERY_DENIED},
    STARTING: {*_STILL_HERE, E.CAMERA_UP, E.MICROPHONE_UP, E.DELIVERY_DENIED},
    LIVE: {*_STILL_HERE, E.CAMERA_UP, E.MICROPHONE_UP, E.DELIVERY_CONFIRMED, E.START_OVERDUE},
    DEGRADED: {*_STILL_HERE, E.CAMERA_UP, E.MICROPHONE_UP, E.DELIVERY_DENIED, E.START_OVERDUE},
    VOICE_ONLY: {
        *_STILL_HERE, E.STILL_PRESSED, E.CAMERA_LOST, E.MICROPHONE_UP, E.DELIVERY_CONFIRMED, E.START_OVERDUE,
    },
    FAULT: {
        *_STILL_HERE, E.STILL_PRESSED, E.CAMERA_LOST, E.MICROPHONE_LOST, *_RELAY, E.START_OVERDUE, E.CAPTURE_CLOSED,
    },
    CLOSING_CURTAIN: {*_STILL_HERE, E.STILL_PRESSED, *_SOURCES, E.DELIVERY_CONFIRMED, E.START_OVERDUE},
    REOPENING: {*_STILL_HERE, E.STILL_PRESSED, *_SOURCES, E.DELIVERY_CONFIRMED, E.START_OVERDUE},
    CURTAIN: {*_STILL_HERE, E.STILL_PRESSED, *_SOURCES, *_RELAY, E.START_OVERDUE, E.CAPTURE_CLOSED},
    ENDING: {
        *_RESUMES, *_NO_PREVIEW, E.END_HELD, E.END_COMMANDED, E.CURTAIN_PRESSED, E.STILL_PRESSED, *_SOURCES, *_RELAY,
        E.START_OVERDUE,
    },
    ENDING_THEN_START: {
        *_STILL_HERE, E.END_HELD, E.END_COMMANDED, E.CURTAIN_PRESSED, E.STILL_PRESSED, *_SOURCES, *_RELAY,
        E.START_OVERDUE,
    },
    ENDING_THEN_OFF: {
        *_STILL_HERE, E.END_HELD, E.END_COMMANDED, E.SHUTDOWN_HELD, E.CURTAIN_PRESSED, E.STILL_PRESSED, *_SOURCES,
        *_RELAY, E.START_OVERDUE,
    },
}  # fmt: skip


# Recording is the lesson's second way to pupils. What is lost of it changes nothing else, but for a lesson that is not
# live: that reaches nobody then.
for _state, _row in MOVED.items():
    if _state.runs and _state.recording == "on":
        _phase: KitState = "fault" if _state.phase == "degraded" else _state.phase
        _row[E.RECORDING_LOST] = (replace(_state, phase=_phase, recording="lost"), SHOW)
        _row[E.RECORDING_OFF] = (replace(_state, phase=_phase, recording="off"), SHOW)
        UNMOVED[_state] |= {E.RECORDING_BACK}
    elif not _state.runs:
        UNMOVED[_state] |= {E.RECORDING_LOST, E.RECORDING_BACK, E.RECORDING_OFF}


@pytest.mark.parametrize(
    ("state", "event", "after"),
    [
        (UNRECORDED, E.RECORDING_BACK, LIVE),
        (UNRECORDED, E.DELIVERY_DENIED, NOWHERE),
        (UNRECORDED, E.CAMERA_LOST, replace(VOICE_ONLY, recording="lost")),
        (UNRECORDED, E.CURTAIN_PRESSED, replace(CLOSING_CURTAIN, recording="lost")),
        (replace(CLOSING_CURTAIN, recording="lost"), E.CAPTURE_CLOSED, replace(CURTAIN, recording="lost")),
        (replace(CURTAIN, recording="lost"), E.CURTAIN_PRESSED, replace(OPENING, recording="lost")),
        (replace(STARTING, recording="lost"), E.START_OVERDUE, NOWHERE),
        (replace(STARTING, recording="off"), E.START_OVERDUE, replace(NOWHERE, recording="off")),
        (NOWHERE, E.RECORDING_BACK, DEGRADED),
        (NOWHERE, E.DELIVERY_CONFIRMED, UNRECORDED),
        (NOWHERE, E.DELIVERY_DENIED, NOWHERE),
        (NOWHERE, E.CAMERA_LOST, replace(NOWHERE, camera="lost")),
        (replace(NOWHERE, camera="lost"), E.MICROPHONE_LOST, replace(FAULT, recording="lost")),
        (replace(FAULT, recording="lost"), E.RECORDING_BACK, FAULT),
        (replace(FAULT, recording="lost"), E.CAMERA_UP, Lesson("starting", "open", "up", "lost", recording="lost")),
        (NOWHERE, E.END_HELD, replace(ENDING, recording="lost")),
        (replace(ENDING, recording="lost"), E.CAPTURE_CLOSED, IDLE),
    ],
)
def test_a_lesson_that_is_not_recorded(state: Lesson, event: Event, after: Lesson) -> None:
    assert step(state, event)[0] == after


def test_the_lamp_tells_a_live_lesson_that_is_not_recorded_and_is_silent_where_nobody_wanted_it_recorded() -> None:
    assert UNRECORDED.signal == "unrecorded"
    assert UNRECORDED.tally == "on_air"
    assert replace(UNRECORDED, recording="off").signal == "on_air"
    assert NOWHERE.signal == replace(NOWHERE, recording="off").signal == "fault"


@pytest.mark.parametrize("state", MOVED, ids=str)
def test_the_table_says_what_every_event_does_in_every_state(state: Lesson) -> None:
    assert set(MOVED[state]) | UNMOVED[state] == set(Event)
    assert not set(MOVED[state]) & UNMOVED[state]


@pytest.mark.parametrize(
    ("state", "event", "after", "actions"),
    [(state, event, *outcome) for state, row in MOVED.items() for event, outcome in row.items()],
)
def test_an_event_that_matters(state: Lesson, event: Event, after: Lesson, actions: tuple[Action, ...]) -> None:
    assert step(state, event) == (after, actions)


@pytest.mark.parametrize(("state", "event"), [(s, e) for s, row in UNMOVED.items() for e in Event if e in row])
def test_an_event_that_changes_nothing(state: Lesson, event: Event) -> None:
    assert step(state, event) == (state, ())


def test_the_lamp_is_lit_before_the_camera_opens_and_the_old_lesson_ends_before_the_next_begins() -> None:
    _, actions = step(ENDING_THEN_START, Event.CAPTURE_CLOSED)
    assert actions.index(A.END_LESSON) < actions.index(A.BEGIN_LESSON) < actions.index(A.SHOW)
    assert actions.index(A.SHOW) < actions.index(A.OPEN_CAPTURE)


def reachable() -> list[Lesson]:
    """Every state that any story of events leads to."""
    found, unseen = [IDLE], [IDLE]
    while unseen:
        state = unseen.pop()
        new = {step(state, event)[0] for event in Event} - set(found)
        found += new
        unseen += new
    return found


REACHABLE = reachable()


def test_the_table_has_a_row_for_every_phase_and_every_way_to_rest() -> None:
    assert set(MOVED) <= set(REACHABLE)
    assert {state.phase for state in MOVED} == {state.phase for state in REACHABLE}
    assert {(state.capture, state.after) for state in MOVED} == {(state.capture, state.after) for state in REACHABLE}


@pytest.mark.parametrize("event", Event, ids=str)
def test_every_event_keeps_the_rules_in_every_state(event: Event) -> None:
    for state in REACHABLE:
        after, actions = step(state, event)
        story = f"{state} -- {event} -> {after}, {actions}"
        # Whoever sees the lamp knows of the device, and devices are opened and closed once.
        assert (after.tally == "off") == (after.phase == "idle"), story
        assert after.capture == "closed" or after.tally not in ("off", "curtain"), story
        assert (A.OPEN_CAPTURE in actions) == (after.capture == "open" != state.capture), story
        assert (A.CLOSE_CAPTURE in actions) == (state.capture == "open" and after.capture == "closing"), story
        assert state.capture == after.capture or "open" in (state.capture, after.capture) or event is E.CAPTURE_CLOSED
        # The preview likewise; it and a lesson never have the devices at once.
        assert (after.signal == "off") == (after.phase == "idle" and after.preview == "closed"), story
        assert (A.OPEN_PREVIEW in actions) == (after.preview == "open" != state.preview), story
        assert (A.CLOSE_PREVIEW in actions) == (state.preview == "open" and after.preview == "closing"), story
        assert "closed" in (after.preview, after.capture), story
        assert after.preview != "open" or after.phase == "idle", story
        # What changed is shown, red is the relay's word, and a fault is two dead sources, or no way to any pupil.
        assert (A.SHOW in actions) == (after != state), story
        assert after.phase != "live" or state.phase == "live" or event is E.DELIVERY_CONFIRMED, story
        assert after.phase != "fault" or after.is_dead or after.recording != "on", story
        assert after.phase != "degraded" or after.recording == "on", story
        # A lesson begins once and ends once, and a kit that dies knows what the teacher wanted last.
        begun = len({A.BEGIN_LESSON, A.RESUME_LESSON} & set(actions)) - (A.END_LESSON in actions)
        assert begun == (after.phase != "idle") - (state.phase != "idle"), story
        assert (
            after.curtain == state.curtain or not after.runs or event is E.RESUMED_BEHIND_CURTAIN or A.KEEP in actions
        )
        # The hold always ends it.
        assert event is not E.END_HELD or after.phase in ("idle", "ending"), story


class AnyStory(RuleBasedStateMachine):
    """Events in any order, with a model of the device and of the relay's last word beside the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.lesson = Lesson()
        self.device_open = self.preview_open = False
        self.lamp: str = "off"
        self.relay_said_yes = False
        self.lessons_running = 0

    @rule(event=st.sampled_from([e for e in Event if e not in (Event.CAPTURE_CLOSED, Event.PREVIEW_CLOSED)]))
    def happens(self, event: Event) -> None:
        if event is Event.DELIVERY_CONFIRMED:
            self.relay_said_yes = True
        elif event is Event.DELIVERY_DENIED:
            self.relay_said_yes = False
        self._take(event)

    @rule()
    def the_devices_have_closed(self) -> None:
        if self.lesson.capture == "closing":
            self.device_open = False
            self._take(Event.CAPTURE_CLOSED)

    @rule()
    def the_preview_has_closed(self) -> None:
        if self.lesson.preview == "closing":
            self.preview_open = False
            self._take(Event.PREVIEW_CLOSED)

    def _take(self, event: Event) -> None:
        self.lesson, actions = step(self.lesson, event)
        for action in actions:
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        if action is A.SHOW:
            self.lamp = self.lesson.signal
        elif action is A.OPEN_CAPTURE:
            assert self.lamp not in ("off", "curtain"), "the camera opens with the lamp unlit"
            assert not self.device_open
            assert not self.preview_open
            self.device_open = True
        elif action is A.OPEN_PREVIEW:
            assert self.lamp == "preview", "the camera opens with the lamp unlit"
            assert not self.device_open
            assert not self.preview_open
            self.preview_open = True
        elif action is A.CLOSE_PREVIEW:
            assert self.preview_open
        elif action is A.CLOSE_CAPTURE:
            assert self.device_open
        elif action in (A.BEGIN_LESSON, A.RESUME_LESSON):
            self.lessons_running += 1
        elif action is A.END_LESSON:
            self.lessons_running -= 1
        elif action is A.SHUT_DOWN:
            assert not self.device_open
            assert not self.preview_open
            assert self.lessons_running == 0

    @invariant()
    def an_open_device_is_lit(self) -> None:
        if self.device_open:
            assert self.lamp not in ("off", "curtain")
            assert self.lesson.phase not in ("idle", "curtain")

    @invariant()
    def an_open_preview_is_lit(self) -> None:
        assert self.preview_open == (self.lesson.preview != "closed")
        if self.preview_open:
            assert self.lamp not in ("off", "curtain")

    @invariant()
    def the_lamp_is_never_behind(self) -> None:
        assert self.lamp == self.lesson.signal

    @invariant()
    def the_machine_knows_whether_the_device_is_open(self) -> None:
        assert self.device_open == (self.lesson.capture != "closed")

    @invariant()
    def red_is_the_relays_word(self) -> None:
        if self.lesson.phase == "live":
            assert self.relay_said_yes

    @invariant()
    def a_fault_is_two_dead_sources_or_no_way_to_any_pupil(self) -> None:
        if self.lesson.phase == "fault" and self.lesson.capture == "open":
            assert self.lesson.is_dead or self.lesson.recording != "on"

    @invariant()
    def a_lesson_runs_once_from_start_to_end(self) -> None:
        assert self.lessons_running == (0 if self.lesson.phase == "idle" else 1)

    @invariant()
    def the_hold_always_ends_it(self) -> None:
        after, _ = step(self.lesson, Event.END_HELD)
        assert after.phase in ("idle", "ending")


TestAnyStory = AnyStory.TestCase
TestAnyStory.settings = settings(max_examples=150, stateful_step_count=40)

_STATES = st.lists(st.sampled_from(Event), max_size=30)


@given(_STATES)
def test_the_start_press_works_from_any_rest(story: list[Event]) -> None:
    lesson = Lesson()
    for event in story:
        lesson, _ = step(lesson, event)
    if lesson.phase == "idle" and lesson.after == "rest":
        begun, actions = step(lesson, Event.START_PRESSED)
        assert begun.phase == "starting"
        assert set(BEGIN) - {A.OPEN_CAPTURE} <= set(actions)
        assert (A.OPEN_CAPTURE in actions) == (lesson.preview == "closed")
