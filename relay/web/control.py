"""``GET /control``: one WebSocket per kit (docs/protocol.md, "Control channel"; ``wire/messages.py``).

The kit reports its state; the relay tells it what pupils really get. One task receives and one sends, for each kit, so
that a slow kit waits for itself alone; what waits to be sent is the newest delivery and a few commands, never a queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from aiohttp import WSCloseCode, WSMsgType, web

from relay.classroom.links import is_id
from relay.classroom.school import Kit, Place
from relay.web.auth import AUTH
from relay.web.context import RELAY, Relay
from wire.messages import (
    DELIVERY_EVERY_S,
    MAX_MESSAGE_BYTES,
    STATUS_EVERY_S,
    Command,
    FromRelay,
    Hello,
    KitHealth,
    KitStatus,
    Welcome,
    WireError,
    choose_version,
    decode_from_kit,
    encode,
)

NO_COMMON_VERSION = 4406
REPLACED = 4409
HELLO_S = 5.0
SILENCE_S = 5 * STATUS_EVERY_S  # a kit that reports every 2 s and misses five is gone
SEND_S = 5.0  # a kit whose socket takes nothing for so long is gone, too
CLOSE_S = 1.0
MIN_GAP_S = 0.05  # a whole class that joins at once is one delivery, not thirty
MAX_COMMANDS = 16  # the newest count

_log = logging.getLogger(__name__)


class KitConnections:
    """The connection of each kit; a newer one replaces the older."""

    def __init__(self) -> None:
        self._of_kit: dict[str, KitConnection] = {}
        self._closing = False

    def enter(self, connection: KitConnection) -> None:
        """A kit said hello."""
        older = self._of_kit.get(connection.kit_id)
        self._of_kit[connection.kit_id] = connection
        if older is not None:
            older.close_soon(REPLACED, "a newer connection of this kit is here")
        if self._closing:
            connection.close_soon(WSCloseCode.GOING_AWAY, "the relay stops")

    def leave(self, connection: KitConnection) -> None:
        """A connection is over."""
        if self._of_kit.get(connection.kit_id) is connection:
            del self._of_kit[connection.kit_id]

    def close_all(self) -> None:
        """The relay stops."""
        self._closing = True
        for connection in self._of_kit.values():
            connection.close_soon(WSCloseCode.GOING_AWAY, "the relay stops")


CONNECTIONS = web.AppKey("kit_connections", KitConnections)


async def control(request: web.Request) -> web.StreamResponse:
    """See the module."""
    relay = request.app[RELAY]
    claims = await request.app[AUTH].kit(request)
    socket = web.WebSocketResponse(timeout=CLOSE_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
    if not socket.can_prepare(request).ok:
        raise web.HTTPUpgradeRequired(text="this is a WebSocket", headers={"Upgrade": "websocket"})
    await socket.prepare(request)
    kit = relay.registers.latest.kits[claims.kit_id]
    await KitConnection(relay, kit, socket, request.transport).run(request.app[CONNECTIONS])
    return socket


class KitConnection:
    """One kit's connection: ``run`` is its whole life."""

    def __init__(
        self, relay: Relay, kit: Kit, socket: web.WebSocketResponse, transport: asyncio.Transport | None
    ) -> None:
        self.kit_id = kit.kit_id
        self._relay = relay
        self._transport = transport
        self._place = relay.registers.latest.place(kit.room_id)
        self._socket = socket
        self._news = asyncio.Event()
        self._commands: deque[Command] = deque(maxlen=MAX_COMMANDS)
        self._close: tuple[int, str] | None = None
        self._warnings: tuple[str, ...] = ()  # of its board, as it said last

    def close_soon(self, code: int, reason: str) -> None:
        """End this connection; its own sender does it, so that nobody waits."""
        self._close = self._close or (code, reason)
        self._news.set()

    async def run(self, connections: KitConnections) -> None:
        """Until the kit leaves, is replaced, or breaks the protocol."""
        try:
            hello = await self._hello()
            if hello is None:
                return
            connections.enter(self)
            try:
                await self._serve(hello)
            finally:
                connections.leave(self)  # its lesson goes on, and what it said last counts for KIT_SILENT_S
        except (ConnectionError, TimeoutError):
            _log.info("kit %s: its connection broke", self.kit_id)
            self._abort()

    async def _hello(self) -> int | None:
        """Wait for hello; the version to speak, or ``None`` after closing."""
        message = await self._receive(HELLO_S)
        if not isinstance(message, Hello):
            await self._shut(WSCloseCode.POLICY_VIOLATION, "hello comes first")
            return None
        version = choose_version(message.versions)
        if version is None:
            await self._shut(NO_COMMON_VERSION, "no version of the protocol is shared")
        _log.info("kit %s in room %s connects: %s", self.kit_id, self._place.room.name, message.software[:100])
        return version

    async def _serve(self, version: int) -> None:
        self._relay.metrics.kits_connected.inc()
        leave = self._relay.live.followers.follow_kit(self.kit_id, self._news.set)
        sender = asyncio.create_task(self._send_all(version), name=f"control sender {self.kit_id}")
        try:
            while (message := await self._receive(SILENCE_S)) is not None:
                if isinstance(message, KitStatus):
                    self._status(message)
            await self._shut(WSCloseCode.OK, "")
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            leave()
            self._relay.metrics.kit_warns(self._warnings, ())
            self._relay.metrics.kits_connected.dec()

    def _status(self, status: KitStatus) -> None:
        if status.lesson is not None and not is_id(status.lesson.lesson_id):
            self.close_soon(WSCloseCode.POLICY_VIOLATION, "lesson_id: 32 hex digits are wanted")
            return
        if isinstance(status.health, KitHealth):
            self._relay.metrics.kit_warns(self._warnings, status.health.warnings)
            self._warnings = status.health.warnings
        command = self._relay.live.kit_status(self.kit_id, self._place, status)
        if command is not None:
            self._commands.append(command)
        self._news.set()  # a lesson that began wants its delivery

    async def _receive(self, timeout_s: float) -> Hello | KitStatus | None:
        """The next message that is understood; ``None``: it is over. Raises ``TimeoutError``."""
        while True:
            async with asyncio.timeout(timeout_s):
                frame = await self._socket.receive()
            if frame.type is not WSMsgType.TEXT:
                if frame.type is WSMsgType.BINARY:
                    await self._shut(WSCloseCode.UNSUPPORTED_DATA, "text frames are wanted")
                return None
            try:
                message = decode_from_kit(frame.data)
            except WireError as error:
                _log.warning("kit %s breaks the protocol: %s", self.kit_id, error)
                await self._shut(WSCloseCode.POLICY_VIOLATION, "this message breaks the protocol")
                return None
            if message is not None:
                return message

    async def _send_all(self, version: int) -> None:
        """The sender: welcome, then deliveries and commands, until closed."""
        try:
            await self._send(self._welcome(version))
            while self._close is None:
                self._news.clear()
                self._check_place()
                while self._commands:
                    await self._send(self._commands.popleft())
                delivery = self._relay.live.kit_delivery(self.kit_id)
                if delivery is not None:
                    await self._send(delivery)
                await asyncio.sleep(MIN_GAP_S)
                await self._wait_for_news(None if delivery is None else DELIVERY_EVERY_S - MIN_GAP_S)
            await self._shut(*self._close)
        except (ConnectionError, TimeoutError):
            self._abort()  # the receiver learns of it

    async def _wait_for_news(self, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return  # nothing changed: said again all the same

    def _check_place(self) -> None:
        """Notice what the command line changed: a revoked kit is shut out, another class needs a new welcome."""
        register = self._relay.registers.latest
        kit = register.kit(self.kit_id)
        if kit is None:
            self.close_soon(WSCloseCode.POLICY_VIOLATION, "this kit was revoked")
        elif register.place(kit.room_id) != self._place:
            self.close_soon(WSCloseCode.SERVICE_RESTART, "room or class changed")

    def _welcome(self, version: int) -> Welcome:
        place: Place = self._place
        return Welcome(
            version=version,
            school=place.school.name,
            room=place.room.name,
            class_name=place.school_class.name,
            class_path=place.school_class.path,
        )

    async def _send(self, message: FromRelay) -> None:
        async with asyncio.timeout(SEND_S):
            await self._socket.send_str(encode(message))

    async def _shut(self, code: int, reason: str) -> None:
        async with asyncio.timeout(SEND_S):
            await self._socket.close(code=code, message=reason.encode())

    def _abort(self) -> None:
        """Drop the connection without a word: the other end does not read."""
        if self._transport is not None:
            self._transport.abort()
