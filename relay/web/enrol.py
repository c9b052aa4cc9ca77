"""``POST /api/enrol``: a kit shows its code and its public key, and is taken in. Guessing is slowed down."""

from __future__ import annotations

import base64
import binascii

import msgspec
from aiohttp import web

from relay.classroom.school import Place
from relay.errors import BadRequest, CodeRefused, StoreUnavailable, TooManyTries
from relay.web.body import need_content_type, read_body
from relay.web.context import RELAY, Relay

MAX_BODY_BYTES = 4096
PUBLIC_KEY_BYTES = 32


class _Request(msgspec.Struct, frozen=True):
    code: str
    public_key: str
    software: str = ""


async def enrol(request: web.Request) -> web.Response:
    """See the module."""
    relay, address, now = request.app[RELAY], request.remote or "", request.app[RELAY].clock()
    wait_s = relay.guesses.wait_s(address, now.s)
    if wait_s > 0:
        raise TooManyTries("too many wrong codes; wait, and check the code", wait_s)
    need_content_type(request, "application/json", "Accept")
    asked = _read(await read_body(request, MAX_BODY_BYTES))
    public_key = _public_key(asked.public_key)
    try:
        kit_id = await relay.enrolling.enrol(asked.code, public_key, asked.software, now.unix_ms)
    except CodeRefused:
        relay.guesses.failed(address, now.s)
        raise
    return web.json_response(await _answer(relay, kit_id), status=201)


async def _answer(relay: Relay, kit_id: str) -> dict[str, str]:
    register = await relay.registers.current()
    kit = register.kit(kit_id)
    if kit is None:
        raise StoreUnavailable("the kit was taken in, but cannot be looked up now; ask again")
    place: Place = register.place(kit.room_id)
    return {
        "kit_id": kit_id,
        "relay_id": register.relay_id,
        "school": place.school.name,
        "room": place.room.name,
        "class_name": place.school_class.name,
        "class_path": place.school_class.path,
    }


def _read(body: bytes) -> _Request:
    try:
        return msgspec.json.decode(body, type=_Request)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"not an enrolment: {error}") from error


def _public_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("public_key: not base64url") from error
    if len(key) != PUBLIC_KEY_BYTES:
        raise BadRequest(f"public_key: {len(key)} bytes; an Ed25519 key has {PUBLIC_KEY_BYTES}")
    return key
