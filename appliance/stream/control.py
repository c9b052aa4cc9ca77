"""The control channel: one WebSocket to the relay, kept up for as long as the kit runs.

Up goes what state the kit is in; down come whether pupils really get the lesson, and commands (``docs/protocol.md``).
Says nothing and decides nothing: every message is handed to a callback. Not here: the messages (``wire/messages.py``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NoReturn

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from appliance.errors import RelayRefused, RelayUnreachable
from appliance.stream.bearer import Bearer
from appliance.supervise import Backoff
from wire import messages
from wire.messages import STATUS_EVERY_S, Command, Delivery, FromRelay, KitStatus, Welcome, WireError

log = logging.getLogger(__name__)

#: aiohttp pings after this much silence, and gives half of it for the pong: a dead link is seen within 4.5 s, and a
#: mobile one may still be late by a second and a half.
HEARTBEAT_S = 3.0
#: Connecting, and the relay's welcome; each.
ANSWER_S = 3.0
#: Up again within 2 s of the network's return.
REDIAL_S = (0.3, 1.5)
#: A refusal needs a person.
REFUSED_S = 10.0
#: Another kit has this kit's key, or this one runs twice. Whoever came last wins, and two must not fight.
REPLACED_S = 60.0
#: The goodbye at the end.
CLOSE_S = 1.0

NO_SHARED_VERSION = 4406
REPLACED = 4409
_REPLACED_ADVICE = "another connection of this kit is newer; does this kit run twice?"


class ControlChannel:
    """Connects, says hello, reports, listens; and connects again until cancelled."""

    def __init__(
        self,
        relay_url: str,
        bearer: Bearer,
        http: aiohttp.ClientSession,
        *,
        software: str,
        on_welcome: Callable[[Welcome], None],
        on_delivery: Callable[[Delivery], None],
        on_command: Callable[[Command], None],
        on_link: Callable[[bool], None],
        status_every_s: float = STATUS_EVERY_S,
        heartbeat_s: float = HEARTBEAT_S,
        answer_s: float = ANSWER_S,
        redial_s: tuple[float, float] = REDIAL_S,
        refused_s: float = REFUSED_S,
        replaced_s: float = REPLACED_S,
    ) -> None:
        self._url = URL(relay_url) / "control"
        self._bearer = bearer
        self._http = http
        self._hello = messages.Hello(versions=messages.VERSIONS, software=software)
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Welcome: on_welcome,
            Delivery: on_delivery,
            Command: on_command,
        }
        self._on_link = on_link
        self._status_every_s = status_every_s
        self._heartbeat_s = heartbeat_s
        self._answer_s = answer_s
        self._backoff = Backoff(*redial_s)
        self._refused_s = refused_s
        self._replaced_s = replaced_s
        self._status: KitStatus | None = None
        self._status_changed = asyncio.Event()
        self._last_error = ""

    def report(self, status: KitStatus) -> None:
        """The kit's state from now on: sent at once if it changed, and again every ``STATUS_EVERY_S``."""
        if status != self._status:
            self._status = status
            self._status_changed.set()

    async def run(self) -> None:
        """Keep the channel up until cancelled."""
        while True:
            try:
                await self._converse()
            except RelayUnreachable as error:
                wait_s = self._failed(error, self._backoff.next_s())
            except RelayRefused as error:
                patience_s = self._replaced_s if error.status == REPLACED else self._refused_s
                wait_s = self._failed(error, patience_s)
            await asyncio.sleep(wait_s)

    async def _converse(self) -> NoReturn:
        """One connection, from hello to its end, which raises why."""
        socket = await self._connect()
        try:
            await self._greet(socket)
            self._backoff.reset()
            self._last_error = ""
            await self._stay(socket)
        finally:
            await _say_goodbye(socket)
        if socket.close_code == REPLACED:
            raise RelayRefused(REPLACED, _REPLACED_ADVICE)
        raise RelayUnreachable("the control channel ended")

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        try:
            return await self._knock()
        except aiohttp.WSServerHandshakeError as error:
            date = CIMultiDict(error.headers or ()).get("Date", "")
            if error.status != 401 or not self._bearer.learn_time(date):
                raise _refusal(error) from error
        try:
            return await self._knock()  # with a token by the relay's clock
        except aiohttp.WSServerHandshakeError as error:
            raise _refusal(error) from error

    async def _knock(self) -> aiohttp.ClientWebSocketResponse:
        headers = {"Authorization": f"Bearer {self._bearer.authorise('GET', self._url.raw_path)}"}
        try:
            async with asyncio.timeout(self._answer_s):
                return await self._http.ws_connect(
                    self._url, headers=headers, heartbeat=self._heartbeat_s, max_msg_size=messages.MAX_MESSAGE_BYTES
                )
        except aiohttp.WSServerHandshakeError:
            raise
        except TimeoutError as error:
            raise RelayUnreachable(f"{self._url.host} does not answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RelayUnreachable(f"{self._url.host} cannot be reached: {error}") from error

    async def _greet(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Hello and welcome. Raises ``RelayUnreachable`` when the relay says anything else first."""
        await _send(socket, messages.encode(self._hello))
        try:
            async with asyncio.timeout(self._answer_s):
                while not isinstance(message := await self._next(socket), Welcome):
                    if socket.closed:
                        raise self._unwelcome(socket.close_code)
                    log.debug("before the welcome: %s", message)
        except TimeoutError as error:
            raise RelayUnreachable("the relay did not welcome this kit") from error
        self._handlers[Welcome](message)

    def _unwelcome(self, code: int | None) -> RelayRefused | RelayUnreachable:
        if code == NO_SHARED_VERSION:
            return RelayRefused(NO_SHARED_VERSION, "it speaks no version of ours; update the older of kit and relay")
        if code == REPLACED:
            return RelayRefused(REPLACED, _REPLACED_ADVICE)
        return RelayUnreachable("the relay closed the control channel before its welcome")

    async def _stay(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._on_link(True)
        reporting = asyncio.create_task(self._report_for_ever(socket), name="kit status")
        try:
            while not socket.closed:
                message = await self._next(socket)
                if message is not None:
                    self._handlers[type(message)](message)
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            self._on_link(False)

    async def _next(self, socket: aiohttp.ClientWebSocketResponse) -> FromRelay | None:
        """The next message that is one; ``None`` for frames that are not, and at the end of the connection."""
        frame = await socket.receive()
        if frame.type is not aiohttp.WSMsgType.TEXT:
            return None
        try:
            return messages.decode_from_relay(frame.data)
        except WireError as error:
            log.warning("the relay sent %s", error)
            return None

    async def _report_for_ever(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            self._status_changed.clear()
            if self._status is not None:
                await _send(socket, messages.encode(self._status))
            try:
                async with asyncio.timeout(self._status_every_s):
                    await self._status_changed.wait()
            except TimeoutError:
                continue

    def _failed(self, error: Exception, wait_s: float) -> float:
        known = str(error) == self._last_error
        self._last_error = str(error)
        log.log(logging.DEBUG if known else logging.WARNING, "no control: %s; again in %.1f s", error, wait_s)
        return wait_s


async def _send(socket: aiohttp.ClientWebSocketResponse, text: str) -> None:
    try:
        await socket.send_str(text)
    except (aiohttp.ClientError, OSError) as error:
        raise RelayUnreachable(f"the control channel broke: {error}") from error


async def _say_goodbye(socket: aiohttp.ClientWebSocketResponse) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await socket.close()
    except TimeoutError:
        log.debug("the relay did not answer the goodbye")


def _refusal(error: aiohttp.WSServerHandshakeError) -> RelayRefused | RelayUnreachable:
    if error.status >= 500:
        return RelayUnreachable(f"the relay is in trouble ({error.status})")
    return RelayRefused(error.status, "the control channel needs a kit that is enrolled; enrol this one again")
