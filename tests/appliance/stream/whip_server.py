"""A WHIP server for the tests of ``appliance/stream``: real HTTP, and a real aiortc peer that answers.

Not the relay, so that the kit is held to the standard and not to its own other half. It records what it is asked and
which packets arrive; it can be told to answer otherwise, to fall silent, and to die.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from appliance.stream.peer import gather_first, stay_closed
from appliance.stream.timestamps import rtp_header

Answering = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class Arrived:
    """One packet at the server, decrypted."""

    at_s: float
    data: bytes

    @property
    def ssrc(self) -> int:
        return rtp_header(self.data)[2]

    @property
    def sequence(self) -> int:
        return rtp_header(self.data)[0]

    @property
    def timestamp(self) -> int:
        return rtp_header(self.data)[1]

    @property
    def marker(self) -> bool:
        return bool(self.data[1] & 0x80)


class ServerSession:
    """The answering end of one session. Packets are kept, not decoded, unless ``decode``."""

    def __init__(self, *, decode: bool) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.decode = decode
        self.offer = ""
        self.rtp: list[Arrived] = []
        self.rtcp: list[Arrived] = []
        self.tracks: list[Any] = []
        self.connected = asyncio.Event()
        self.progress = asyncio.Event()
        self.pc.on("connectionstatechange", self._state_changed)
        self.pc.on("track", self.tracks.append)

    def _state_changed(self) -> None:
        if self.pc.connectionState == "connected":
            self.connected.set()
        self.progress.set()

    async def answer(self, offer: str) -> str:
        self.offer = offer
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        transceiver = self.pc.getTransceivers()[0]
        self.dtls: Any = transceiver.receiver.transport
        self.connection: Any = self.dtls.transport._connection
        gather_first(self.connection, ("127.0.0.1",))
        stay_closed(self.connection)
        self._record()
        await self.pc.setLocalDescription()
        return self.pc.localDescription.sdp

    def _record(self) -> None:
        handle_rtp, handle_rtcp = self.dtls._handle_rtp_data, self.dtls._handle_rtcp_data

        async def rtp(data: bytes, arrival_time_ms: int) -> None:
            self.rtp.append(Arrived(asyncio.get_running_loop().time(), data))
            self.progress.set()
            if self.decode:
                await handle_rtp(data, arrival_time_ms)

        async def rtcp(data: bytes) -> None:
            self.rtcp.append(Arrived(asyncio.get_running_loop().time(), data))
            self.progress.set()
            await handle_rtcp(data)

        self.dtls._handle_rtp_data, self.dtls._handle_rtcp_data = rtp, rtcp

    def ssrc(self, kind: str) -> int:
        """The SSRC that the offer announces for ``audio`` or ``video``."""
        section = self.offer.split(f"m={kind}", 1)[1].split("m=", 1)[0]
        return int(next(line for line in section.splitlines() if "cname:" in line).split(":")[1].split()[0])

    def packets(self, kind: str) -> list[Arrived]:
        wanted = self.ssrc(kind)
        return [packet for packet in self.rtp if packet.ssrc == wanted]

    async def until(self, reached: Callable[[], object], within_s: float = 10.0) -> None:
        """Wait until something has arrived that makes ``reached()`` true."""
        async with asyncio.timeout(within_s):
            while not reached():
                self.progress.clear()
                await self.progress.wait()

    async def send_rtcp(self, packet: Any) -> None:
        await self.dtls._send_rtp(bytes(packet))

    def address(self) -> tuple[str, int]:
        """Where the kit's socket is, as this end sees it."""
        address: tuple[str, int] = self.connection._nominated[1].remote_addr
        return address

    def fall_silent(self) -> None:
        """As if the network were gone: nothing leaves from here any more, and nothing is heard."""
        for protocol in self.connection._protocols:
            protocol.transport.sendto = lambda data, address=None: None
            protocol.datagram_received = lambda data, address: None

    async def close(self) -> None:
        for track in self.tracks:
            track.stop()
        await self.pc.close()


@dataclass
class Asked:
    """One HTTP request that the server had, and when (the loop's seconds)."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    host: str = ""
    at_s: float = 0.0


@dataclass
class WhipServer:
    """A WHIP endpoint at ``url``. ``answering`` may answer in its place; ``headers`` are added to each 201, with its
    ``{port}``."""

    answering: Answering | None = None
    headers: dict[str, str] = field(default_factory=dict)
    decode: bool = False
    asked: list[Asked] = field(default_factory=list)
    sessions: dict[str, ServerSession] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    url: str = ""
    port: int = 0
    progress: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; after ``die``, again on the same port."""
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/whip"

    async def die(self) -> None:
        """Like SIGKILL: no goodbye to anybody."""
        for session in self.sessions.values():
            session.fall_silent()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def close(self) -> None:
        await self.die()
        for session in self.sessions.values():
            await session.close()

    @property
    def newest(self) -> ServerSession:
        return list(self.sessions.values())[-1]

    async def session(self, number: int, within_s: float = 10.0) -> ServerSession:
        """The ``number``th session (from 1), once it is connected."""
        async with asyncio.timeout(within_s):
            while len(self.sessions) < number:
                self.progress.clear()
                await self.progress.wait()
            session = list(self.sessions.values())[number - 1]
            await session.connected.wait()
            return session

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode(errors="replace")
        now_s = asyncio.get_running_loop().time()
        headers = dict(request.headers)
        self.asked.append(Asked(request.method, request.path, headers, body, str(request.url.host), now_s))
        self.progress.set()
        if self.answering is not None:
            answer = await self.answering(request)
            if answer is not None:
                return answer
        if request.method == "POST":
            return await self._post(body)
        if request.method == "PATCH" and request.path.rpartition("/")[2] in self.sessions:
            return web.Response(status=204)
        if request.method == "DELETE":
            return await self._delete(request.path)
        return web.Response(status=405)

    async def _post(self, offer: str) -> web.Response:
        number = str(next(self._numbers))
        session = self.sessions[number] = ServerSession(decode=self.decode)
        answer = await session.answer(offer)
        self.progress.set()
        added = {name: value.format(port=self.port) for name, value in self.headers.items()}
        headers = {"Location": f"/whip/{number}", "ETag": f'"{number}"'} | added
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=headers)

    async def _delete(self, path: str) -> web.Response:
        number = path.rpartition("/")[2]
        if number not in self.sessions:
            return web.Response(status=404)
        self.deleted.append(number)
        self.progress.set()
        return web.Response(status=200)


@asynccontextmanager
async def whip_server(**settings: Any) -> AsyncIterator[WhipServer]:
    server = WhipServer(**settings)
    await server.start()
    try:
        yield server
    finally:
        await server.close()
