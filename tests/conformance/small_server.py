"""A WHIP and WHEP server of nothing but the relay's engine and its answers, which can be spoilt in one way at a time.

It has no database and knows one token, so that a hundred of them cost a test run a second. Who uses it: the tests of
the suites beside it, which have to see each duty kept, and each broken.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from yarl import URL

from relay.engines.base import Engine
from relay.engines.embedded import EmbeddedEngine, InProcess
from relay.errors import RelayError
from relay.web import sessions
from relay.web.answers import CORS_HEADERS, RETRY_AFTER_S
from tests.conformance.endpoint import Endpoint
from tests.conformance.offers import Direction

TOKEN = "small-server"
MAX_SESSIONS = 3
Spoil = Callable[[web.Request, web.Response], web.Response]


@dataclass
class SmallServer:
    """One endpoint, ``/media``. ``spoil`` has the last word on every answer."""

    engine: Engine
    direction: Direction
    spoil: Spoil
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def app(self) -> web.Application:
        """What serves."""
        app = web.Application(middlewares=[self._answer])
        app.add_routes(
            [
                web.post("/media", self._open),
                web.get("/media", sessions.endpoint_look),
                web.options("/media", sessions.endpoint_options),
                web.get("/media/{session}", self._look),
                web.patch("/media/{session}", self._patch),
                web.delete("/media/{session}", self._end),
            ]
        )
        return app

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if (
                request.method in {"POST", "PATCH", "DELETE"}
                and request.headers.get("Authorization") != f"Bearer {TOKEN}"
            ):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
            response = await handler(request)
        except RelayError as error:
            response = web.Response(status=error.status, text=str(error))
            if error.status in {409, 503}:
                response.headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_S)
        except web.HTTPException as error:
            response = web.Response(status=error.status, text=error.text)
            if hdrs.WWW_AUTHENTICATE in error.headers:
                response.headers[hdrs.WWW_AUTHENTICATE] = error.headers[hdrs.WWW_AUTHENTICATE]
        assert isinstance(response, web.Response)
        response.headers.update(CORS_HEADERS)
        return self.spoil(request, response)

    async def _open(self, request: web.Request) -> web.Response:
        offer = await sessions.read_offer(request)
        if self.direction == "sendonly":
            answer = await self.engine.publish(f"class {next(self.numbers)}", "publisher", offer)
        else:
            answer = await self.engine.watch("class", offer)
        return sessions.created(answer, f"/media/{answer.session_id}")

    async def _look(self, request: web.Request) -> web.Response:
        self.engine.channel_of(request.match_info["session"])
        return web.Response()

    async def _patch(self, request: web.Request) -> web.Response:
        return await sessions.patched(request, self.engine, request.match_info["session"])

    async def _end(self, request: web.Request) -> web.Response:
        return await sessions.ended(self.engine, request.match_info["session"])


@asynccontextmanager
async def small_server(direction: Direction, spoil: Spoil = lambda _, response: response) -> AsyncIterator[Endpoint]:
    """A running server, as a suite asks it."""
    engine = InProcess(EmbeddedEngine(port=0, host="127.0.0.1", max_sessions=MAX_SESSIONS))
    await engine.start()
    runner = web.AppRunner(SmallServer(engine, direction, spoil).app())
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = URL(f"http://127.0.0.1:{runner.addresses[0][1]}/media")
        async with aiohttp.ClientSession() as http:
            yield Endpoint(url=url, http=http, direction=direction, token=TOKEN)
    finally:
        await runner.cleanup()
        await engine.close()
