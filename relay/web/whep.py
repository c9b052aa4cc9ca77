"""WHEP: a pupil's session. The class link is all that is asked; a viewer may wait for the lesson in it."""

from __future__ import annotations

from aiohttp import web

from relay.errors import SessionUnknown
from relay.web.context import RELAY
from relay.web.pages import class_of
from relay.web.sessions import created, ended, patched, read_offer


async def watch(request: web.Request) -> web.Response:
    """``POST /whep/<link>``"""
    school_class = await class_of(request)
    offer = await read_offer(request)
    # The body took its time: a link that was rotated meanwhile opens nothing any more.
    school_class = await class_of(request)
    answer = request.app[RELAY].engine.watch(school_class.class_id, offer)
    return created(answer, f"/whep/{school_class.link}/{answer.session_id}")


async def look(request: web.Request) -> web.Response:
    """``GET /whep/<link>/<session>``: it is there; nothing to say about it."""
    await _session(request)
    return web.Response()


async def patch(request: web.Request) -> web.Response:
    """``PATCH /whep/<link>/<session>``"""
    session_id = await _session(request)
    return await patched(request, request.app[RELAY].engine, session_id)


async def end(request: web.Request) -> web.Response:
    """``DELETE /whep/<link>/<session>``"""
    session_id = await _session(request)
    return ended(request.app[RELAY].engine, session_id)


async def _session(request: web.Request) -> str:
    """The session in the path, which has to be on the link's own class. Raises 404."""
    school_class = await class_of(request)
    session_id = request.match_info["session"]
    if request.app[RELAY].engine.channel_of(session_id) != school_class.class_id:
        raise SessionUnknown("no such session")
    return session_id
