"""One viewer's own numbering of a timeline: stretches that follow each other without a hole, whatever lies between
them.

A viewer who gets everything has one stretch that never ends. Whose line is too slow for that gets pieces of the
timeline: what was left out was never numbered, so the viewer misses nothing. Pure.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Mapping

KEPT_STRETCHES = 16  # half a minute of key frames: more than is ever asked for again
MOST_ADMITTED = 64  # packets; more than one picture's delimiter and parameter sets is not a beginning
NEVER = 1 << 62
_AS_THEY_ARE: Mapping[int, int] = {}


class Stretch:
    """Packets ``first`` up to, not including, ``end``; packet ``n`` gets index ``n + shift``, and the timestamp that
    ``moved`` has for its own, if it has any."""

    __slots__ = ("end", "first", "moved", "shift")

    def __init__(self, first: int, shift: int, moved: Mapping[int, int]) -> None:
        self.first = first
        self.end = NEVER
        self.shift = shift
        self.moved = moved

    def __contains__(self, sequence: int) -> bool:
        return self.first <= sequence < self.end


class Numbering:
    """The stretches that may still be asked for, the newest last."""

    __slots__ = ("_next", "_stretches")

    def __init__(self) -> None:
        # Low, so that losing the first packets cannot make the viewer guess a wrong rollover counter (RFC 3711 §3.3.1).
        self._next = 0x1000 + secrets.randbelow(0x3000)
        self._stretches: deque[Stretch] = deque(maxlen=KEPT_STRETCHES)

    @property
    def begun(self) -> bool:
        """Whether the viewer gets packets, or got any."""
        return bool(self._stretches)

    @property
    def newest(self) -> Stretch:
        """The newest stretch. Raises ``IndexError`` before the first."""
        return self._stretches[-1]

    @property
    def is_open(self) -> bool:
        """Whether the newest stretch goes on."""
        return self.begun and self.newest.end == NEVER

    def begin(self, first: int, moved: Mapping[int, int] = _AS_THEY_ARE) -> Stretch:
        """A new stretch. Raises ``ValueError`` when one is open, or when it would number packets twice."""
        if self.is_open or (self.begun and first < self.newest.end):
            raise ValueError("a packet that got two numbers would be sealed twice")
        stretch = Stretch(first, self._next - first, moved)
        self._stretches.append(stretch)
        return stretch

    def close(self, end: int) -> None:
        """The open stretch ends before packet ``end``."""
        self.newest.end = end
        self._next = end + self.newest.shift

    def admit(self, sequence: int) -> bool:
        """The beginning of the key frame that this viewer started with was lost on the way here, and came late.
        ``False``: this viewer started with an earlier one, or has used the number."""
        if len(self._stretches) != 1 or not 0 < self.newest.first - sequence <= MOST_ADMITTED:
            return False
        self.newest.first = sequence
        return True

    def of(self, sequence: int) -> Stretch | None:
        """The stretch that a packet is in."""
        return next((stretch for stretch in reversed(self._stretches) if sequence in stretch), None)

    def at(self, index: int) -> int | None:
        """The packet that has this index."""
        for stretch in reversed(self._stretches):
            if index - stretch.shift in stretch:
                return index - stretch.shift
        return None
