"""How fast recordings may go up while a lesson is live, so that its voice never waits for them. The rate
itself is pure: the caller brings the time.

Without a lesson there is no limit. With one, an upload begins at twice what the live picture takes, which keeps up with
the recording; and grows while the link is calm. At the first trouble (``uplink.py`` sees a queue before anybody hears
it) it falls to a share of what the live picture still takes, stays there for as long as the trouble is fresh, and
remembers where it began. Used by ``upload.py``. Not here: what goes up (``backlog.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

BEGINNING = 2.0  # times the live picture: the recording has the same pictures, and AAC beside
GROWTH_PER_S = 1.3
MOST_BPS = 50_000_000.0
#: The relay waits a minute for a body: 450 kB, which 2 s of a lesson have, take as long at this rate.
LEAST_BPS = 80_000.0
BELOW_TROUBLE = 0.7  # the next attempt goes no further than this times where the last one met trouble
FORGET_S = 120.0  # a network changes: after so long without trouble, look beyond
CHUNK_BYTES = 16 * 1024  # 65 ms of a link of 2 Mb/s, which live media shares


@dataclass(frozen=True, slots=True)
class LiveUse:
    """What the live lesson does with the link: ``picture_bps`` is what it aims at. ``troubled``: it met a limit a
    moment ago, or is not up."""

    picture_bps: int
    troubled: bool


class UploadRate:
    """The rate now. ``share``: of what the live picture takes, while the link is in trouble."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._rate: float | None = None
        self._ceiling = MOST_BPS
        self._at_s = self._trouble_s = 0.0
        self._is_troubled = False

    def bits_per_s(self, now_s: float, live: LiveUse | None) -> float | None:
        """What may be taken now; None: whatever there is."""
        passed_s, self._at_s = now_s - self._at_s, now_s
        if live is None:
            return None
        if live.troubled:
            self._in_trouble(now_s, live)
        elif self._rate is None:
            self._rate = _bounded(BEGINNING * live.picture_bps)
        else:
            if now_s - self._trouble_s > FORGET_S:
                self._ceiling = MOST_BPS
            self._rate = min(self._ceiling, _bounded(self._rate * GROWTH_PER_S ** min(max(passed_s, 0.0), 1.0)))
        self._is_troubled = live.troubled
        return self._rate

    def _in_trouble(self, now_s: float, live: LiveUse) -> None:
        if not self._is_troubled and self._rate is not None:
            self._ceiling = _bounded(self._rate * BELOW_TROUBLE)
        self._trouble_s = now_s
        self._rate = min(self._ceiling, _bounded(self._share * live.picture_bps))


def _bounded(bits_per_s: float) -> float:
    return min(MOST_BPS, max(LEAST_BPS, bits_per_s))


class PacedBody:
    """Bodies whose bytes leave no faster than ``rate`` says, which may change meanwhile."""

    def __init__(self, rate: Callable[[float], float | None]) -> None:
        self._rate = rate
        self._free_s = 0.0
        self.moved_s = 0.0  # when bytes were last taken: a connection that takes none is dead

    async def chunks(self, body: bytes) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        loop = asyncio.get_running_loop()
        for at in range(0, len(body), CHUNK_BYTES):
            chunk = body[at : at + CHUNK_BYTES]
            self.moved_s = loop.time()
            if (rate := self._rate(self.moved_s)) is not None:
                wait_s = self._free_s - self.moved_s
                self._free_s = max(self._free_s, self.moved_s) + len(chunk) * 8 / rate
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
            yield chunk
            self.moved_s = loop.time()
