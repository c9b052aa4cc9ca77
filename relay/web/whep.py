"""WHEP: a pupil's session. The class link is all that is asked; a viewer may wait for the lesson in it.

A player that cannot wait says ``Prefer: handling=strict`` (RFC 7240 §4.4) and is told 409 while nobody publishes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import get_args

from aiohttp import web

from relay.engines.base import PictureChoice
from relay.errors import BadRequest, NothingToWatch, SessionUnknown
from relay.web.body import need_content_type, read_body
from relay.web.context import RELAY
from relay.web.pages import class_of
from relay.web.sessions import created, ended, endpoint_options, is_preflight, patched, read_offer, with_ice_servers

STRICT = "handling=strict"
MAX_CHOICE_BYTES = 1024


async def watch(request: web.Request) -> web.Response:
    """``POST /whep/<link>``"""
    school_class = await class_of(request)
    offer = await read_offer(request)
    # The body took its time: a link that was rotated meanwhile opens nothing any more.
    school_class = await class_of(request)
    engine = request.app[RELAY].engine
    strict = _wants_no_waiting(request)
    if strict and engine.delivery(school_class.class_id).publisher is None:
        raise NothingToWatch("nobody publishes to this class now")
    answer = await engine.watch(school_class.class_id, offer)
    response = with_ice_servers(request, created(answer, f"/whep/{school_class.link}/{answer.session_id}"))
    if strict:
        response.headers["Preference-Applied"] = STRICT
    return response


async def options(request: web.Request) -> web.Response:
    """``OPTIONS /whep/<link>``: also the TURN servers, for players that have to know them before they offer."""
    response = await endpoint_options(request)
    if not is_preflight(request):
        with suppress(web.HTTPNotFound):  # a link that opens nothing gets what every address gets
            await class_of(request)
            with_ice_servers(request, response)
    return response


async def endpoint_look(request: web.Request) -> web.Response:
    """``GET /whep/<link>``: the link is good; nothing to say about it."""
    await class_of(request)
    return web.Response()


async def look(request: web.Request) -> web.Response:
    """``GET /whep/<link>/<session>``: it is there; nothing to say about it."""
    await _session(request)
    return web.Response()


async def picture(request: web.Request) -> web.Response:
    """``GET /whep/<link>/<session>/picture``: how much of the picture this viewer is sent, and what it asked for."""
    return await _picture_json(request, await _session(request))


async def choose_picture(request: web.Request) -> web.Response:
    """``PUT /whep/<link>/<session>/picture``: ``{"chosen": "auto" | "full" | "slow" | "voice"}``"""
    session_id = await _session(request)
    need_content_type(request, "application/json", "Accept")
    chosen = _choice(await read_body(request, MAX_CHOICE_BYTES))
    await request.app[RELAY].engine.choose_picture(session_id, chosen)
    return await _picture_json(request, session_id)


def _choice(body: bytes) -> PictureChoice:
    try:
        told = json.loads(body)
    except ValueError as error:
        raise BadRequest("the body is not JSON") from error
    for choice in get_args(PictureChoice):
        if isinstance(told, dict) and told.get("chosen") == choice:
            found: PictureChoice = choice
            return found
    raise BadRequest(f"chosen has to be one of {', '.join(get_args(PictureChoice))}")


async def _picture_json(request: web.Request, session_id: str) -> web.Response:
    seen = await request.app[RELAY].engine.picture_of(session_id)
    return web.json_response({"chosen": seen.chosen, "sent": seen.sent})


async def patch(request: web.Request) -> web.Response:
    """``PATCH /whep/<link>/<session>``"""
    session_id = await _session(request)
    return await patched(request, request.app[RELAY].engine, session_id)


async def end(request: web.Request) -> web.Response:
    """``DELETE /whep/<link>/<session>``"""
    session_id = await _session(request)
    return await ended(request.app[RELAY].engine, session_id)


def _wants_no_waiting(request: web.Request) -> bool:
    preferences = ",".join(request.headers.getall("Prefer", [])).split(",")
    return any(item.partition(";")[0].replace(" ", "").replace('"', "").lower() == STRICT for item in preferences)


async def _session(request: web.Request) -> str:
    """The session in the path, which has to be on the link's own class. Raises 404."""
    school_class = await class_of(request)
    session_id = request.match_info["session"]
    if request.app[RELAY].engine.channel_of(session_id) != school_class.class_id:
        raise SessionUnknown("no such session")
    return session_id
