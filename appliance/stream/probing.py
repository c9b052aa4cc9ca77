"""Round trips that are being measured: what came back, and for how long the path has been owing an answer.

Pure bookkeeping; ``session.py`` sends the probes. An answer that is late says as much as one that came: it is how a
queue is noticed while it still grows. A probe that was lost is known by a newer one's answer.
"""

from __future__ import annotations

from collections import deque

from appliance.stream.path import Probe

MOST_OUT = 80  # four seconds' worth of the closest: longer ago, the session was another
LONG_PATH_S = 0.1  # on a longer one, a single lost probe is owed for so many looks that it would pass for a queue


class Probing:
    """The probes of one session. Times in seconds on one clock."""

    def __init__(self) -> None:
        self._out: deque[tuple[float, int]] = deque(maxlen=MOST_OUT)  # when, and what had left before
        self._answered: list[Probe] = []
        self._newest_s = 0.0
        self._shortest_s: float | None = None

    def sent(self, now_s: float, octets: int) -> None:
        """A probe leaves, after so many octets in all."""
        self._out.append((now_s, octets))

    def answered(self, now_s: float, took_s: float) -> None:
        """A probe that left ``took_s`` ago came back."""
        sent_s = now_s - took_s
        octets: int | None = None  # of one that was overtaken: old news
        while self._out and self._out[0][0] <= sent_s + 1e-3:  # both clocks are read a moment apart
            octets = self._out.popleft()[1]
        if octets is not None:
            self._answered.append(Probe(sent_s=sent_s, took_s=took_s, octets=octets))
            self._newest_s = took_s
            self._shortest_s = took_s if self._shortest_s is None else min(self._shortest_s, took_s)

    def forget(self) -> None:
        """This machine was busy: what was measured meanwhile is not the network's."""
        self._out.clear()
        self._answered.clear()

    def take(self) -> tuple[Probe, ...]:
        """What came back since this was last asked, in the order in which it had left."""
        taken, self._answered = tuple(self._answered), []
        return taken

    def waiting_s(self, now_s: float) -> float:
        """For how long the oldest probe is out that no newer one has overtaken; 0 where none is. On a long path it
        counts only once the next one is overdue too: alone, it may be lost."""
        is_long = self._shortest_s is not None and self._shortest_s > LONG_PATH_S
        if not self._out or (is_long and not self._second_is_overdue(now_s)):
            return 0.0
        return now_s - self._out[0][0]

    def _second_is_overdue(self, now_s: float) -> bool:
        return len(self._out) > 1 and now_s - self._out[1][0] > self._newest_s

    def round_trip_s(self, now_s: float) -> float:
        """How long a round trip takes now: as the newest one did, or as long as one has been owed; 0 if unknown."""
        return max(self._newest_s, self.waiting_s(now_s))
