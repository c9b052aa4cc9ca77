"""Which packets of a publisher are missing, and when to ask for them again. Pure; times in seconds.

A gap is first given a moment to close by itself (reordering), then asked for a few times, a round trip apart and with
growing patience, then given up. The round trip is learned from the answers.
"""

from __future__ import annotations

REORDER_S = 0.01  # what arrives out of order on one path arrives within this
MOST_REQUESTS = 5  # at 10 % loss each way, one packet in 3,000 is still missing after as many
MAX_MISSING = 256  # a larger hole is an outage: a key frame mends it sooner than resending would
ROUND_TRIP_S = 0.06  # until an answer tells: from a school to a relay in the same country
LEAST_WAIT_S, MOST_WAIT_S = 0.02, 0.4
_WEIGHT = 0.2  # of a new sample


class Losses:
    """The missing packets of one source, by extended sequence number."""

    __slots__ = ("_due", "round_trip_s")

    def __init__(self) -> None:
        self.round_trip_s = ROUND_TRIP_S
        self._due: dict[int, tuple[float, int, float]] = {}  # when to ask, how often asked, when last

    def __len__(self) -> int:
        return len(self._due)

    def gap(self, first: int, end: int, now_s: float) -> bool:
        """Packets ``first`` up to, not including, ``end`` did not come. ``False``: too many to ask for; what was
        missing before is forgotten with them."""
        if end - first + len(self._due) > MAX_MISSING:
            self._due.clear()
            return False
        for sequence in range(first, end):
            self._due[sequence] = (now_s + REORDER_S, 0, now_s)
        return True

    def arrived(self, sequence: int, now_s: float) -> bool:
        """A late packet came. Whether it was asked for."""
        found = self._due.pop(sequence, None)
        if found is None or not found[1]:
            return False
        if found[1] == 1:  # asked twice, the answer could be to either (Karn)
            self.round_trip_s += _WEIGHT * (now_s - found[2] - self.round_trip_s)
        return True

    def due(self, now_s: float) -> tuple[list[int], list[int]]:
        """``(packets to ask for now, packets that are given up now)``."""
        asked: list[int] = []
        gone: list[int] = []
        for sequence, (at_s, requests, _) in self._due.items():
            if now_s < at_s:
                continue
            if requests == MOST_REQUESTS:
                gone.append(sequence)
            else:
                asked.append(sequence)
                self._due[sequence] = (now_s + self._wait_s(requests), requests + 1, now_s)
        for sequence in gone:
            del self._due[sequence]
        return asked, gone

    def _wait_s(self, requests: int) -> float:
        """A quarter longer than a round trip, and half as long again with each repetition."""
        return min(MOST_WAIT_S, max(LEAST_WAIT_S, self.round_trip_s * 1.25 * 1.5**requests))
