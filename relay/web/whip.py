"""WHIP: a publisher's session (RFC 9725). Kits come with a token, foreign publishers with a stream key.

Nothing is allocated before the bearer holds. A session is shown only to the publisher that made it.
"""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from relay.errors import ChannelBusy, LessonOver, SessionUnknown
from relay.web.auth import AUTH, Publisher
from relay.web.context import RELAY, Relay
from relay.web.sessions import created, ended, patched, read_offer, with_ice_servers


class PublisherSessions:
    """Which session each publisher has: one, the newest."""

    def __init__(self) -> None:
        self._session_of: dict[str, str] = {}

    def made(self, publisher_id: str, session_id: str) -> None:
        """A publisher has a new session; the engine ended its older one."""
        self._session_of[publisher_id] = session_id

    def need(self, publisher_id: str, session_id: str) -> None:
        """Raise ``SessionUnknown`` unless this is the publisher's session."""
        if self._session_of.get(publisher_id) != session_id:
            raise SessionUnknown("no such session")

    def gone(self, publisher_id: str, session_id: str) -> bool:
        """The publisher ended this session; ``False`` if it has a newer one by now."""
        newest = self._session_of.get(publisher_id) == session_id
        if newest:
            del self._session_of[publisher_id]
        return newest


SESSIONS = web.AppKey("publisher_sessions", PublisherSessions)


async def publish(request: web.Request) -> web.Response:
    """``POST /whip``"""
    relay = request.app[RELAY]
    publisher = await request.app[AUTH].publisher(request)
    offer = await read_offer(request)
    channel = relay.live.channel_for(publisher.publisher_id, publisher.place, publisher.lesson_id)
    answer = await relay.engine.publish(channel, publisher.publisher_id, offer)
    try:
        # The engine may have taken its time, and the lesson be over, or elsewhere, by now.
        moved = relay.live.channel_for(publisher.publisher_id, publisher.place, publisher.lesson_id) != channel
    except LessonOver:
        await _withdraw(relay, answer.session_id)
        raise
    if moved:
        await _withdraw(relay, answer.session_id)
        raise ChannelBusy("the lesson goes on in another class; try again")
    # From here on nothing is awaited: who is where, the session and the lesson change together.
    request.app[SESSIONS].made(publisher.publisher_id, answer.session_id)
    relay.live.publishes(publisher.publisher_id, publisher.place, publisher.lesson_id)
    return with_ice_servers(request, created(answer, f"/whip/{answer.session_id}"))


async def _withdraw(relay: Relay, session_id: str) -> None:
    with suppress(SessionUnknown):
        await relay.engine.end(session_id)


async def look(request: web.Request) -> web.Response:
    """``GET /whip/<session>``: it is there; nothing to say about it."""
    _, session_id = await _own_session(request)
    request.app[RELAY].engine.channel_of(session_id)
    return web.Response()


async def patch(request: web.Request) -> web.Response:
    """``PATCH /whip/<session>``"""
    _, session_id = await _own_session(request)
    return await patched(request, request.app[RELAY].engine, session_id)


async def end(request: web.Request) -> web.Response:
    """``DELETE /whip/<session>``"""
    publisher, session_id = await _own_session(request)
    relay = request.app[RELAY]
    response = await ended(relay.engine, session_id)
    if request.app[SESSIONS].gone(publisher.publisher_id, session_id):
        relay.live.publisher_left(publisher.publisher_id)
    return response


async def _own_session(request: web.Request) -> tuple[Publisher, str]:
    publisher = await request.app[AUTH].publisher(request, names_lesson=False)
    session_id = request.match_info["session"]
    request.app[SESSIONS].need(publisher.publisher_id, session_id)
    return publisher, session_id
