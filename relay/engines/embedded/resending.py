"""What one viewer may be sent again: bounded in age and in bytes, at most once a round trip, and never more than a
share of what it was sent. Pure; times in seconds.

What is older than its bounds comes too late: the player has given it up, or a newer key frame has come. A storm of
requests is cut at the budget, so that it costs neither the relay's other viewers nor the line that lost the packets.
"""

from __future__ import annotations

from collections import deque

KEPT_S = 2.0  # the longest that a player waits before it asks for a key frame is 3 s; two more round trips must fit in
KEPT_BYTES = 1024 * 1024
AGAIN_LEAST_S = 0.02
AGAIN = 0.8  # of a round trip: who asks again after just one, by its own clock, is not to be made wait for another
SHARE = 0.35  # of what was sent: at 20 % loss each way, a quarter is sent again
BURST_BYTES = 64 * 1024
PACKET_BYTES = 200  # what a packet costs besides its bytes
REMEMBERED = 1024  # packets


class Resending:
    """One outgoing stream's requests. Packets are named by the index that they were sent with."""

    __slots__ = ("_asked", "_budget", "_marks", "_octets", "_oldest", "_packets")

    def __init__(self) -> None:
        self._asked: dict[int, float] = {}
        self._budget = float(BURST_BYTES)
        self._octets = self._packets = 0
        self._marks: deque[tuple[float, int, int]] = deque()  # when, the next index, octets so far
        self._oldest = 0

    def mark(self, now_s: float, index: int, octets: int) -> None:
        """Note, a few times a second, that ``octets`` were sent so far, up to before ``index``."""
        marks = self._marks
        marks.append((now_s, index, octets))
        while now_s - marks[0][0] > KEPT_S or octets - marks[0][2] > KEPT_BYTES:
            self.forget(marks.popleft()[1])

    def forget(self, index: int) -> None:
        """What was sent before this index is of no use any more."""
        self._oldest = max(self._oldest, index)

    def fill(self, packets: int, octets: int) -> None:
        """So much was sent so far: the budget grows with it."""
        gained = SHARE * (octets - self._octets + PACKET_BYTES * (packets - self._packets))
        self._budget = min(BURST_BYTES, self._budget + gained)
        self._octets, self._packets = octets, packets

    def is_new(self, index: int) -> bool:
        """Whether this packet was not asked for before."""
        return index not in self._asked

    def grant(self, index: int, size: int, now_s: float, round_trip_s: float) -> bool:
        """Whether to send the packet of ``size`` bytes again now; counts as sent."""
        asked_at_s = self._asked.pop(index, float("-inf"))
        fresh = index >= self._oldest and self._budget >= size + PACKET_BYTES
        granted = fresh and now_s - asked_at_s >= max(AGAIN_LEAST_S, AGAIN * round_trip_s)
        self._asked[index] = now_s if granted else asked_at_s
        if len(self._asked) > REMEMBERED:
            del self._asked[next(iter(self._asked))]
        if granted:
            self._budget -= size + PACKET_BYTES
        return granted
