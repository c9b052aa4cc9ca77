"""What WHIP and WHEP have in common: the 201, the session's resource, and its ICE (RFC 9725 §4; the WHEP draft).

Not here: who may have a session (``whip.py``, ``whep.py``) and what SDP means (the engine).
"""

from __future__ import annotations

from aiohttp import hdrs, web

from relay.engines.base import Answer, Engine
from relay.errors import BadRequest
from relay.web.body import MAX_SDP_BYTES, need_content_type, read_body
from relay.web.context import RELAY

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
ACCEPT_POST = "Accept-Post"
ACCEPT_PATCH = "Accept-Patch"
CORS_MAX_AGE_S = 86400


async def read_offer(request: web.Request) -> str:
    """The offer in the body. Raises 415, 413, ``BadRequest``."""
    need_content_type(request, SDP, ACCEPT_POST)
    return text_of(await read_body(request, MAX_SDP_BYTES))


def created(answer: Answer, location: str) -> web.Response:
    """201 for an accepted offer."""
    headers = {hdrs.LOCATION: location, hdrs.ETAG: f'"{answer.etag}"', ACCEPT_PATCH: FRAGMENT}
    return web.Response(status=201, text=answer.sdp, content_type=SDP, headers=headers)


def with_ice_servers(request: web.Request, response: web.Response) -> web.Response:
    """The response, with the relay's TURN servers in ``Link``, if it has any."""
    relay = request.app[RELAY]
    relay.ice_servers.add_to(response, relay.clock().unix_ms / 1000)
    return response


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks before its request (Fetch): then nobody reads a ``Link`` (RFC 9725 §4.6)."""
    return hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


async def patched(request: web.Request, engine: Engine, session_id: str) -> web.Response:
    """Trickled candidates or an ICE restart (RFC 9725 §4.3). Raises 412, 413, 415, 428, ``FragmentRejected``."""
    need_content_type(request, FRAGMENT, ACCEPT_PATCH)
    wanted = request.headers.get(hdrs.IF_MATCH)
    if wanted is None:
        raise web.HTTPPreconditionRequired(text="If-Match is missing: send the session's ETag")
    if not _matches(wanted, engine.etag_of(session_id)):
        raise web.HTTPPreconditionFailed(text="the session's ICE was restarted since: this ETag is stale")
    fragment = text_of(await read_body(request, MAX_SDP_BYTES))
    answer = await engine.patch(session_id, fragment)
    if answer is None:
        return web.Response(status=204)
    headers = {hdrs.ETAG: f'"{engine.etag_of(session_id)}"'}
    return web.Response(text=answer, content_type=FRAGMENT, headers=headers)


async def ended(engine: Engine, session_id: str) -> web.Response:
    """DELETE frees everything, whatever If-Match says."""
    await engine.end(session_id)
    return web.Response()


async def endpoint_look(_request: web.Request) -> web.Response:
    """GET on what takes an offer: a resource without a representation (RFC 9725 §4.1)."""
    return web.Response()


async def endpoint_options(_request: web.Request) -> web.Response:
    """OPTIONS on what takes an offer."""
    return _options("GET, POST, OPTIONS", {ACCEPT_POST: SDP})


async def picture_options(_request: web.Request) -> web.Response:
    """OPTIONS on a viewer's picture."""
    return _options("GET, PUT, OPTIONS", {})


async def session_options(_request: web.Request) -> web.Response:
    """OPTIONS on a session."""
    return _options("GET, PATCH, DELETE, OPTIONS", {ACCEPT_POST: SDP, ACCEPT_PATCH: FRAGMENT})


def _options(methods: str, headers: dict[str, str]) -> web.Response:
    cors: dict[str, str] = {
        hdrs.ALLOW: methods,
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: methods,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type, If-Match, Prefer",
        hdrs.ACCESS_CONTROL_MAX_AGE: str(CORS_MAX_AGE_S),
    }
    return web.Response(status=204, headers=cors | headers)


def _matches(if_match: str, etag: str) -> bool:
    """RFC 9110 §13.1.1: strong comparison; ``*`` is any, also in the quotes that RFC 9725's example gives it."""
    return if_match.strip() in {"*", '"*"'} or f'"{etag}"' in (item.strip() for item in if_match.split(","))


def text_of(body: bytes) -> str:
    """A body that has to be text. Raises ``BadRequest``."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("the body is not UTF-8 text") from error
