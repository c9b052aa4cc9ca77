"""Takes board stills to the relay: each once, oldest first, again and again until the relay has it.

Stills wait in memory, bounded; a still is for now, and what a lesson must not lose is on the record path. Not here:
taking one (the camera), and when (the panel).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

import aiohttp
from yarl import URL

from appliance.errors import RelayRefused, RelayUnreachable
from appliance.stream.ask import RelayBusy, Request, ask
from appliance.stream.bearer import Bearer
from appliance.supervise import Backoff

log = logging.getLogger(__name__)

#: docs/protocol.md: the relay takes no larger one.
MAX_STILL_BYTES = 8 * 1024 * 1024
#: 64 MiB at the very worst, on a board with 1 GiB; at a MiB each it is a lesson's worth.
MAX_WAITING = 8
#: A still of 8 MiB over a 2 Mb/s uplink, which the live picture shares.
UPLOAD_S = 60.0
RETRY_S = (0.5, 15.0)


@dataclass(frozen=True, slots=True)
class _Still:
    lesson_id: str
    capture_us: int
    jpeg: bytes


class StillUploader:
    """Uploads stills while ``run`` runs."""

    def __init__(
        self,
        relay_url: str,
        bearer: Bearer,
        http: aiohttp.ClientSession,
        *,
        retry_s: tuple[float, float] = RETRY_S,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._relay_url = URL(relay_url)
        self._bearer = bearer
        self._http = http
        self._backoff = Backoff(*retry_s)
        self._max_waiting = max_waiting
        self._waiting: deque[_Still] = deque()
        self._submitted = asyncio.Event()
        self._retry_now = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many stills the relay does not have yet."""
        return len(self._waiting)

    def submit(self, lesson_id: str, capture_us: int, jpeg: bytes) -> None:
        """Take a still. Never blocks; the oldest waiting one goes when there are too many."""
        if len(jpeg) > MAX_STILL_BYTES:
            log.error("a board still of %d bytes is too large for the relay and is dropped", len(jpeg))
            return
        if len(self._waiting) >= self._max_waiting:
            dropped = self._waiting.popleft()
            log.warning("too many board stills wait; the one taken at %d µs is dropped", dropped.capture_us)
        self._waiting.append(_Still(lesson_id, capture_us, jpeg))
        self._submitted.set()

    def link_returned(self) -> None:
        """The relay is reachable again: try now."""
        self._backoff.reset()
        self._retry_now.set()

    async def run(self) -> None:
        """Upload until cancelled."""
        while True:
            while self._waiting:
                await self._try(self._waiting[0])
            self._submitted.clear()
            await self._submitted.wait()

    async def _try(self, still: _Still) -> None:
        self._retry_now.clear()
        try:
            await self._put(still)
        except (RelayBusy, RelayUnreachable) as error:
            await self._pause(self._backoff.next_s(), error)
            return
        except RelayRefused as error:
            log.warning("the board still taken at %d µs is dropped: %s", still.capture_us, error)
        else:
            self._backoff.reset()
        if self._waiting and self._waiting[0] is still:  # too many may have come meanwhile
            self._waiting.popleft()

    async def _put(self, still: _Still) -> None:
        url = self._relay_url / f"api/lessons/{still.lesson_id}/stills/{still.capture_us}"
        headers = {"Content-Type": "image/jpeg"}
        request = Request(method="PUT", url=url, body=still.jpeg, headers=headers, lesson_id=still.lesson_id)
        reply = await ask(self._http, request, self._bearer, answer_s=UPLOAD_S)
        if reply.status not in {200, 201}:
            raise reply.refusal()

    async def _pause(self, wait_s: float, error: Exception) -> None:
        log.info("a board still waits: %s", error)
        try:
            async with asyncio.timeout(wait_s):
                await self._retry_now.wait()
        except TimeoutError:
            return
