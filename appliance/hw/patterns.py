"""How the tally lamp tells each state: colours and rhythm, as data, and what of it is lit at a time.

Every panel plays these: the simulated page in CSS, a real one on its LED. Pure: the caller brings the time. Not here:
which state shows which tally (``lesson.py``). The table is DESIGN.md's, with two beside it: the setup page's preview is
amber, as ever when the camera is open and nobody is meant to see it live, in a beat that no lesson has; a lesson that
is live and not recorded is red, for it is on air, and falters twice now and then. No pattern flashes more than three
times a second (WCAG 2.3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from appliance.lesson import Signal

Colour = Literal["red", "amber", "white"]
Rhythm = Literal[
    "off", "steady", "slow_blink", "slow_alternating", "double_blink", "double_gap", "rare_flash", "fast_blink"
]


@dataclass(frozen=True, slots=True)
class Beat:
    """The lamp shows ``colour`` (or nothing) for ``ms``."""

    colour: Colour | None
    ms: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """Beats, repeated for ever. A single beat is a lamp that does not move."""

    rhythm: Rhythm
    beats: tuple[Beat, ...]

    @property
    def colours(self) -> tuple[Colour, ...]:
        """The colours in the order in which they first come."""
        return tuple(dict.fromkeys(beat.colour for beat in self.beats if beat.colour is not None))


PATTERNS: Mapping[Signal, Pattern] = {
    "off": Pattern("off", (Beat(None, 1000),)),
    "connecting": Pattern("slow_blink", (Beat("amber", 800), Beat(None, 800))),
    "on_air": Pattern("steady", (Beat("red", 1000),)),
    "unrecorded": Pattern("double_gap", (Beat("red", 1800), Beat(None, 250), Beat("red", 250), Beat(None, 250))),
    "not_live": Pattern("slow_alternating", (Beat("red", 1200), Beat("amber", 1200))),
    "curtain": Pattern("steady", (Beat("white", 1000),)),
    "preview": Pattern("double_blink", (Beat("amber", 200), Beat(None, 250), Beat("amber", 200), Beat(None, 1150))),
    "fault": Pattern("fast_blink", (Beat("red", 200), Beat(None, 200))),
}

#: Idle, and something is to be put right that no lesson waits for (``Face.notice``): a mistake on the card, say. Dark
#: nearly all the time, as idle is; white, because white is the colour of a closed camera.
NOTICE = Pattern("rare_flash", (Beat("white", 150), Beat(None, 3850)))


def pattern_of(tally: Signal, *, notice: bool) -> Pattern:
    """What the lamp plays. A notice is told while the lamp has nothing else to tell."""
    return NOTICE if notice and tally == "off" else PATTERNS[tally]


def colour_at(pattern: Pattern, at_ms: int) -> Colour | None:
    """What is lit ``at_ms`` after the pattern began."""
    return _beat_at(pattern, at_ms)[0].colour


def until_change_ms(pattern: Pattern, at_ms: int) -> int | None:
    """How long that stays lit; ``None``: for as long as the pattern is shown."""
    return None if len(pattern.beats) == 1 else _beat_at(pattern, at_ms)[1]


def _beat_at(pattern: Pattern, at_ms: int) -> tuple[Beat, int]:
    """The beat that sounds then, and what is left of it in milliseconds (never 0)."""
    left_ms = at_ms % sum(beat.ms for beat in pattern.beats)
    for beat in pattern.beats:
        if left_ms < beat.ms:
            return beat, beat.ms - left_ms
        left_ms -= beat.ms
    raise ValueError("a pattern needs beats that last")
