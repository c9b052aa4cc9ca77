"""Sends picture packets evenly, so that a key frame does not leave as one burst that a router's queue drops.

aiortc sends an access unit's packets back to back: 94 of them for a 120 kB key frame. The pacer spreads them over part
of a frame interval, or over as long as a link that was found narrow needs (``rate_bps``): voice would wait in that
link's queue behind them. Voice does not pass through here at all, so it never waits behind picture here either. Used by
``session.py``, which also says how a packet really leaves. Not here: the choice of bitrate.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable

TICK_S = 0.002  # as fine as epoll's millisecond allows with some slack; finer only costs wake-ups
SMALL_PACKETS = 16  # a picture of up to so many is no burst that hurts, and is not held longer than it must
BURST_PACKETS = 4  # in one tick for a small picture: 20 Mb/s
SPREAD = 0.6  # of a frame interval: above the promised half, and the rest is left for being late
#: However narrow the link: what waits longer is dropped, with all up to the next key frame (``queues.py``).
SPREAD_AT_MOST_S = 0.4

FIRST_INTERVAL_S = 1 / 30
_INTERVAL_RANGE_S = (1 / 120, 0.25)  # a camera that pauses is not one of a frame a minute


class Pacer:
    """One stream's packets on their way to the socket.

    ``send`` sends one packet now. ``blocked`` tells that the socket takes nothing now; picture then waits here, where
    voice can pass it, and not in the socket's buffer.
    """

    def __init__(
        self,
        send: Callable[[bytes], Awaitable[None]],
        *,
        blocked: Callable[[], bool],
        tick_s: float = TICK_S,
        spread: float = SPREAD,
    ) -> None:
        self._send = send
        self._blocked = blocked
        self._tick_s = tick_s
        self._spread = spread
        self._interval_s = FIRST_INTERVAL_S
        self._last_us: int | None = None
        #: How fast packets may leave on average, in bit/s; ``None``: as the frame interval has it.
        self.rate_bps: float | None = None
        self._packets: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def spread_s(self) -> float:
        """Over how long the packets of a large picture are spread now."""
        return self._interval_s * self._spread

    def picture(self, capture_us: int) -> None:
        """Learn the frame interval from each picture's capture time."""
        if self._last_us is not None:
            low_s, high_s = _INTERVAL_RANGE_S
            seen_s = min(max((capture_us - self._last_us) / 1e6, low_s), high_s)
            self._interval_s += (seen_s - self._interval_s) / 4
        self._last_us = capture_us

    def put(self, packet: bytes) -> None:
        """Take a packet; it leaves soon, in order."""
        self._packets.append(packet)
        self._filled.set()
        self._drained.clear()

    async def drained(self) -> None:
        """Wait until every packet has left."""
        await self._drained.wait()

    async def run(self) -> None:
        """Send until cancelled. Raises what ``send`` raises."""
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            if (narrow_s := self._narrow_s()) > self.spread_s:
                await self._send_evenly(loop.time() + narrow_s)
            else:
                await self._send_soon(loop.time() + self.spread_s)
            self._filled.clear()
            self._drained.set()

    async def _send_soon(self, ends_s: float) -> None:
        """A small picture at once, a large one until ``ends_s``."""
        loop = asyncio.get_running_loop()
        least, most = self._burst_limits()
        while self._packets:
            ticks = max(1, math.floor((ends_s - loop.time()) / self._tick_s))
            await self._send_some(min(max(least, len(self._packets) // ticks), most))
            if self._packets:
                await asyncio.sleep(self._tick_s)

    async def _send_evenly(self, ends_s: float) -> None:
        """A picture over all of the time until ``ends_s``; its last packet takes its time on the link too."""
        loop = asyncio.get_running_loop()
        while (left_s := ends_s - loop.time()) > 0 or self._packets:
            ticks = max(1, math.floor(left_s / self._tick_s))
            await self._send_some(min(max(1, len(self._packets) // ticks), BURST_PACKETS))
            await asyncio.sleep(max(self._tick_s, (ends_s - loop.time()) / (len(self._packets) + 1)))

    def _narrow_s(self) -> float:
        """How long the packets that wait take on a narrow link."""
        if self.rate_bps is None:
            return 0.0
        return min(8 * sum(map(len, self._packets)) / self.rate_bps, SPREAD_AT_MOST_S)

    def _burst_limits(self) -> tuple[int, int]:
        """Packets for each tick, at least and at most, for the picture that begins. A tick may be late on a busy
        machine; the next ones catch up, but not in the one burst that pacing is to avoid."""
        packets = len(self._packets)
        if packets <= SMALL_PACKETS:
            return BURST_PACKETS, BURST_PACKETS
        return 1, 2 * math.ceil(packets * self._tick_s / self.spread_s)

    async def _send_some(self, packets: int) -> None:
        for _ in range(packets):
            if not self._packets or self._blocked():
                return
            await self._send(self._packets.popleft())
