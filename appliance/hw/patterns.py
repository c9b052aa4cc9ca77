"""How the tally lamp tells each state: colours and rhythm, as data.

Every panel plays these: the simulated page in CSS, a real one on its LED. Not here: which state shows which tally
(``lesson.py``). The table is DESIGN.md's. No pattern flashes more than three times a second (WCAG 2.3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wire.messages import Tally

Colour = Literal["red", "amber", "white"]
Rhythm = Literal["off", "steady", "slow_blink", "slow_alternating", "fast_blink"]


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
        """The colours in their order."""
        return tuple(beat.colour for beat in self.beats if beat.colour is not None)


PATTERNS: Mapping[Tally, Pattern] = {
    "off": Pattern("off", (Beat(None, 1000),)),
    "connecting": Pattern("slow_blink", (Beat("amber", 800), Beat(None, 800))),
    "on_air": Pattern("steady", (Beat("red", 1000),)),
    "not_live": Pattern("slow_alternating", (Beat("red", 1200), Beat("amber", 1200))),
    "curtain": Pattern("steady", (Beat("white", 1000),)),
    "fault": Pattern("fast_blink", (Beat("red", 200), Beat(None, 200))),
}
