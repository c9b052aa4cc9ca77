"""Which packets of a publisher are missing, and when to ask for them again. Pure; times in seconds.

A gap is first given a moment to close by itself (reordering), then asked for a few times, then given up.
"""

from __future__ import annotations

REORDER_S = 0.01  # what arrives out of order on one path arrives within this
RETRY_S = (0.03, 0.06, 0.1, 0.15)  # between requests: a round trip to a school is 20–100 ms
MAX_MISSING = 256  # a larger hole is an outage: a key frame mends it sooner than resending would


class Losses:
    """The missing packets of one source, by extended sequence number."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._due)

    def gap(self, first: int, end: int, now_s: float) -> bool:
        """Packets ``first`` up to, not including, ``end`` did not come. ``False``: too many to ask for."""
        if end - first + len(self._due) > MAX_MISSING:
            self._due.clear()
            return False
        for sequence in range(first, end):
            self._due[sequence] = (now_s + REORDER_S, 0)
        return True

    def arrived(self, sequence: int) -> bool:
        """A late packet came. Whether it was asked for."""
        found = self._due.pop(sequence, None)
        return found is not None and found[1] > 0

    def due(self, now_s: float) -> tuple[list[int], int]:
        """``(packets to ask for now, how many are given up now)``."""
        asked: list[int] = []
        gone: list[int] = []
        for sequence, (at_s, tries) in self._due.items():
            if now_s < at_s:
                continue
            if tries == len(RETRY_S):
                gone.append(sequence)
            else:
                asked.append(sequence)
                self._due[sequence] = (now_s + RETRY_S[tries], tries + 1)
        for sequence in gone:
            del self._due[sequence]
        return asked, len(gone)
