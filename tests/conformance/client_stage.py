"""A WHIP client on the stage: run in a few scenes against a server that writes down what it is asked.

The server is ``tests/appliance/stream/whip_server.py``: real HTTP, and aiortc as the peer. Here is what happens to the
client; what is to be seen in it says ``whip_client.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from tests.appliance.stream.whip_server import Answering, Asked, WhipServer, whip_server

TOKEN = "conformance-token"
CONNECT_S = 15.0
STOP_S = 10.0
RETRY_AFTER_S = 1
BACK_S = 4.0  # a client that was asked to wait one second and is not back by then has given up
WATCH_S = 1.0  # how long it is counted what a client does after an answer that it does not know
EXTENSION = '<https://conformance.example/x>; rel="urn:ietf:params:whip:ext:conformance"'
ELSEWHERE = "localhost"  # another name of this machine: another host, as far as tokens go


class Client(Protocol):
    """A WHIP client that can be told to start and to stop."""

    def publishing(self, url: str, token: str) -> AbstractAsyncContextManager[None]:
        """Publish for the length of the context, and have stopped at its end."""
        ...


@dataclass(frozen=True)
class CommandClient:
    """Any program. Words may hold ``{url}`` and ``{token}``; it stops when its standard input ends."""

    words: Sequence[str]

    @asynccontextmanager
    async def publishing(self, url: str, token: str) -> AsyncIterator[None]:
        words = [word.replace("{url}", url).replace("{token}", token) for word in self.words]
        silent = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=silent, stderr=silent
        )
        try:
            yield
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.communicate(b""), STOP_S)
            if process.returncode is None:
                process.kill()
                await process.wait()


@dataclass(frozen=True)
class Scene:
    """What came of one run: the requests, whether media connected, and how many sessions were made."""

    asked: list[Asked]
    connected: bool
    sessions: int

    def of(self, method: str) -> list[Asked]:
        """The requests of one method."""
        return [asked for asked in self.asked if asked.method == method]


@dataclass
class Stage:
    """One client, and its scenes; each is run once. ``trickles_s``: how long candidates are waited for."""

    client: Client
    trickles_s: float = 0.0
    scenes: dict[str, Scene] = field(default_factory=dict)

    async def plain(self) -> Scene:
        """Publish, connect, stop. Location is relative, and the 201 has a Link of an unknown kind."""
        headers = {"Location": "sessions/1", "ETag": '"one"', "Link": EXTENSION}

        async def stay(server: WhipServer) -> bool:
            connected = await _connected(server)
            await asyncio.sleep(self.trickles_s)
            return connected

        return await self._scene("plain", stay, headers=headers)

    async def absolute(self) -> Scene:
        """The Location is a whole address, on another path."""
        headers = {"Location": "http://127.0.0.1:{port}/elsewhere/1"}
        return await self._scene("absolute", _connected, headers=headers)

    async def redirected(self) -> Scene:
        """307 to another path of the same host."""
        return await self._scene("redirected", _connected, answering=_redirect("127.0.0.1"))

    async def sent_away(self) -> Scene:
        """307 to another host."""
        return await self._scene("sent away", _back, answering=_redirect(ELSEWHERE))

    async def busy(self, status: int) -> Scene:
        """The first POST is answered that the server is busy, with a Retry-After."""
        answering = _first(status, {"Retry-After": str(RETRY_AFTER_S)})
        return await self._scene(f"busy {status}", _back, answering=answering)

    async def odd(self, status: int) -> Scene:
        """Every POST gets a status that nobody has heard of."""

        async def watch(server: WhipServer) -> bool:
            await asyncio.sleep(WATCH_S)
            return bool(server.sessions)

        return await self._scene(f"odd {status}", watch, answering=_always(status))

    async def _scene(
        self,
        name: str,
        until: Callable[[WhipServer], Awaitable[bool]],
        *,
        answering: Answering | None = None,
        headers: dict[str, str] | None = None,
    ) -> Scene:
        if name not in self.scenes:
            async with whip_server(answering=answering, headers=headers or {}) as server:
                async with self.client.publishing(server.url, TOKEN):
                    connected = await until(server)
                self.scenes[name] = Scene(list(server.asked), connected, len(server.sessions))
        return self.scenes[name]


async def _connected(server: WhipServer) -> bool:
    try:
        await server.session(1, CONNECT_S)
    except TimeoutError:
        return False
    return True


async def _back(server: WhipServer) -> bool:
    """Wait for a second POST."""
    with suppress(TimeoutError):
        async with asyncio.timeout(BACK_S):
            while sum(asked.method == "POST" for asked in server.asked) < 2:
                server.progress.clear()
                await server.progress.wait()
    return bool(server.sessions)


def _redirect(host: str) -> Answering:
    async def answer(request: web.Request) -> web.StreamResponse | None:
        if (request.method, request.path) != ("POST", "/whip"):
            return None
        return web.Response(status=307, headers={"Location": f"http://{host}:{request.url.port}/moved"})

    return answer


def _first(status: int, headers: dict[str, str]) -> Answering:
    answered: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse | None:
        if request.method != "POST" or answered:
            return None
        answered.append(status)
        return web.Response(status=status, text="come again", headers=headers)

    return answer


def _always(status: int) -> Answering:
    async def answer(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=status, text="unheard of") if request.method == "POST" else None

    return answer
