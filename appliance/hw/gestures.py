"""What a hand means: button edges and time in, gestures out.

Pure: the caller brings the time and asks again at ``due_s``. Used by ``director.py`` for every panel, so that a real
button and a drawn one behave alike.

Start acts on the *press*, not on the release: a lesson should not wait for a finger. Two meanings then share the
button's hold, and what counts is when the press began:

- in a lesson: held for ``END_HOLD_S``, it ends the lesson;
- otherwise: it starts a lesson at once, and that same hold never ends it at ``END_HOLD_S`` (a slow finger is not a
  change of mind). Held on to ``SHUTDOWN_HOLD_S``, it takes back the lesson that it began and shuts the kit down.

A hold that did its work is spent until the button is released.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Literal

from appliance.hw.base import Button

HoldPurpose = Literal["end", "shut_down"]

END_HOLD_S = 1.0  # DESIGN.md: a bump can't end a lesson
SHUTDOWN_HOLD_S = 8.0  # DESIGN.md
SHUTDOWN_SHOWN_AFTER_S = 2.0  # a start press that lasts a little should not show a count-down to switching off
_LIMIT_S: dict[HoldPurpose, float] = {"end": END_HOLD_S, "shut_down": SHUTDOWN_HOLD_S}
_SHOWN_AFTER_S: dict[HoldPurpose, float] = {"end": 0.0, "shut_down": SHUTDOWN_SHOWN_AFTER_S}


class Gesture(Enum):
    """What the teacher asked for."""

    START_PRESSED = auto()
    END_HELD = auto()
    SHUTDOWN_HELD = auto()
    CURTAIN_PRESSED = auto()
    STILL_PRESSED = auto()


_ON_PRESS: dict[Button, Gesture] = {
    "start": Gesture.START_PRESSED,
    "curtain": Gesture.CURTAIN_PRESSED,
    "still": Gesture.STILL_PRESSED,
}
_ON_HOLD: dict[HoldPurpose, Gesture] = {"end": Gesture.END_HELD, "shut_down": Gesture.SHUTDOWN_HELD}


@dataclass(frozen=True, slots=True)
class Hold:
    """Start/end is down, and still has something to do."""

    since_s: float
    purpose: HoldPurpose


@dataclass(frozen=True, slots=True)
class Hands:
    """Which buttons are down."""

    pressed: frozenset[Button] = frozenset()
    hold: Hold | None = None

    @property
    def due_s(self) -> float | None:
        """When to call ``held``, on the caller's clock."""
        return None if self.hold is None else self.hold.since_s + _LIMIT_S[self.hold.purpose]


def press(hands: Hands, button: Button, now_s: float, *, lesson_runs: bool) -> tuple[Hands, tuple[Gesture, ...]]:
    """A button goes down. One that is down already changes nothing."""
    if button in hands.pressed:
        return hands, ()
    hold = Hold(now_s, "end" if lesson_runs else "shut_down") if button == "start" else hands.hold
    gestures = () if button == "start" and lesson_runs else (_ON_PRESS[button],)
    return Hands(hands.pressed | {button}, hold), gestures


def release(hands: Hands, button: Button, now_s: float) -> tuple[Hands, tuple[Gesture, ...]]:
    """A button goes up. A hold that was long enough counts, even if nobody asked ``held`` in time."""
    hands, gestures = held(hands, now_s)
    hold = None if button == "start" else hands.hold
    return Hands(hands.pressed - {button}, hold), gestures


def held(hands: Hands, now_s: float) -> tuple[Hands, tuple[Gesture, ...]]:
    """Time passes: the hold that is due is a gesture, once."""
    if hands.hold is None or hands.due_s is None or now_s < hands.due_s:
        return hands, ()
    return replace(hands, hold=None), (_ON_HOLD[hands.hold.purpose],)


def progress(hands: Hands, now_s: float) -> float:
    """How far the hold is, 0 to 1, for the lamp that counts it down."""
    if hands.hold is None:
        return 0.0
    shown_after_s = _SHOWN_AFTER_S[hands.hold.purpose]
    part = (now_s - hands.hold.since_s - shown_after_s) / (_LIMIT_S[hands.hold.purpose] - shown_after_s)
    return min(1.0, max(0.0, part))
