"""When the next piece of one stream is due, going by the last two: what the fan-out waits by. Pure.

Timestamps tell how far apart pieces are, and the newest one's arrival when that was. A guess, for saving work: whoever
waits by it must bound its wait.
"""

from __future__ import annotations

from relay.engines.embedded.rtp import TIMESTAMP_MASK

MOST_S = 0.2  # pieces farther apart than that have no rhythm worth waiting by


class Rhythm:
    """Of the pictures, or the pieces of voice, of one channel. ``due_s``: when the next is; in the past: nobody
    knows."""

    __slots__ = ("_clock_rate", "_timestamp", "due_s")

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._timestamp = 0
        self.due_s = float("-inf")

    def saw(self, timestamp: int, now_s: float) -> None:
        """A piece with this timestamp is here."""
        apart_s = ((timestamp - self._timestamp) & TIMESTAMP_MASK) / self._clock_rate
        self._timestamp = timestamp
        self.due_s = now_s + apart_s if apart_s <= MOST_S else float("-inf")
