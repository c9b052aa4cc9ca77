"""A kit's trial of the media path: a publisher's session that belongs to no class, and that nobody can watch.

``POST /preflight`` is WHIP (RFC 9725) in all but where it leads: the same port, ICE and DTLS, on a channel of the
kit's own. No lesson begins, and a lesson that runs is not disturbed. It ends when the kit deletes it, or by itself.
``PUT /preflight/upload`` takes bytes and throws them away, so that a kit can time how fast they leave the school.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from relay.engines.base import Engine
from relay.errors import SessionUnknown
from relay.web.auth import AUTH
from relay.web.body import swallow_body
from relay.web.context import RELAY
from relay.web.sessions import created, ended, read_offer

#: A trial takes two seconds. A kit that vanished in one, or was revoked meanwhile, keeps nothing for longer.
TRIAL_S = 20.0
#: At 10 Mb/s, more than a lesson takes, this lasts 0.8 s: long enough to be timed.
MAX_UPLOAD_BYTES = 1024 * 1024
UPLOAD_S = 15.0
#: At once, in all; each kit has one. A school's kits are set up one after another.
MAX_UPLOADS = 4
_UPLOAD_AGAIN_S = 5


class Trials:
    """The tasks that end trials which nobody ended."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.uploading: set[str] = set()  # the kits that do

    def began(self, engine: Engine, session_id: str) -> None:
        """End this one in time."""
        self._tasks[session_id] = asyncio.create_task(self._expire(engine, session_id), name="trial")

    def over(self, session_id: str) -> None:
        """It was ended."""
        task = self._tasks.pop(session_id, None)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """The relay stops; the engine ends the sessions."""
        for session_id in list(self._tasks):
            self.over(session_id)

    async def _expire(self, engine: Engine, session_id: str) -> None:
        await asyncio.sleep(TRIAL_S)
        self._tasks.pop(session_id, None)
        with suppress(SessionUnknown):  # replaced by the same kit's next trial, or silent for long
            await engine.end(session_id)


TRIALS = web.AppKey("preflight_trials", Trials)


async def begin(request: web.Request) -> web.Response:
    """``POST /preflight``"""
    kit_id = (await request.app[AUTH].kit(request)).kit_id
    offer = await read_offer(request)
    engine = request.app[RELAY].engine
    answer = await engine.publish(_channel(kit_id), kit_id, offer)
    request.app[TRIALS].began(engine, answer.session_id)
    return created(answer, f"/preflight/{answer.session_id}")


async def end(request: web.Request) -> web.Response:
    """``DELETE /preflight/<session>``"""
    kit_id = (await request.app[AUTH].kit(request)).kit_id
    session_id = request.match_info["session"]
    engine = request.app[RELAY].engine
    if engine.channel_of(session_id) != _channel(kit_id):
        raise SessionUnknown("no such session")
    response = await ended(engine, session_id)
    request.app[TRIALS].over(session_id)
    return response


async def upload(request: web.Request) -> web.Response:
    """``PUT /preflight/upload``"""
    kit_id = (await request.app[AUTH].kit(request)).kit_id
    uploading = request.app[TRIALS].uploading
    if kit_id in uploading or len(uploading) >= MAX_UPLOADS:
        headers = {"Retry-After": str(_UPLOAD_AGAIN_S), "Connection": "close"}
        raise web.HTTPServiceUnavailable(text="another upload is being timed; try again", headers=headers)
    uploading.add(kit_id)
    try:
        return web.json_response({"bytes": await swallow_body(request, MAX_UPLOAD_BYTES, UPLOAD_S)})
    finally:
        uploading.discard(kit_id)


def _channel(kit_id: str) -> str:
    """No class has such an id, so no link leads here."""
    return f"preflight-{kit_id}"
