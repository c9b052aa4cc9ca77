"""Board stills: the kit of a lesson puts them, the pupils of its class get them."""

from __future__ import annotations

import asyncio
import errno
import re

from aiohttp import hdrs, web

from relay.errors import NotAuthorised, StillRefused
from relay.web.auth import AUTH
from relay.web.body import need_content_type, read_body
from relay.web.context import RELAY
from relay.web.pages import class_of

MAX_STILL_BYTES = 8 * 1024 * 1024
STILL_S = 60.0  # 8 MiB over a slow uplink, beside the live picture
MAX_CAPTURE_US = 24 * 3600 * 1_000_000
JPEG = "image/jpeg"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_CAPTURE = re.compile(r"0|[1-9][0-9]{0,10}")


async def put_still(request: web.Request) -> web.Response:
    """``PUT /api/lessons/<lesson>/stills/<capture_us>``: 201, or 200 when it is there already."""
    relay = request.app[RELAY]
    claims, lesson_id = await request.app[AUTH].lesson_kit(request)
    if lesson_id != request.match_info["lesson"]:
        raise NotAuthorised("token is for another lesson")
    capture_us = _capture_us(request)
    need_content_type(request, JPEG, "Accept")
    lesson = relay.live.running_lesson(claims.kit_id) or relay.live.last_lesson(claims.kit_id)
    if lesson is None or lesson.lesson_id != lesson_id:
        raise web.HTTPNotFound(text="no such lesson")
    picture = await read_body(request, MAX_STILL_BYTES, STILL_S)
    if not (picture.startswith(b"\xff\xd8\xff") and picture.rstrip(b"\0").endswith(b"\xff\xd9")):
        raise StillRefused(422, "this is no whole JPEG picture")
    try:
        new = await asyncio.to_thread(relay.stills.keep, lesson_id, capture_us, picture)
    except OSError as error:
        relay.metrics.store_failed("still")
        status = 507 if error.errno in _NO_SPACE else 503
        raise StillRefused(status, f"the still cannot be kept: {error.strerror}") from error
    relay.live.still_taken(lesson_id, capture_us)
    return web.json_response({"kept": True}, status=201 if new else 200)


async def get_still(request: web.Request) -> web.StreamResponse:
    """``GET /c/<link>/stills/<lesson>/<capture_us>.jpg``, while the class is told of it."""
    relay = request.app[RELAY]
    school_class = await class_of(request)
    capture_us = _capture_us(request)
    state = relay.live.class_state(school_class.class_id)
    lesson_id = request.match_info["lesson"]
    if state.lesson is None or state.lesson.lesson_id != lesson_id or capture_us not in state.stills:
        raise web.HTTPNotFound(text="no such still")
    headers = {hdrs.CACHE_CONTROL: "private, max-age=86400, immutable", hdrs.CONTENT_TYPE: JPEG}
    return web.FileResponse(relay.stills.path(lesson_id, capture_us), headers=headers)


def _capture_us(request: web.Request) -> int:
    text = request.match_info["capture_us"]
    if not _CAPTURE.fullmatch(text) or int(text) > MAX_CAPTURE_US:
        raise web.HTTPNotFound(text="capture_us: microseconds since the lesson's start")
    return int(text)
