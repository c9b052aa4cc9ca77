"""Whether what has to advance does: pure. The caller brings the time.

A program names its ``Vital``s; each shows a sign that changes whenever it advances. One that shows the same sign for
too long is stuck, and a program with a stuck part is to be started anew. Used by ``watch.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vital:
    """One thing that has to advance at least every ``within_s``. Its sign is None while nothing is expected of it."""

    name: str
    within_s: float
    sign: Callable[[], Hashable]


class Vitals:
    """Who has advanced since when."""

    def __init__(self, *vitals: Vital) -> None:
        self._vitals = vitals
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def stuck(self, now_s: float) -> tuple[str, ...]:
        """The names of those that have not advanced for longer than they may."""
        return tuple(vital.name for vital in self._vitals if self._is_stuck(vital, now_s))

    def _is_stuck(self, vital: Vital, now_s: float) -> bool:
        sign = vital.sign()
        if sign is None:
            self._seen.pop(vital.name, None)
            return False
        seen = self._seen.get(vital.name)
        if seen is None or seen[0] != sign:
            self._seen[vital.name] = sign, now_s
            return False
        return now_s - seen[1] > vital.within_s
