"""The simulated panel's server: the page, the buttons by HTTP, the status as JSON and as server-sent events.

The contract is docs/protocol.md. Not here: what a press means (``gestures.py``), who may press (``page_guard.py``).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from appliance.errors import PanelUnavailable
from appliance.hw.base import BUTTONS, Edge, Face, NoBuzzer
from appliance.hw.simulated.status import status
from appliance.page_guard import add_headers, guard, page_file
from appliance.page_port import take_port, why_not

PAGE = Path(__file__).parent / "page"
STATUS_AT_LEAST_EVERY_S = 1.0  # docs/protocol.md; also shows a dead kit to the page
MAX_LISTENERS = 32  # pages open at once; more is a script gone wrong
STOP_CONNECTIONS_S = 0.5  # streams end by themselves when told; this is for a client that stopped reading


class SimulatedPanel:
    """``panel.kind = "simulated"``."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    @asynccontextmanager
    async def open(self, on_edge: Callable[[Edge], None]) -> AsyncIterator[PanelServer]:
        """Serve the panel. Raises ``PanelUnavailable`` where the address cannot be had."""
        server = PanelServer(self._host, on_edge)
        runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=STOP_CONNECTIONS_S)
        try:
            await runner.setup()
            try:
                await take_port(runner, self._host, self._port)
            except OSError as error:
                raise PanelUnavailable(why_not("panel", self._host, self._port, error)) from error
            yield server
        finally:
            server.switch_off()
            await runner.cleanup()


class PanelServer:
    """An open simulated panel: knows the newest face, and tells every listener."""

    buzzer = NoBuzzer()

    def __init__(self, host: str, on_edge: Callable[[Edge], None]) -> None:
        self._on_edge = on_edge
        self._face = Face()
        self._changed = asyncio.Event()
        self._off = False
        self._listeners = 0
        self.app = web.Application(middlewares=[guard(host, "the panel")], client_max_size=1024)
        self.app.on_response_prepare.append(add_headers)
        self.app.router.add_get("/", page_file(PAGE / "panel.html"))
        for name in ("panel.css", "box.css", "panel.js", "words.js", "icon.svg"):
            self.app.router.add_get(f"/page/{name}", page_file(PAGE / name))
        self.app.router.add_post("/panel/buttons/{button}/{edge}", self._button)
        self.app.router.add_get("/status", self._status)
        self.app.router.add_get("/events", self._events)

    def show(self, face: Face) -> None:
        """Show ``face`` from now on."""
        self._face = face
        self._tell()

    def switch_off(self) -> None:
        """End the streams of events; the pages say that the kit is off."""
        self._off = True
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _button(self, request: web.Request) -> web.Response:
        button, edge = request.match_info["button"], request.match_info["edge"]
        if button not in BUTTONS or edge not in ("press", "release"):
            raise web.HTTPNotFound(text=f"buttons are {', '.join(BUTTONS)}; each takes press and release\n")
        self._on_edge(Edge(button, edge == "press", time.monotonic()))
        return web.Response(status=204)

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(status(self._face))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._listeners >= MAX_LISTENERS:
            raise web.HTTPServiceUnavailable(text="too many pages are open\n", headers={"Retry-After": "5"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        self._listeners += 1
        try:
            await response.prepare(request)
            await self._stream(response)
        except ConnectionResetError:
            pass  # the page was closed; there is nobody to tell
        finally:
            self._listeners -= 1
        return response

    async def _stream(self, response: web.StreamResponse) -> None:
        while not self._off:
            changed = self._changed  # taken before the write, so that a change meanwhile is not missed
            await response.write(f"event: status\ndata: {json.dumps(status(self._face))}\n\n".encode())
            try:
                async with asyncio.timeout(STATUS_AT_LEAST_EVERY_S):
                    await changed.wait()
            except TimeoutError:
                continue  # nothing changed: say it again, the clock has moved
        await response.write(b"event: off\ndata: {}\n\n")
