"""A WebRTC peer made by hand from the engine's own codecs, for what ready-made peers do not show or do.

It sends exactly the packets a test gives it, and hands out exactly the ones that came. Where interoperability is the
question, aiortc, FFmpeg and Chromium are the peers.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from aioice import stun

from relay.engines.base import Answer
from relay.engines.embedded import dtls, ice
from relay.engines.embedded.agreement import SEND_TIME_EXTENSION
from relay.engines.embedded.engine import EmbeddedEngine
from relay.engines.embedded.ice import Credentials, new_credentials
from relay.engines.embedded.srtp import Opener, Sealer, SrtpError, sealer

WAIT_S = 5.0
VIDEO, RTX, AUDIO = 106, 107, 111
SEND_TIME = 3  # the header extension's identifier


def offer(
    credentials: Credentials,
    fingerprint: dtls.Fingerprint,
    *,
    direction: str = "recvonly",
    rtx: bool = True,
    setup: str = "actpass",
    timed: bool = False,
) -> str:
    """An offer of picture and voice; ``timed``: of one who measures its line by when packets left."""
    measuring = f"a=extmap:{SEND_TIME} {SEND_TIME_EXTENSION}\r\na=rtcp-fb:{VIDEO} goog-remb\r\n" if timed else ""
    transport = (
        f"c=IN IP4 0.0.0.0\r\na=ice-ufrag:{credentials.ufrag}\r\na=ice-pwd:{credentials.password}\r\n"
        f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}\r\na=setup:{setup}\r\n"
        f"a={direction}\r\na=rtcp-mux\r\n"
    )
    retransmission = f"a=rtpmap:{RTX} rtx/90000\r\na=fmtp:{RTX} apt={VIDEO}\r\n" if rtx else ""
    return (
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v a\r\n"
        f"m=video 9 UDP/TLS/RTP/SAVPF {VIDEO}{f' {RTX}' if rtx else ''}\r\n{transport}a=mid:v\r\n"
        f"a=rtpmap:{VIDEO} H264/90000\r\n"
        f"a=fmtp:{VIDEO} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
        f"a=rtcp-fb:{VIDEO} nack\r\na=rtcp-fb:{VIDEO} nack pli\r\n{measuring}{retransmission}"
        f"m=audio 9 UDP/TLS/RTP/SAVPF {AUDIO}\r\n{transport}a=mid:a\r\na=rtpmap:{AUDIO} opus/48000/2\r\n"
    )


@dataclass(frozen=True, slots=True)
class Rtp:
    """An RTP packet's parts."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    send_time: float | None = None  # s, on a clock of 64 s

    @classmethod
    def parse(cls, data: bytes) -> Rtp:
        """Of a packet with a plain header, or with the one extension that the relay knows; padding is taken off."""
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        if first & 0x20:
            first, data = first & ~0x20, data[: -data[-1]]
        assert first in (0x80, 0x90), "the relay sends plain headers, or such with an extension"
        if first == 0x80:
            return cls(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[12:])
        profile, words, element = struct.unpack_from("!HHI", data, 12)
        assert (profile, words, element >> 24 & 0x0F) == (0xBEDE, 1, 2)
        left_s = (element & 0xFFFFFF) / (1 << 18)
        return cls(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[20:], left_s)

    def __bytes__(self) -> bytes:
        second = self.payload_type | self.marker << 7
        return struct.pack("!BBHII", 0x80, second, self.sequence, self.timestamp, self.ssrc) + self.payload


@dataclass
class RawPeer(asyncio.DatagramProtocol):
    """One side of a session. ``rtp`` and ``rtcp`` hold what came, opened; ``raw`` every datagram."""

    endpoint: dtls.Endpoint
    role: dtls.Role = "client"
    host: str = "127.0.0.1"
    local: Credentials = field(default_factory=new_credentials)
    session_id: str = ""
    proves_address: bool = True
    rtp: asyncio.Queue[Rtp] = field(default_factory=asyncio.Queue)
    rtcp: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    raw: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.connected = asyncio.Event()
        self.checked = asyncio.Event()
        self.closed = asyncio.Event()
        self.sealer: Sealer | None = None
        self.opener: Opener | None = None
        self._sent: dict[int, int] = {}

    @property
    def offer_args(self) -> tuple[Credentials, dtls.Fingerprint]:
        return self.local, self.endpoint.fingerprint

    async def open(self) -> None:
        """Bind a socket."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, 0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.socket = cast("asyncio.DatagramTransport", transport)  # Python 3.11's is none by name

    async def connect(self, answer: Answer, port: int, fingerprint: dtls.Fingerprint) -> None:
        """ICE, then DTLS, to the relay at ``port`` of this peer's own host."""
        self.to = (self.host, port)
        self.remote = credentials_of(answer.sdp)
        self.dtls = dtls.Session(self.endpoint, self.role, (fingerprint,))
        self.check()
        async with asyncio.timeout(WAIT_S):
            await self.checked.wait()
            self.dtls.start()
            self._flush()
            await self.connected.wait()

    def check(self, *, nominate: bool = True, password: str | None = None) -> bytes:
        """Send a binding request; the datagram that went."""
        request = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.REQUEST,
            attributes={"USERNAME": f"{self.remote.ufrag}:{self.local.ufrag}", "PRIORITY": 1, "ICE-CONTROLLING": 7},
        )
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity((password or self.remote.password).encode())
        self.socket.sendto(bytes(request), self.to)
        return bytes(request)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.raw.put_nowait(data)
        if data[:2] == b"\x00\x01":
            self._prove(data)
        elif data[0] < 4:
            self.checked.set()
        elif 20 <= data[0] < 64:
            self.dtls.receive(data)
            self._flush()
            self._follow()
        elif self.opener is not None:
            if 192 <= data[1] <= 223:
                self.rtcp.put_nowait(self.opener.open_rtcp(data))
            else:
                self._take(data)

    def _prove(self, data: bytes) -> None:
        """Answer the relay's probe, if it is for this peer, and this peer is where it claims to be."""
        request = ice.read_request(data, self.local.password)
        if request is not None and self.proves_address:
            self.socket.sendto(ice.success(request, self.to, self.local.password), self.to)

    def _take(self, data: bytes) -> None:
        assert self.opener is not None
        try:
            self.rtp.put_nowait(Rtp.parse(self.opener.open_rtp(data)))
        except SrtpError as error:
            if "replay" not in str(error):  # a plain retransmission of what had come
                raise

    def _flush(self) -> None:
        for datagram in self.dtls.take_outgoing():
            self.socket.sendto(datagram, self.to)

    def _follow(self) -> None:
        if self.dtls.state == "established" and self.sealer is None:
            assert self.dtls.keys is not None
            self.sealer, self.opener = sealer(self.dtls.keys), Opener(self.dtls.keys)
            self.connected.set()
        elif self.dtls.state in ("closed", "failed"):
            self.closed.set()

    def send(self, packet: Rtp) -> None:
        """Seal and send one packet."""
        self.send_raw(bytes(packet)[:12], packet.payload)

    def send_raw(self, header: bytes, payload: bytes) -> None:
        """Seal and send a packet whose header is given as bytes. Numbers below 0x8000 after higher ones wrap."""
        assert self.sealer is not None
        ssrc, number = int.from_bytes(header[8:12], "big"), int.from_bytes(header[2:4], "big")
        highest = self._sent.get(ssrc, number)
        index = highest + ((number - highest + 0x8000) & 0xFFFF) - 0x8000
        self._sent[ssrc] = max(highest, index)
        self.socket.sendto(self.sealer.stream(ssrc).seal(header, payload, index), self.to)

    def send_rtcp(self, packet: bytes) -> None:
        """Seal and send a compound packet."""
        assert self.sealer is not None
        self.socket.sendto(self.sealer.seal_rtcp(packet), self.to)

    async def next_rtp(self, payload_type: int = VIDEO) -> Rtp:
        """The next packet of this payload type."""
        async with asyncio.timeout(WAIT_S):
            while (packet := await self.rtp.get()).payload_type != payload_type:
                pass
            return packet

    async def take(self, count: int, payload_type: int = VIDEO) -> list[Rtp]:
        """The next ``count`` packets of this payload type."""
        return [await self.next_rtp(payload_type) for _ in range(count)]

    async def next_rtcp(self, kind: int) -> bytes:
        """The next compound that holds a packet of this type."""
        async with asyncio.timeout(WAIT_S):
            while True:
                compound = await self.rtcp.get()
                if kind in packet_types(compound):
                    return compound

    def goodbye(self) -> None:
        """Say close_notify."""
        for datagram in self.dtls.close():
            self.socket.sendto(datagram, self.to)


def packet_types(compound: bytes) -> list[int]:
    """The packet types in an RTCP compound."""
    found, position = [], 0
    while position < len(compound):
        found.append(compound[position + 1])
        position += 4 + 4 * int.from_bytes(compound[position + 2 : position + 4], "big")
    return found


def credentials_of(sdp: str) -> Credentials:
    """The ICE credentials in an answer or a fragment."""
    ufrag, password = re.search(r"a=ice-ufrag:(\S+)", sdp), re.search(r"a=ice-pwd:(\S+)", sdp)
    assert ufrag is not None
    assert password is not None
    return Credentials(ufrag[1], password[1])


def fingerprint_of(sdp: str) -> dtls.Fingerprint:
    """The certificate that an answer promises."""
    found = re.search(r"a=fingerprint:(\S+) (\S+)", sdp)
    assert found is not None
    return dtls.Fingerprint(found[1].lower(), found[2].upper())


_ENDPOINTS: dict[tuple[dtls.Profile, ...], dtls.Endpoint] = {}


def endpoint(profiles: tuple[dtls.Profile, ...] = dtls.PROFILES) -> dtls.Endpoint:
    """A certificate that the raw peers of a run share."""
    if profiles not in _ENDPOINTS:
        _ENDPOINTS[profiles] = dtls.Endpoint(profiles)
    return _ENDPOINTS[profiles]


def some_offer(direction: str = "recvonly") -> str:
    """An offer of a peer that never comes."""
    return offer(*RawPeer(endpoint()).offer_args, direction=direction)


@asynccontextmanager
async def raw_viewer(
    engine: EmbeddedEngine,
    channel: str = "7B",
    *,
    profiles: tuple[dtls.Profile, ...] = dtls.PROFILES,
    rtx: bool = True,
    host: str = "127.0.0.1",
    then: Callable[[str], object] = str,
    timed: bool = False,
) -> AsyncIterator[RawPeer]:
    """A connected viewer; ``then`` is told its session's id before it connects."""
    peer = RawPeer(endpoint(profiles), host=host)
    await peer.open()
    try:
        answer = engine.watch(channel, offer(*peer.offer_args, rtx=rtx, timed=timed))
        peer.session_id = answer.session_id
        then(answer.session_id)
        await peer.connect(answer, engine.port, engine.fingerprint)
        yield peer
    finally:
        peer.socket.close()


@asynccontextmanager
async def raw_publisher(
    engine: EmbeddedEngine,
    name: str = "kit",
    channel: str = "7B",
    *,
    setup: str = "actpass",
    rtx: bool = True,
    change: Callable[[str], str] = str,
) -> AsyncIterator[RawPeer]:
    """A connected publisher; ``change`` has the last word on its offer."""
    peer = RawPeer(endpoint(), role="server" if setup == "passive" else "client")
    await peer.open()
    try:
        offered = offer(*peer.offer_args, direction="sendonly", setup=setup, rtx=rtx)
        answer = engine.publish(channel, name, change(offered))
        peer.session_id = answer.session_id
        await peer.connect(answer, engine.port, engine.fingerprint)
        yield peer
    finally:
        peer.socket.close()


KEY = b"\x67\x42\xe0\x1f"  # a sequence parameter set: where a key frame starts
DELTA = b"\x41\x9a\x00\x01"


@dataclass
class Camera:
    """Makes a publisher's packets: one per picture, a key frame every ``group`` pictures."""

    ssrc: int = 0x1111
    sequence: int = 1000
    timestamp: int = 90_000
    group: int = 30
    pictures: int = 0

    def picture(self) -> Rtp:
        """The next picture."""
        key = self.pictures % self.group == 0
        payload = (KEY if key else DELTA) + self.pictures.to_bytes(4, "big") + bytes(40)
        packet = Rtp(VIDEO, True, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc, payload)
        self.pictures += 1
        self.sequence += 1
        self.timestamp += 3000
        return packet


def picture_number(packet: Rtp) -> int:
    """Which of a ``Camera``'s pictures this is."""
    return int.from_bytes(packet.payload[4:8], "big")
