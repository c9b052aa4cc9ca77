"""Asks a server's candidates whether they answer ICE checks: the proof that an answer leads somewhere.

One socket for each address family. No DTLS: a check that is answered shows who holds which credentials, and a check
that no longer is shows that a session is gone. STUN is aioice's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import struct
from types import TracebackType
from typing import Self

from aioice import stun

from tests.conformance.offers import Credentials

TRIES, EVERY_S = 5, 0.15
Address = tuple[str, int]


class IceProbe:
    """A controlling agent of one session that only checks."""

    def __init__(self, ours: Credentials, theirs: Credentials) -> None:
        self._ours, self._theirs = ours, theirs
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._sockets: dict[int, asyncio.DatagramTransport] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for transport in self._sockets.values():
            transport.abort()
        await asyncio.sleep(0)  # the loop closes them in its next turn

    async def answered(self, addresses: list[Address]) -> bool:
        """Whether any of these answers, asked a few times, because datagrams may be lost."""
        for _ in range(TRIES):
            asked = [future for address in addresses if (future := await self._ask(address)) is not None]
            if not asked:
                return False
            done, pending = await asyncio.wait(asked, timeout=EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for future in pending:
                future.cancel()
            if done:
                return True
        return False

    async def _ask(self, address: Address) -> asyncio.Future[None] | None:
        try:
            version = ipaddress.ip_address(address[0]).version
        except ValueError:
            return None  # a name, such as a browser's .local: nobody resolves it here
        transport = await self._socket(version)
        if transport is None:
            return None
        request = self._request()
        future = asyncio.get_running_loop().create_future()
        self._waiting[request.transaction_id] = future
        transport.sendto(bytes(request), address)
        return future

    async def _socket(self, version: int) -> asyncio.DatagramTransport | None:
        if version not in self._sockets:
            host, family = ("0.0.0.0", socket.AF_INET) if version == 4 else ("::", socket.AF_INET6)
            try:
                transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Receiver(self), local_addr=(host, 0), family=family
                )
            except OSError:
                return None  # this machine has no such family
            self._sockets[version] = transport
        return self._sockets[version]

    def _request(self) -> stun.Message:
        request = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.REQUEST,
            attributes={
                "USERNAME": f"{self._theirs.ufrag}:{self._ours.ufrag}",
                "PRIORITY": 1845501695,
                "ICE-CONTROLLING": secrets.randbits(64),
            },
        )
        request.add_message_integrity(self._theirs.password.encode())
        return request

    def received(self, data: bytes) -> None:
        """A datagram. Only a response that is signed with the server's password counts."""
        try:
            message = stun.parse_message(data)
            signed = message.check_message_integrity(self._theirs.password.encode())
        except (ValueError, struct.error, IndexError):  # not STUN, such as a DTLS flight
            return
        future = self._waiting.get(message.transaction_id)
        if message.message_class == stun.Class.RESPONSE and signed and future is not None and not future.done():
            future.set_result(None)


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, probe: IceProbe) -> None:
        self._probe = probe

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self._probe.received(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: no answer, like any other."""
