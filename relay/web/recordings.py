"""A kit sends its recording (docs/protocol.md, "Recording"). Not here: what is kept of it (``relay/archive``)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import hdrs, web

from relay.archive.archive import Upload
from relay.classroom.school import Lesson
from relay.errors import BadRequest, NoRecording, NotAuthorised, RecordingRefused
from relay.web.auth import AUTH
from relay.web.body import need_content_type, read_body, read_digested_body
from relay.web.context import RELAY
from wire.messages import WireError
from wire.recording import (
    DIGEST_HEADER,
    MAX_DOCUMENT_BYTES,
    MAX_INIT_BYTES,
    MAX_INITS,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS,
    MEDIA_TYPE,
    SEGMENT_HEADER,
    RecordingEnd,
    RecordingHead,
    SegmentHead,
    decode,
    encode,
    read_content_digest,
)

UPLOAD_S = 60.0  # 8 MiB at 1.1 Mbit/s; a segment of 2 s has half a megabyte
UPLOADS_PER_KIT = 4  # bounds what bodies may take of the memory; a kit sends one or two at a time
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")


class Uploads:
    """How many bodies each kit is sending."""

    def __init__(self) -> None:
        self._of_kit: Counter[str] = Counter()

    @contextmanager
    def admit(self, kit_id: str) -> Iterator[None]:
        """Count an upload in. Raises 429 when there are too many."""
        if self._of_kit[kit_id] >= UPLOADS_PER_KIT:
            told = f"{UPLOADS_PER_KIT} uploads of this kit are running"
            raise web.HTTPTooManyRequests(text=told, headers={hdrs.RETRY_AFTER: "1"})
        self._of_kit[kit_id] += 1
        try:
            yield
        finally:
            self._of_kit[kit_id] -= 1
            if not self._of_kit[kit_id]:
                del self._of_kit[kit_id]


UPLOADS = web.AppKey("uploads", Uploads)


async def begin(request: web.Request) -> web.Response:
    """``PUT /api/lessons/<lesson>/recording``"""
    relay = request.app[RELAY]
    kit_id, lesson_id = await _kit_and_lesson(request)
    try:
        head = decode(await read_body(request, MAX_DOCUMENT_BYTES), RecordingHead)
    except WireError as error:
        raise BadRequest(str(error)) from error
    known = relay.live.lesson_of(lesson_id)
    if known is not None and known.publisher != kit_id:
        raise NoRecording("no such lesson")
    lesson = known or _recorded_alone(request, kit_id, lesson_id, head)
    new = await relay.archive.begin(lesson, head.started_unix_us)
    return web.json_response({"kept": True}, status=201 if new else 200)


async def state(request: web.Request) -> web.Response:
    """``GET /api/lessons/<lesson>/recording``"""
    kit_id, lesson_id = await _kit_and_lesson(request)
    held = await request.app[RELAY].archive.of_kit(lesson_id, kit_id)
    return web.json_response(text=encode(held.state))


async def put_init(request: web.Request) -> web.Response:
    """``PUT /api/lessons/<lesson>/inits/<k>``: 201, or 200 when it is there already."""
    kit_id, lesson_id = await _kit_and_lesson(request)
    number = _number(request, MAX_INITS)
    archive = request.app[RELAY].archive
    await archive.of_kit(lesson_id, kit_id)  # before the body is read
    upload = await _upload(request, kit_id, MAX_INIT_BYTES)
    new = await archive.take_init(lesson_id, kit_id, number, upload)
    return web.json_response({"kept": True}, status=201 if new else 200)


async def put_segment(request: web.Request) -> web.Response:
    """``PUT /api/lessons/<lesson>/segments/<n>``: 201, or 200 when it is there already."""
    kit_id, lesson_id = await _kit_and_lesson(request)
    number = _number(request, MAX_SEGMENTS)
    try:
        head = decode(request.headers.get(SEGMENT_HEADER, ""), SegmentHead)
    except WireError as error:
        raise RecordingRefused(422, f"{SEGMENT_HEADER}: {error}") from error
    archive = request.app[RELAY].archive
    await archive.of_kit(lesson_id, kit_id)
    upload = await _upload(request, kit_id, MAX_SEGMENT_BYTES)
    new = await archive.take_segment(lesson_id, kit_id, number, head, upload)
    return web.json_response({"kept": True}, status=201 if new else 200)


async def end(request: web.Request) -> web.Response:
    """``POST /api/lessons/<lesson>/recording/end``"""
    kit_id, lesson_id = await _kit_and_lesson(request)
    try:
        said = decode(await read_body(request, MAX_DOCUMENT_BYTES), RecordingEnd)
    except WireError as error:
        raise BadRequest(str(error)) from error
    held = await request.app[RELAY].archive.end(lesson_id, kit_id, said)
    return web.json_response(text=encode(held))


async def _kit_and_lesson(request: web.Request) -> tuple[str, str]:
    claims, lesson_id = await request.app[AUTH].lesson_kit(request)
    if lesson_id != request.match_info["lesson"]:
        raise NotAuthorised("token is for another lesson")
    return claims.kit_id, lesson_id


def _recorded_alone(request: web.Request, kit_id: str, lesson_id: str, head: RecordingHead) -> Lesson:
    """A lesson that this relay never heard of: over, unless its kit says otherwise on the control channel."""
    register = request.app[RELAY].registers.latest
    place = register.place(register.kits[kit_id].room_id)
    started_ms = head.started_unix_us // 1000
    return Lesson(
        lesson_id=lesson_id,
        class_id=place.school_class.class_id,
        room_id=place.room.room_id,
        publisher=kit_id,
        foreign=False,
        started_unix_ms=started_ms,
        ended_unix_ms=started_ms,
        end_reason="kit",
    )


def _number(request: web.Request, limit: int) -> int:
    text = request.match_info["number"]
    if not _NUMBER.fullmatch(text) or int(text) >= limit:
        raise RecordingRefused(422, f"numbers are below {limit}")
    return int(text)


async def _upload(request: web.Request, kit_id: str, limit: int) -> Upload:
    need_content_type(request, MEDIA_TYPE, "Accept")
    try:
        announced = read_content_digest(request.headers.get(DIGEST_HEADER, ""))
    except WireError as error:
        raise RecordingRefused(422, str(error)) from error
    with request.app[UPLOADS].admit(kit_id):
        body, digest = await read_digested_body(request, limit, UPLOAD_S)
    if digest != announced:
        raise RecordingRefused(422, f"the body is not what {DIGEST_HEADER} says")
    return Upload(body=body, sha256=digest)
