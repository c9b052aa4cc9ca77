"""A relay's web side, really served on loopback over a real SQLite file, with a kit that signs its own tokens."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.archive.archive import Archive
from relay.archive.local import LocalFiles
from relay.classroom.live import Moment
from relay.classroom.rate import GuessLimit
from relay.classroom.registry import LiveRegistry
from relay.clock import moment
from relay.store.database import Database, opened_database
from relay.store.enrolment import Enrolment
from relay.store.keeping import Keeping
from relay.store.lesson_log import LessonLog
from relay.store.office import Issued, Office
from relay.store.recordings import RecordingRows
from relay.store.register import RegisterReader, ensure_relay_id
from relay.store.stills import StillFolder
from relay.web.app import build_app, runner_of
from relay.web.context import Relay
from relay.web.ice_servers import IceServers
from relay.web.metrics import Metrics
from tests.relay.web.recording_engine import RecordingEngine
from wire import messages
from wire.token import mint

WAIT_S = 10.0
NO_ICE_SERVERS = IceServers()
LESSON = "1e" * 16


@dataclass
class Clock:
    """The real time, shifted."""

    shift_s: float = 0.0

    def __call__(self) -> Moment:
        now = moment()
        return Moment(now.s + self.shift_s, now.unix_ms + round(self.shift_s * 1000))


class Reachable(Protocol):
    """A relay that answers somewhere, in this process or another."""

    @property
    def url(self) -> str: ...
    @property
    def http(self) -> aiohttp.ClientSession: ...


@dataclass
class Served:
    """What tests work with."""

    url: str
    http: aiohttp.ClientSession
    app: web.Application
    runner: web.AppRunner
    engine: RecordingEngine
    relay: Relay
    database: Database
    office: Office
    clock: Clock
    class_id: str
    link: str
    log: LessonLog

    async def code(self) -> str:
        """A fresh enrol code for room 12."""
        return (await self.office.issue_code("12", "7Б", None, self.clock().unix_ms, 3600)).secret

    async def stream_key(self) -> Issued:
        """A fresh stream key for room 12."""
        return await self.office.issue_stream_key("12", "7Б", None, self.clock().unix_ms, 3600)

    async def kit(self) -> TokenKit:
        """A kit that enrolled in room 12 over HTTP."""
        return await enrolled(self.http, self.url, await self.code())

    async def notice(self) -> None:
        """What ``relay/app.py`` does every second."""
        await self.relay.registers.current()
        self.relay.live.tick()

    async def text(self, path: str) -> str:
        """GET, as text."""
        async with self.http.get(self.url + path) as response:
            return await response.text()


@dataclass
class TokenKit:
    """A kit's identity."""

    key: Ed25519PrivateKey
    kit_id: str
    relay_id: str

    def token(self, method: str, path: str, lesson_id: str | None = LESSON, **change: Any) -> str:
        """A token for one request; ``change`` makes it a wrong one."""
        claims: dict[str, Any] = {
            "kit_id": self.kit_id,
            "relay_id": self.relay_id,
            "method": method,
            "path": path,
            "now_unix_s": int(time.time()),
            "lesson_id": lesson_id,
        }
        return mint(change.pop("key", self.key), **{**claims, **change})

    def bearer(self, method: str, path: str, lesson_id: str | None = LESSON, **change: Any) -> dict[str, str]:
        """The header with it."""
        return {"Authorization": f"Bearer {self.token(method, path, lesson_id, **change)}"}


def public_key(key: Ed25519PrivateKey) -> str:
    """As in ``POST /api/enrol``."""
    return base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()


@asynccontextmanager
async def served(folder: Path, ice_servers: IceServers = NO_ICE_SERVERS) -> AsyncIterator[Served]:
    """A relay with a school, a class and a room, until the context ends."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_database("", folder))
        await ensure_relay_id(database)
        office, metrics, clock, engine = Office(database), Metrics(), Clock(), RecordingEngine()
        await office.add_school("Школа № 7")
        _, made = await office.add_class("7Б", None)
        registers = RegisterReader(database, metrics)
        stack.push_async_callback(registers.close)
        log = LessonLog(database, metrics)
        stack.push_async_callback(_cancelled, asyncio.create_task(log.run(), name="lesson log"))
        live = LiveRegistry(engine, log, clock)
        registers.follow(live.note_register)
        await registers.open()
        stack.callback(engine.subscribe(live.media_changed))
        metrics.engine(engine.counters)
        rows, files = RecordingRows(database), LocalFiles(folder / "recordings")
        archive = Archive(rows, files, clock, metrics)
        archive.follow(lambda found: live.recorded(found.class_id, found.lesson_id, found.started_unix_us // 1000))
        relay = Relay(
            registers=registers,
            enrolling=Enrolment(database),
            stills=StillFolder(folder / "stills"),
            archive=archive,
            recordings=rows,
            keeping=Keeping(database, 14),
            engine=engine,
            live=live,
            metrics=metrics,
            clock=clock,
            guesses=GuessLimit(per_address=(3, 0.1)),
            ice_servers=ice_servers,
        )
        app = build_app(relay)
        runner = runner_of(app)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S)))
        yield Served(url, http, app, runner, engine, relay, database, office, clock, made.class_id, made.link, log)


async def enrolled(http: aiohttp.ClientSession, url: str, code: str) -> TokenKit:
    """A kit that enrols with this code over HTTP."""
    key = Ed25519PrivateKey.generate()
    body = {"code": code, "public_key": public_key(key), "software": "parta-kit test"}
    async with http.post(f"{url}/api/enrol", json=body) as response:
        assert response.status == 201, await response.text()
        told = await response.json()
    return TokenKit(key, told["kit_id"], told["relay_id"])


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def control(relay: Reachable, kit: TokenKit) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """The kit's control connection, before hello."""
    headers = kit.bearer("GET", "/control", None)
    async with relay.http.ws_connect(f"{relay.url}/control", headers=headers) as socket:
        yield socket


@asynccontextmanager
async def welcomed(relay: Reachable, kit: TokenKit) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """The kit's control connection, after welcome."""
    async with control(relay, kit) as socket:
        await say(socket, messages.Hello(versions=messages.VERSIONS, software="test"))
        assert isinstance(await hear(socket), messages.Welcome)
        yield socket


async def say(socket: aiohttp.ClientWebSocketResponse, message: messages.FromKit) -> None:
    """Send a message."""
    await socket.send_str(messages.encode(message))


async def hear(socket: aiohttp.ClientWebSocketResponse) -> messages.FromRelay:
    """The next message."""
    frame = await socket.receive(WAIT_S)
    assert frame.type is aiohttp.WSMsgType.TEXT, frame
    message = messages.decode_from_relay(frame.data)
    assert message is not None
    return message


async def hear_close(socket: aiohttp.ClientWebSocketResponse) -> int:
    """Wait for the close; its code."""
    while True:
        frame = await socket.receive(WAIT_S)
        if frame.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}:
            assert socket.close_code is not None
            return socket.close_code


def lesson_status(state: messages.KitState = "live", lesson_id: str | None = LESSON) -> messages.KitStatus:
    """A status with a lesson that began just now."""
    ref = None
    if lesson_id is not None:
        ref = messages.LessonRef(lesson_id=lesson_id, started_unix_ms=int(time.time() * 1000) - 1000)
    return messages.KitStatus(state=state, tally="connecting", lesson=ref)
