"""The setup page's routes (docs/protocol.md). Not here: who may use them (``door.py``) and what is behind them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from aiohttp import web

from appliance.capture.base import Camera
from appliance.errors import KitError
from appliance.identity import Credentials
from appliance.overrides import Overrides
from appliance.page_guard import add_headers, guard, page_file
from appliance.settings import KitSettings, RelaySection
from appliance.setup import crop as crops
from appliance.setup.checks import Checks
from appliance.setup.crop import Share
from appliance.setup.door import Door, Refusal, read_json
from appliance.setup.kept import KeptSettings
from appliance.setup.preview import Preview
from appliance.setup.recent_log import RecentLog
from appliance.setup.stage import Devices, Stage, Way
from appliance.setup.status import StatusReader, shown
from config.strict_toml import ConfigurationError

PAGE = Path(__file__).parent / "page"
FILES = ("setup.css", "setup.js", "crop.js", "checks.js", "words.js", "icon.svg")
MAX_BODY_BYTES = 4096
MAX_LISTENERS = 8
#: A level meter wants to move; a page that only waits does not.
MOVES_EVERY_S, RESTS_EVERY_S = 0.2, 0.5
#: A page asks again at once; this long it may take for a camera to give its first picture.
PICTURE_S = 3.0

Enrol = Callable[[RelaySection, str, Path], Awaitable[Credentials]]
log = logging.getLogger(__name__)


class _Wanted(msgspec.Struct, frozen=True):
    open: bool


class _Crop(msgspec.Struct, frozen=True):
    crop: Share


class _Relay(msgspec.Struct, frozen=True):
    url: str
    code: str


class SetupServer:
    """The application, and what its requests do."""

    def __init__(
        self,
        settings: KeptSettings,
        door: Door,
        preview: Preview,
        checks: Checks,
        recent: RecentLog,
        *,
        stage: Stage,
        devices: Devices,
        way: Way,
        new_camera: Callable[[KitSettings], Camera],
        enrol: Enrol,
    ) -> None:
        self._settings = settings
        self._door = door
        self._preview = preview
        self._checks = checks
        self._recent = recent
        self._stage = stage
        self._devices = devices
        self._way = way
        self._new_camera = new_camera
        self._enrol = enrol
        self._status = StatusReader(settings, preview, checks, stage, devices, way)
        self._checking: asyncio.Task[None] | None = None
        self._listeners = 0
        self._closing = asyncio.Event()
        self.app = web.Application(
            middlewares=[guard(settings.now.setup.host, "the setup page"), door.middleware],
            client_max_size=MAX_BODY_BYTES,
        )
        self.app.on_response_prepare.append(add_headers)
        self.app.add_routes(self._routes())

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", page_file(PAGE / "setup.html")),
            *(web.get(f"/page/{name}", page_file(PAGE / name)) for name in FILES),
            web.post("/api/session", self._door.enter),
            web.delete("/api/session", self._door.leave),
            web.get("/api/status", self._get_status),
            web.get("/api/events", self._events, allow_head=False),
            web.put("/api/preview", self._put_preview),
            web.get("/api/preview/picture", self._picture, allow_head=False),
            web.put("/api/crop", self._put_crop),
            web.put("/api/relay", self._put_relay),
            web.post("/api/checks", self._check),
            web.get("/api/log", self._log),
        ]

    async def close(self) -> None:
        """End the streams and whatever is being checked."""
        self._closing.set()
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])

    async def _get_status(self, _request: web.Request) -> web.Response:
        return web.json_response(self._status.read(asyncio.get_running_loop().time()))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._listeners >= MAX_LISTENERS:
            raise Refusal(503, "busy", wait_s=5)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        self._listeners += 1
        try:
            await response.prepare(request)
            await self._stream(request, response)
        except ConnectionResetError:
            pass  # the page was closed
        finally:
            self._listeners -= 1
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse) -> None:
        while not self._closing.is_set():
            if not await self._door.is_in(request, uses=False):
                await response.write(b"event: out\ndata: {}\n\n")
                return
            status = self._status.read(asyncio.get_running_loop().time())
            await response.write(f"event: status\ndata: {json.dumps(status)}\n\n".encode())
            moves = status["sound"] is not None or status["checks"]["running"] or status["state"] == "preview"
            try:
                async with asyncio.timeout(MOVES_EVERY_S if moves else RESTS_EVERY_S):
                    await self._closing.wait()
            except TimeoutError:
                continue

    async def _put_preview(self, request: web.Request) -> web.Response:
        wanted = (await read_json(request, _Wanted)).open
        if self._stage.preview(wanted) is not wanted:
            raise Refusal(409, "lesson" if self._stage.lesson.phase != "idle" else "busy")
        return web.Response(status=204)

    async def _picture(self, request: web.Request) -> web.Response:
        if self._stage.lesson.preview != "open":
            raise Refusal(409, "closed")
        after = request.query.get("after", "0")
        self._preview.looked()
        sight = await self._preview.next(int(after) if after.isdecimal() and len(after) < 12 else 0, PICTURE_S)
        if sight is None:
            if self._stage.lesson.preview != "open":
                raise Refusal(409, "closed")
            return web.Response(status=204)
        figures = {"X-Parta-Number": str(sight.number), "X-Parta-Sharpness": f"{sight.sharpness:.2f}"}
        return web.Response(body=sight.jpeg, content_type="image/jpeg", headers=figures)

    async def _put_crop(self, request: web.Request) -> web.Response:
        drawn = (await read_json(request, _Crop)).crop
        left, top, width, height = drawn
        if not (
            min(left, top) >= 0 and min(width, height) >= crops.SMALLEST and max(left + width, top + height) <= 1.001
        ):
            raise Refusal(422, "crop", "left, top, width and height in shares of the preview")
        if self._preview.newest is None:
            raise Refusal(409, "closed", "a crop is drawn on what the camera sees: open the preview")
        camera = self._settings.now.camera
        inside = crops.to_sensor(crops.turned(drawn, camera.rotation, camera.flip), shown(camera, self._preview))
        await self._change({"camera": {"crop": inside}})
        self._devices.use_camera(await asyncio.to_thread(self._new_camera, self._settings.now))
        log.info("setup page: camera.crop is %s", list(inside))
        return web.Response(status=204)

    async def _put_relay(self, request: web.Request) -> web.Response:
        asked = await read_json(request, _Relay)
        if self._stage.lesson.phase != "idle":
            raise Refusal(409, "lesson")
        changes = {"relay": {"url": asked.url.strip(), "enrol_code": ""}}
        try:
            relay = self._settings.with_these(changes).relay
            found = await self._enrol(relay, asked.code.strip(), self._settings.state_dir)
        except (KitError, ConfigurationError) as error:
            raise Refusal(422, getattr(error, "key", "settings"), str(error)) from error
        await self._change(changes)
        self._way.use(relay, found)
        log.info("setup page: enrolled at %s", relay.url)
        return web.Response(status=204)

    async def _change(self, changes: Overrides) -> None:
        try:
            await self._settings.change(changes)
        except (KitError, ConfigurationError) as error:
            raise Refusal(422, getattr(error, "key", "settings"), str(error)) from error

    async def _check(self, _request: web.Request) -> web.Response:
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._checks.run(), name="pre-flight checks")
        return web.Response(status=202)

    async def _log(self, _request: web.Request) -> web.Response:
        headers = {"Content-Disposition": 'attachment; filename="parta-kit.log"'}
        return web.Response(text=self._recent.text(), headers=headers)
