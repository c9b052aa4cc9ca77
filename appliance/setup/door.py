"""The way in: the PIN asked for, the session's cookie, and the middleware that stands before everything else.

Not here: how often one may guess and how long a session lasts (``gate.py``), and the check against foreign pages
(``page_guard.py``), which comes first.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from appliance.errors import KitError
from appliance.setup.gate import Guesses, Sessions
from appliance.setup.pin import is_pin, is_right, new_pin, set_pin, spoken, stored_pin

COOKIE = "parta_setup"
API = "/api/"

T = TypeVar("T")
log = logging.getLogger(__name__)


class _Entry(msgspec.Struct, frozen=True):
    pin: str


class Refusal(web.HTTPException):
    """An answer that the page understands: ``why`` is a stable key, ``told`` is for people."""

    def __init__(self, status: int, why: str, told: str = "", *, wait_s: float = 0.0) -> None:
        self.status_code = status
        body = msgspec.json.encode({"why": why, "told": told, "wait_s": math.ceil(wait_s)}).decode()
        headers = {"Retry-After": str(math.ceil(wait_s))} if wait_s else None
        super().__init__(text=body, content_type="application/json", headers=headers)


class Door:
    """The one that all of the page's requests go through."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._guesses = Guesses()
        self._sessions = Sessions()
        self._hashing = asyncio.Lock()  # a hash takes 16 MiB: one at a time

    async def prepare(self) -> str | None:
        """Make a PIN where there is none; the PIN, once, for the console. Raises ``StateUnusable``."""
        if await asyncio.to_thread(stored_pin, self._state_dir) is not None:
            return None
        pin = new_pin()
        await asyncio.to_thread(set_pin, self._state_dir, pin)
        return spoken(pin)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in to the API who has a session; the page itself holds nothing."""
        is_knock = (request.path, request.method) == ("/api/session", "POST")
        guarded = request.path.startswith(API) and not is_knock
        if guarded and not await self.is_in(request, uses=request.method != "GET"):
            raise Refusal(401, "out")
        return await handler(request)

    async def is_in(self, request: web.Request, *, uses: bool) -> bool:
        """Whether the request's session holds. A person's doing keeps it, a page's own questions don't."""
        name = request.cookies.get(COOKIE, "")
        if not name:
            return False
        try:
            kept = await asyncio.to_thread(stored_pin, self._state_dir)
        except KitError as error:
            raise Refusal(500, "state_unusable", str(error)) from error
        return kept is not None and self._sessions.is_in(name, kept.salt, time.monotonic(), uses=uses)

    async def enter(self, request: web.Request) -> web.Response:
        """``POST /api/session``"""
        address = request.remote or ""
        wait_s = self._guesses.wait_s(address, time.monotonic())
        if wait_s > 0 or self._hashing.locked():
            raise Refusal(429, "wait", wait_s=wait_s or 1.0)
        pin = (await read_json(request, _Entry)).pin.replace(" ", "")
        async with self._hashing:
            salt = await self._salt_if_right(pin)
        if salt is None:
            self._guesses.failed(address, time.monotonic())
            log.warning("setup page: a wrong PIN from %s", address)
            raise Refusal(403, "wrong_pin", wait_s=self._guesses.wait_s(address, time.monotonic()))
        self._guesses.passed(address)
        log.info("setup page: %s is in", address)
        response = web.Response(status=204)
        name = self._sessions.begin(salt, time.monotonic())
        response.set_cookie(COOKIE, name, path=API, httponly=True, samesite="Strict")
        return response

    async def leave(self, request: web.Request) -> web.Response:
        """``DELETE /api/session``"""
        self._sessions.end(request.cookies.get(COOKIE, ""))
        response = web.Response(status=204)
        response.del_cookie(COOKIE, path=API)
        return response

    async def _salt_if_right(self, pin: str) -> str | None:
        if not is_pin(pin):
            return None
        try:
            kept = await asyncio.to_thread(stored_pin, self._state_dir)
        except KitError as error:
            raise Refusal(500, "state_unusable", str(error)) from error
        if kept is None or not await asyncio.to_thread(is_right, kept, pin):
            return None
        return kept.salt


async def read_json(request: web.Request, form: type[T]) -> T:
    """The request's body. Raises ``Refusal``."""
    if request.content_type != "application/json":
        raise Refusal(415, "bad_request", "JSON is spoken here")
    try:
        return msgspec.json.decode(await request.read(), type=form)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal(400, "bad_request", str(error)) from error
