"""The control channel against a real WebSocket server: what it says, what it hears, and that it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from appliance.stream.control import ControlChannel
from tests.appliance.stream.web_server import CountingBearer, WebServer, until, web_server
from wire import messages
from wire.messages import Command, Delivery, FromKit, Hello, KitStatus, LessonRef, Welcome

LESSON_ID = "01" * 16
WELCOME = Welcome(version=1, school="Школа", room="12", class_name="7Б", class_path="/c/AAAAAAAAAAAAAAAAAAAAAA")
DELIVERY = Delivery(
    lesson_id=LESSON_ID, on_air=True, picture_fresh=True, sound_fresh=True, viewers=2, viewers_receiving=2
)
COMMAND = Command(kind="end_lesson", lesson_id=LESSON_ID)
IDLE = KitStatus(state="idle", tally="off")
LIVE = KitStatus(state="live", tally="on_air", lesson=LessonRef(lesson_id=LESSON_ID, started_unix_ms=1))

Talk = Callable[["RelayEnd"], Awaitable[None]]


class RelayEnd:
    """The relay's end of one connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket

    async def hear(self) -> FromKit:
        async with asyncio.timeout(10):
            message = messages.decode_from_kit(await self.socket.receive_str())
        assert message is not None
        return message

    async def welcome(self) -> Hello:
        hello = await self.hear()
        assert isinstance(hello, Hello)
        await self.say(WELCOME)
        return hello

    async def say(self, message: Any) -> None:
        await self.socket.send_str(messages.encode(message))

    async def stay(self) -> None:
        """Until the kit goes."""
        async for _ in self.socket:
            pass


class KitEnd:
    """What the channel's callbacks were given, and the channel."""

    def __init__(self, server: WebServer, bearer: CountingBearer, **settings: Any) -> None:
        self.heard: list[Any] = []
        self._progress = asyncio.Event()
        quick: dict[str, Any] = {"redial_s": (0.01, 0.02), "refused_s": 0.02, "status_every_s": 60.0}
        self.channel = ControlChannel(
            server.url,
            bearer,
            server.http,
            software="parta-kit 0.1.0",
            on_welcome=self._hear,
            on_delivery=self._hear,
            on_command=self._hear,
            on_link=self._hear,
            **(quick | settings),
        )

    def _hear(self, what: Any) -> None:
        self.heard.append(what)
        self._progress.set()

    async def until(self, *wanted: Any) -> None:
        """Until exactly this was heard, in this order."""
        async with asyncio.timeout(10):
            while len(self.heard) < len(wanted):
                self._progress.clear()
                await self._progress.wait()
        assert self.heard == list(wanted)


@asynccontextmanager
async def channel(
    *talks: Talk, bearer: CountingBearer | None = None, status: KitStatus | None = None, **settings: Any
) -> AsyncIterator[tuple[KitEnd, WebServer]]:
    """A channel to a relay that holds each of ``talks`` in turn, and the last again and again."""
    script = list(talks)

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path != "/control":
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await (script.pop(0) if len(script) > 1 else script[0])(RelayEnd(socket))
        return socket

    async with web_server(handle) as server:
        kit = KitEnd(server, bearer or CountingBearer(), **settings)
        if status is not None:
            kit.channel.report(status)
        task = asyncio.create_task(kit.channel.run())
        try:
            yield kit, server
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_the_kit_says_hello_and_its_state_and_hears_the_relay() -> None:
    said: list[FromKit] = []

    async def talk(relay: RelayEnd) -> None:
        said.append(await relay.welcome())
        said.append(await relay.hear())
        await relay.say(DELIVERY)
        await relay.say(COMMAND)
        await relay.stay()

    async with channel(talk, status=IDLE) as (kit, server):
        await kit.until(WELCOME, True, DELIVERY, COMMAND)
        assert said == [Hello(versions=(1,), software="parta-kit 0.1.0"), IDLE]
        assert server.asked[0].token == "GET /control None 1"
    assert kit.heard[-1] is False, "the link is down after the end"


async def test_a_change_is_reported_at_once_and_the_same_state_is_not() -> None:
    said: list[FromKit] = []
    heard_live = asyncio.Event()

    async def talk(relay: RelayEnd) -> None:
        await relay.welcome()
        said.append(await relay.hear())
        kit.channel.report(IDLE)
        kit.channel.report(LIVE)
        said.append(await relay.hear())
        heard_live.set()
        await relay.stay()

    async with channel(talk, status=IDLE) as (kit, _):
        async with asyncio.timeout(10):
            await heard_live.wait()
        assert said == [IDLE, LIVE]


async def test_the_state_is_repeated_though_nothing_changes() -> None:
    said: list[FromKit] = []
    enough = asyncio.Event()

    async def talk(relay: RelayEnd) -> None:
        await relay.welcome()
        said.extend([await relay.hear() for _ in range(3)])
        enough.set()
        await relay.stay()

    async with channel(talk, status=LIVE, status_every_s=0.02):
        async with asyncio.timeout(10):
            await enough.wait()
    assert said == [LIVE] * 3


async def test_broken_frames_and_newer_types_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(relay: RelayEnd) -> None:
        await relay.welcome()
        for frame in ("{", "[]", '{"type": "delivery"}', '{"type": "raised_hand"}', messages.encode(IDLE)):
            await relay.socket.send_str(frame)
        await relay.socket.send_bytes(b"\x00\x01")
        await relay.say(DELIVERY)
        await relay.stay()

    async with channel(talk) as (kit, server):
        await kit.until(WELCOME, True, DELIVERY)
        assert len(server.asked) == 1, "the connection stayed"
    assert caplog.text.count("not a control message") == 3


async def test_a_frame_that_is_too_large_ends_the_connection_and_not_the_kit() -> None:
    async def flood(relay: RelayEnd) -> None:
        await relay.welcome()
        await relay.socket.send_str("x" * (messages.MAX_MESSAGE_BYTES * 2))
        await relay.stay()

    async def talk(relay: RelayEnd) -> None:
        await relay.welcome()
        await relay.stay()

    async with channel(flood, talk) as (kit, _):
        await kit.until(WELCOME, True, False, WELCOME, True)


async def test_a_connection_that_ends_comes_back_and_reports_anew() -> None:
    said: list[FromKit] = []

    async def short(relay: RelayEnd) -> None:
        await relay.welcome()
        said.append(await relay.hear())

    async def long(relay: RelayEnd) -> None:
        await relay.welcome()
        said.append(await relay.hear())
        await relay.stay()

    async with channel(short, short, long, status=LIVE) as (kit, _):
        await kit.until(WELCOME, True, False, WELCOME, True, False, WELCOME, True)
        await until(lambda: len(said) == 3)
    assert said == [LIVE] * 3


async def test_a_link_that_died_silently_is_noticed() -> None:
    over = asyncio.Event()

    async def silent(relay: RelayEnd) -> None:
        await relay.welcome()
        await over.wait()  # reads nothing more, so that no pong goes out

    async def talk(relay: RelayEnd) -> None:
        await relay.welcome()
        await relay.stay()

    async with channel(silent, talk, heartbeat_s=0.1) as (kit, _):
        await kit.until(WELCOME, True, False, WELCOME, True)
        over.set()


async def test_a_relay_without_a_welcome_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def mute(relay: RelayEnd) -> None:
        await relay.stay()

    async def rude(relay: RelayEnd) -> None:
        await relay.hear()
        await relay.say(DELIVERY)

    async def talk(relay: RelayEnd) -> None:
        await relay.welcome()
        await relay.stay()

    async with channel(mute, rude, talk, answer_s=0.1) as (kit, _):
        await kit.until(WELCOME, True)
    assert "did not welcome this kit" in caplog.text
    assert "closed the control channel before its welcome" in caplog.text


async def test_a_kit_that_was_replaced_does_not_fight_for_its_place(caplog: pytest.LogCaptureFixture) -> None:
    async def replace(relay: RelayEnd) -> None:
        await relay.welcome()
        await relay.socket.close(code=4409, message=b"replaced")

    async with channel(replace, replaced_s=77.0) as (kit, server):
        await kit.until(WELCOME, True, False)
        await until(lambda: "again in 77.0 s" in caplog.text)
        assert len(server.asked) == 1
    assert "does this kit run twice?" in caplog.text


async def test_a_relay_of_another_age_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(relay: RelayEnd) -> None:
        await relay.hear()
        await relay.socket.close(code=4406)

    async with channel(refuse, refused_s=88.0):
        await until(lambda: "again in 88.0 s" in caplog.text)
    assert "update the older of kit and relay" in caplog.text


async def test_a_wrong_clock_is_learnt_from_the_refusal_and_retried_at_once() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"].endswith(" 1"):
            return web.Response(status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        relay = RelayEnd(socket)
        await relay.welcome()
        await relay.stay()
        return socket

    bearer = CountingBearer(learns=True)
    async with web_server(handle) as server:
        kit = KitEnd(server, bearer, refused_s=600.0, redial_s=(600.0, 600.0))
        task = asyncio.create_task(kit.channel.run())
        try:
            await kit.until(WELCOME, True)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert bearer.dates[0].endswith("GMT")


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "needs a kit that is enrolled"), (403, "needs a kit that is enrolled"), (503, "in trouble")],
)
async def test_a_refused_kit_asks_again_and_says_it_once(
    status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with web_server(handle) as server:
        kit = KitEnd(server, CountingBearer())
        task = asyncio.create_task(kit.channel.run())
        await server.until_asked(4)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert caplog.text.count(words) == 1
    assert kit.heard == []


async def test_without_a_relay_the_kit_goes_on_trying() -> None:
    async with aiohttp.ClientSession() as http:
        server = WebServer("http://relay.invalid", http)
        bearer = CountingBearer()
        kit = KitEnd(server, bearer)
        task = asyncio.create_task(kit.channel.run())
        await until(lambda: bearer.minted >= 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
