"""A lesson as one file to keep: ``…/lesson.mp4``, put together while it is sent (``relay/archive/one_file.py``)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from aiohttp import hdrs, web

from relay.archive.one_file import Plan
from relay.archive.one_file_parts import part_of, planned
from relay.archive.recording import Recording
from relay.errors import ArchiveUnavailable
from relay.web.cached import is_known, range_headers, wanted_range
from relay.web.context import RELAY
from relay.web.replays import GROWING, SETTLED, Replay, class_replay, is_closed, link_replay

WRITE_S = 60.0  # for a segment, to a reader who is slow; one who takes nothing for so long has gone
MAX_DOWNLOADS = 50  # each holds one segment in memory; whoever comes then is asked to come again


class Downloads:
    """How many are running."""

    def __init__(self) -> None:
        self._running = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Count one in. Raises 503 when there are too many."""
        if self._running >= MAX_DOWNLOADS:
            raise web.HTTPServiceUnavailable(text="too many are downloading", headers={hdrs.RETRY_AFTER: "30"})
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


DOWNLOADS = web.AppKey("downloads", Downloads)


async def class_download(request: web.Request) -> web.StreamResponse:
    """``GET /c/<link>/lessons/<lesson>/lesson.mp4``"""
    return await download(request, await class_replay(request))


async def link_download(request: web.Request) -> web.StreamResponse:
    """``GET /l/<token>/lesson.mp4``"""
    return await download(request, await link_replay(request))


async def download(request: web.Request, replay: Replay) -> web.StreamResponse:
    """The lesson as one file, or the part of it that is asked for."""
    relay, recording = request.app[RELAY], replay.recording
    etag = f'"{hashlib.sha256(f"{recording.lesson_id} {recording.revision}".encode()).hexdigest()[:24]}"'
    headers: dict[str, str] = {
        hdrs.ETAG: etag,
        hdrs.CACHE_CONTROL: SETTLED if is_closed(relay, recording) else GROWING,
    }
    if is_known(request, etag):
        return web.Response(status=304, headers=headers)
    file = await planned(relay.archive.files, recording)
    wanted = wanted_range(request, etag, file.size_bytes)
    status, more = range_headers(wanted, file.size_bytes)
    first, last = wanted or (0, file.size_bytes - 1)
    headers |= {hdrs.CONTENT_TYPE: "video/mp4", hdrs.CONTENT_DISPOSITION: _disposition(recording), **more}
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = last - first + 1
    with request.app[DOWNLOADS].admit():
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD:
            await _send(request, response, recording, file, first, last)
    return response


async def _send(
    request: web.Request, response: web.StreamResponse, recording: Recording, file: Plan, first: int, last: int
) -> None:
    files = request.app[RELAY].archive.files
    at = first
    try:
        while at <= last:
            index = file.first_of(at)
            begin = file.ends[index] if index >= 0 else 0
            body = await part_of(files, recording, file, index)
            async with asyncio.timeout(WRITE_S):
                await response.write(body[at - begin : last + 1 - begin])
            at = begin + len(body)
    except (ConnectionError, TimeoutError, ArchiveUnavailable):
        if request.transport is not None:  # what was announced cannot be sent: no orderly end
            request.transport.abort()


def _disposition(recording: Recording) -> str:
    began = datetime.fromtimestamp(recording.started_unix_us / 1e6).astimezone()
    return f'attachment; filename="lesson-{began:%Y-%m-%d-%H%M}.mp4"'
