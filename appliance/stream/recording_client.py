"""Says to the relay what docs/protocol.md, "Recording", has: one request each, and what its answer means for the kit.

Used by ``upload.py``. Not here: what is sent when, and when again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Protocol

import aiohttp
from yarl import URL

from appliance.errors import KitError, RelayRefused, RelayUnreachable
from appliance.recordings.lesson_folder import IndexEntry
from appliance.stream.ask import ANSWER_S, RelayBusy, Reply, Request, ask
from appliance.stream.bearer import Bearer
from wire.messages import WireError
from wire.recording import (
    DIGEST_HEADER,
    MEDIA_TYPE,
    SEGMENT_HEADER,
    RecordingEnd,
    RecordingHead,
    RecordingState,
    SegmentHead,
    content_digest_of,
    decode,
    encode,
)

#: A connection that takes no byte and gives none for so long is dead. What the kernel still holds (64 kB) takes 16 s of
#: a link of 32 kb/s.
STALLED_S = 20.0
#: The relay's own bound on a body is shorter.
BODY_S = 120.0
_LATER = {408, 425, 429, 503}
_NOT_THIS_KIT = {401, 403}
_FULL = 507


class RelayFull(RelayBusy):
    """The relay has no room for recordings."""

    key = "relay_full"


class NotTaken(KitError):
    """The relay will never take this piece. ``status``: what it answered."""

    key = "recording_refused"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the relay answered {status}: {reason}")
        self.status = status


class Body(Protocol):
    """How bytes leave; ``moved_s`` is when they last did, on the loop's clock."""

    moved_s: float

    def chunks(self, body: bytes) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        ...


class RecordingClient:
    """One relay's recordings. Every method raises ``RelayUnreachable``, ``RelayBusy``, ``RelayFull`` (try again later),
    ``NotTaken`` (never for this piece) and ``RelayRefused`` (not for this kit)."""

    def __init__(self, relay_url: str, bearer: Bearer, http: aiohttp.ClientSession, body: Body) -> None:
        self._relay_url = URL(relay_url)
        self._bearer = bearer
        self._http = http
        self._body = body

    async def begin(self, lesson_id: str, started_unix_us: int) -> None:
        """Tell of a recording."""
        head = RecordingHead(started_unix_us=started_unix_us)
        await self._say("PUT", lesson_id, "recording", encode(head))

    async def state(self, lesson_id: str) -> RecordingState:
        """What the relay holds of it."""
        return _state(await self._say("GET", lesson_id, "recording"))

    async def end(self, lesson_id: str, end: RecordingEnd) -> RecordingState:
        """That is all; what the relay holds of it."""
        return _state(await self._say("POST", lesson_id, "recording/end", encode(end)))

    async def put_init(self, lesson_id: str, number: int, content: bytes) -> None:
        """Send an init."""
        await self._put(lesson_id, f"inits/{number}", content, {})

    async def put_segment(self, lesson_id: str, entry: IndexEntry, content: bytes) -> None:
        """Send a segment."""
        head = SegmentHead(
            init=entry.init,
            start_us=entry.start_us,
            duration_us=entry.duration_us,
            discontinuity=entry.discontinuity,
        )
        await self._put(lesson_id, f"segments/{entry.n}", content, {SEGMENT_HEADER: encode(head)})

    async def _say(self, method: str, lesson_id: str, what: str, text: str | None = None) -> Reply:
        headers = None if text is None else {"Content-Type": "application/json"}
        body = None if text is None else text.encode()
        request = Request(
            method=method, url=self._url(lesson_id, what), body=body, headers=headers, lesson_id=lesson_id
        )
        return _accepted(await ask(self._http, request, self._bearer, answer_s=ANSWER_S))

    async def _put(self, lesson_id: str, what: str, content: bytes, more: Mapping[str, str]) -> None:
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(content)),
            DIGEST_HEADER: content_digest_of(content),
            **more,
        }
        request = Request(
            method="PUT",
            url=self._url(lesson_id, what),
            body=content,
            headers=headers,
            lesson_id=lesson_id,
            paced=self._body.chunks,
        )
        _accepted(await self._unless_stalled(ask(self._http, request, self._bearer, answer_s=BODY_S)))

    async def _unless_stalled(self, asking: Coroutine[None, None, Reply]) -> Reply:
        loop = asyncio.get_running_loop()
        self._body.moved_s = loop.time()
        task = asyncio.ensure_future(asking)
        try:
            while not task.done():
                left_s = self._body.moved_s + STALLED_S - loop.time()
                if left_s <= 0:
                    raise RelayUnreachable(f"{self._relay_url.host} takes nothing any more")
                await asyncio.wait({task}, timeout=left_s)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _url(self, lesson_id: str, what: str) -> URL:
        return self._relay_url / f"api/lessons/{lesson_id}/{what}"


def _accepted(reply: Reply) -> Reply:
    if reply.status in {200, 201}:
        return reply
    if reply.status == _FULL:
        raise RelayFull(reply.status, reply.reason, reply.retry_after_s)
    if reply.status in _LATER:
        raise RelayBusy(reply.status, reply.reason, reply.retry_after_s)
    if reply.status in _NOT_THIS_KIT:
        raise RelayRefused(reply.status, reply.reason)
    if reply.status >= 500:
        raise RelayUnreachable(f"the relay is in trouble ({reply.status}: {reply.reason})")
    raise NotTaken(reply.status, reply.reason)


def _state(reply: Reply) -> RecordingState:
    try:
        return decode(reply.body, RecordingState)
    except WireError as error:
        raise RelayUnreachable(f"what {reply.url.host} says of a recording cannot be understood: {error}") from error
