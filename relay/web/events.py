"""``GET /c/<link>/events``: the class's state as server-sent events (docs/protocol.md, "Pupil's state").

Each stream holds one flag and the last text that it sent, so a slow pupil's page costs nothing but itself. Their number
is bounded, per class and in all.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from relay.classroom.registry import ClassState
from relay.classroom.school import SchoolClass
from relay.web.context import RELAY, Relay
from relay.web.pages import class_of
from relay.web.replays import playlist_path

HEARTBEAT_S = 15.0  # docs/protocol.md: keeps proxies awake, and finds pages that are gone
SEND_S = 10.0  # a page that takes nothing for so long has gone without saying so
MAX_PER_CLASS = 500  # every pupil of a school on one link, with a spare tab
MAX_IN_ALL = 10_000


class EventStreams:
    """The streams that are open, to bound and to end them."""

    def __init__(self) -> None:
        self._of_class: Counter[str] = Counter()
        self._wakes: set[asyncio.Event] = set()
        self.closing = False

    @contextmanager
    def admit(self, class_id: str, wake: asyncio.Event) -> Iterator[None]:
        """Count a stream in. Raises 503 when there are too many."""
        if self.closing or self._of_class[class_id] >= MAX_PER_CLASS or len(self._wakes) >= MAX_IN_ALL:
            raise web.HTTPServiceUnavailable(text="too many pages are listening", headers={"Retry-After": "10"})
        self._of_class[class_id] += 1
        self._wakes.add(wake)
        try:
            yield
        finally:
            self._wakes.discard(wake)
            self._of_class[class_id] -= 1
            if not self._of_class[class_id]:
                del self._of_class[class_id]

    def close_all(self) -> None:
        """The relay stops: every stream ends now."""
        self.closing = True
        for wake in self._wakes:
            wake.set()


STREAMS = web.AppKey("event_streams", EventStreams)


async def events(request: web.Request) -> web.StreamResponse:
    """See the module."""
    relay, streams = request.app[RELAY], request.app[STREAMS]
    school_class = await class_of(request)
    wake = asyncio.Event()
    with streams.admit(school_class.class_id, wake), relay.metrics.event_streams.track_inprogress():
        leave = relay.live.followers.follow_class(school_class.class_id, wake.set)
        try:
            response = web.StreamResponse(
                headers={
                    "Content-Type": "text/event-stream; charset=utf-8",
                    "X-Accel-Buffering": "no",  # nginx would hold events back
                }
            )
            await response.prepare(request)
            await _stream(relay, streams, school_class, wake, response)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:  # the page is gone, or takes nothing: no orderly end
                request.transport.abort()
        finally:
            leave()
    return response


async def _stream(
    relay: Relay, streams: EventStreams, school_class: SchoolClass, wake: asyncio.Event, response: web.StreamResponse
) -> None:
    sent = ""
    while not streams.closing and relay.registers.latest.class_by_link(school_class.link) is not None:
        wake.clear()
        text = state_json(relay.live.class_state(school_class.class_id), school_class.link)
        if text != sent:
            await _send(response, f"event: state\ndata: {text}\n\n")
            sent = text
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await wake.wait()
        except TimeoutError:
            await _send(response, ": still here\n\n")


async def _send(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(SEND_S):
        await response.write(text.encode())


def state_json(state: ClassState, link: str) -> str:
    """The class's state as pupils' pages read it."""
    lesson = state.lesson
    shown = None
    stills: list[dict[str, object]] = []
    if lesson is not None:
        shown = {
            "id": lesson.lesson_id,
            "started_unix_ms": lesson.started_unix_ms,
            "ended_unix_ms": lesson.ended_unix_ms,
        }
        stills = [
            {
                "url": f"/c/{link}/stills/{lesson.lesson_id}/{capture_us}.jpg",
                "taken_unix_ms": lesson.started_unix_ms + capture_us // 1000,
            }
            for capture_us in state.stills
        ]
    told = {"v": 1, "state": state.state, "lesson": shown, "viewers": state.viewers, "stills": stills}
    return json.dumps({**told, "sound_warning": state.sound_warning, "recording": _recording(state, link)})


def _recording(state: ClassState, link: str) -> dict[str, object] | None:
    if state.lesson is None or state.recorded_since_ms is None:
        return None
    return {
        "playlist": playlist_path(f"/c/{link}/lessons/{state.lesson.lesson_id}"),
        "started_unix_ms": state.recorded_since_ms,
    }
