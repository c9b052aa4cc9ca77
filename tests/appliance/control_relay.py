"""The relay's control side, scripted by a test: enrolment, control channel, stills.

Media is another server's: ``/whip`` redirects to ``media_url`` (RFC 9725 §4.4.5), or is full without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from wire.messages import Command, Delivery, FromRelay, Hello, KitStatus, Welcome, decode_from_kit, encode

CODE = "КЛАСС-7Б"
WITHIN_S = 15


@dataclass
class ControlRelay:
    """What a kit told, and the means to tell it something."""

    statuses: list[KitStatus] = field(default_factory=list)
    stills: dict[str, bytes] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)
    hellos: list[Hello] = field(default_factory=list)
    media_url: str = ""
    _sockets: list[web.WebSocketResponse] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, holds: Callable[[ControlRelay], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds(self):
                self._changed.clear()
                await self._changed.wait()

    async def tell(self, message: FromRelay) -> None:
        """Send a message to the kit."""
        await self.until(lambda relay: bool(relay._sockets))
        await self._sockets[-1].send_str(encode(message))

    async def deliver(self, *, on_air: bool, viewers: int = 1) -> None:
        """Say what pupils get of the lesson that the kit is in."""
        lesson_id = await self.lesson_id()
        await self.tell(
            Delivery(
                lesson_id=lesson_id,
                on_air=on_air,
                picture_fresh=on_air,
                sound_fresh=on_air,
                viewers=viewers,
                viewers_receiving=viewers if on_air else 0,
            )
        )

    async def end_lesson(self) -> None:
        """Command the end of the lesson that the kit is in."""
        await self.tell(Command(kind="end_lesson", lesson_id=await self.lesson_id(), reason="the test wants it"))

    async def lesson_id(self) -> str:
        """The lesson that the kit says it is in."""
        await self.until(lambda relay: bool(relay.statuses) and relay.statuses[-1].lesson is not None)
        lesson = self.statuses[-1].lesson
        assert lesson is not None
        return lesson.lesson_id

    def application(self) -> web.Application:
        app = web.Application(client_max_size=9 * 1024 * 1024)
        app.router.add_post("/api/enrol", self._enrol)
        app.router.add_get("/control", self._control)
        app.router.add_put("/api/lessons/{lesson}/stills/{capture_us}", self._still)
        app.router.add_post("/whip", self._whip)
        return app

    async def _enrol(self, request: web.Request) -> web.Response:
        code = (await request.json())["code"]
        self.codes.append(code)
        if code != CODE or len(self.codes) > 1:
            return web.json_response({"error": "bad_code", "reason": "unknown, used or expired"}, status=403)
        enrolled = {"kit_id": "ab" * 16, "relay_id": "relay", "school": "7", "room": "12", "class_name": "7Б"}
        return web.json_response({**enrolled, "class_path": "/c/first"}, status=201)

    async def _control(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            message = decode_from_kit(frame.data)
            if isinstance(message, Hello):
                self.hellos.append(message)
                welcome = Welcome(version=1, school="7", room="12", class_name="7Б", class_path="/c/rotated")
                await socket.send_str(encode(welcome))
                self._sockets.append(socket)
            elif isinstance(message, KitStatus):
                self.statuses.append(message)
            self._changed.set()
        self._sockets.remove(socket)
        return socket

    async def _still(self, request: web.Request) -> web.Response:
        self.stills["{lesson}/{capture_us}".format(**request.match_info)] = await request.read()
        self._changed.set()
        return web.Response(status=201)

    async def _whip(self, _request: web.Request) -> web.Response:
        if self.media_url:
            return web.Response(status=307, headers={"Location": self.media_url})
        return web.Response(status=503, text="full", headers={"Retry-After": "60"})


@asynccontextmanager
async def control_relay(port: int) -> AsyncIterator[ControlRelay]:
    """A scripted relay on loopback."""
    relay = ControlRelay()
    runner = web.AppRunner(relay.application(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield relay
    finally:
        for socket in list(relay._sockets):
            await socket.close()
        await runner.cleanup()
