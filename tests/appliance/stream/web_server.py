"""A plain HTTP server for the tests of ``appliance/stream``: one handler, and the requests that it had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request."""

    method: str
    url: str
    token: str | None
    headers: dict[str, str]
    body: bytes


@dataclass
class WebServer:
    """Where it listens, and what it was asked."""

    url: str
    http: aiohttp.ClientSession
    asked: list[Asked] = field(default_factory=list)
    progress: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(10):
            while len(self.asked) < times:
                self.progress.clear()
                await self.progress.wait()


async def until(reached: Callable[[], bool]) -> None:
    """For what has no event: look again after each turn of the loop."""
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0)


@asynccontextmanager
async def web_server(handle: Handler) -> AsyncIterator[WebServer]:
    """A server on loopback, and an HTTP session to ask it with."""
    app = web.Application(client_max_size=16 * 1024 * 1024)

    async def record(request: web.Request) -> web.StreamResponse:
        body = b"" if request.headers.get("Upgrade") else await request.read()
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or None
        server.asked.append(Asked(request.method, str(request.url), token, dict(request.headers), body))
        server.progress.set()
        return await handle(request)

    app.router.add_route("*", "/{tail:.*}", record)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession() as http:
        server = WebServer(f"http://127.0.0.1:{runner.addresses[0][1]}", http)
        try:
            yield server
        finally:
            await runner.cleanup()


class CountingBearer:
    """Each token says what it is for, and which one it is."""

    def __init__(self, *, learns: bool = False) -> None:
        self.minted = 0
        self.learns = learns
        self.dates: list[str] = []

    def authorise(self, method: str, path: str, lesson_id: str | None = None) -> str:
        self.minted += 1
        return f"{method} {path} {lesson_id} {self.minted}"

    def learn_time(self, date: str) -> bool:
        self.dates.append(date)
        return self.learns
