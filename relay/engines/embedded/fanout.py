"""One channel's picture on its way to everybody who is live: collected, paced, and sent a slice at a time.

A picture's packets wait for each other, so that each viewer gets them in one system call: it can show nothing before
the last of them anyway. The rules, in the order in which they bind:

- What is complete goes at once, and so does what came late. What is not goes after ``HOLD_S``.
- A viewer gets no more than ``CHUNK_BYTES`` back to back, and no more than ``PACE_BYTES_PER_S`` after a first
  ``CREDIT_BYTES``: a key frame that a publisher sent as one burst does not reach a home router as one. A lesson that
  needs more gets more, so that what waits is gone in about ``DRAIN_S``.
- A slice ends after ``SLICE_PACKETS``; then the socket is read and other lessons have their turn.

Voice does not pass through here: it is sent when it comes. Owns no timer (``channel.py``).
"""

from __future__ import annotations

from relay.engines.embedded.burst import Burst
from relay.engines.embedded.outlet import CATCH_UP_BYTES_PER_S, CHUNK_BYTES, Outlet
from relay.engines.embedded.rtp import Packet
from relay.engines.embedded.timeline import Timeline

HOLD_S = 0.005  # longer than the kit's pacer takes for a small picture, and nothing that a viewer notices
PACE_BYTES_PER_S = CATCH_UP_BYTES_PER_S  # 20 Mb/s
CREDIT_BYTES = 32 * 1024  # a few pictures, and half of what a home router buffers
SLICE_PACKETS = 400  # about a millisecond
DRAIN_S = 0.08


class FanOut:
    """The live viewers of one channel's picture."""

    def __init__(self, timeline: Timeline) -> None:
        self.live: dict[Outlet, None] = {}  # in the order of joining
        self.frontier = 0  # the first packet that is in no burst yet
        self._timeline = timeline
        self._complete = 0  # packets before this one need not wait for others
        self._waiting_bytes = 0
        self._waiting_since_s = 0.0
        self._credit = float(CREDIT_BYTES)
        self._credited_at_s = 0.0
        self._burst: Burst | None = None
        self._left: list[Outlet] = []  # who has not got the burst yet, the next one last

    def put(self, packet: Packet, now_s: float) -> bool:
        """A packet that the timeline has taken. ``False``: it is late; whoever has passed its place is to be sent it
        now."""
        if packet.sequence < self.frontier:
            return False
        if packet.sequence == self.frontier:
            self._waiting_since_s = now_s
        self._waiting_bytes += len(packet.payload)
        if packet.marker and packet.sequence >= self._complete:
            self._complete = packet.sequence + 1
        return True

    def owes(self, outlet: Outlet) -> bool:
        """Whether this viewer has not got the burst yet that is on its way."""
        return outlet in self._left

    @property
    def waiting(self) -> bool:
        """Whether there is anything that is not sent yet."""
        return self._burst is not None or self._timeline.highest >= self.frontier

    def ready(self, now_s: float) -> bool:
        """Whether ``work`` would send something now."""
        if self._burst is not None:
            return True
        if self._timeline.highest < self.frontier:
            return False
        full = self._complete > self.frontier or self._waiting_bytes >= CHUNK_BYTES
        return (full or now_s - self._waiting_since_s >= HOLD_S) and self._refill(now_s) > 0

    def work(self, now_s: float) -> tuple[int, int]:
        """One slice; how many packets and payload bytes left."""
        packets = octets = 0
        while packets < SLICE_PACKETS and self.ready(now_s):
            burst = self._burst or self._next(now_s)
            if burst is None:
                continue
            size, left = len(burst.packets), self._left
            while left and packets < SLICE_PACKETS:
                left.pop().send(burst)
                packets += size
                octets += burst.octets
            if not left:
                self._burst = None
        return packets, octets

    def _next(self, now_s: float) -> Burst | None:
        """Take the next burst off what waits. ``None``: only holes were left."""
        timeline = self._timeline
        number = max(self.frontier, timeline.highest + 1 - timeline.size)
        end = self._complete if self._complete > number else timeline.highest + 1
        packets: list[Packet] = []
        taken = 0
        while number < end and taken < CHUNK_BYTES:
            packet = timeline.get(number)
            number += 1
            if packet is not None:
                packets.append(packet)
                taken += len(packet.payload)
        self.frontier = number
        self._waiting_bytes = self._waiting_bytes - taken if number <= timeline.highest else 0
        self._waiting_since_s = now_s
        self._credit -= taken
        if not packets:
            return None
        self._burst, self._left = Burst(packets, now_s), list(reversed(self.live))
        return self._burst

    def _refill(self, now_s: float) -> float:
        elapsed_s, self._credited_at_s = now_s - self._credited_at_s, now_s
        rate = max(PACE_BYTES_PER_S, self._waiting_bytes / DRAIN_S)
        self._credit = min(CREDIT_BYTES, self._credit + elapsed_s * rate)
        return self._credit
