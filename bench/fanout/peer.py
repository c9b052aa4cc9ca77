"""One viewer that is alive but undemanding: ICE, DTLS, a report a second, and every sequence number looked at.

Media is neither decrypted nor decoded: RTP's header travels in the clear (RFC 3711 §3.1). It answers the server's
connectivity checks and makes its own, so that it suits a lite agent (Parta) and a full one (Janus). Blocking sockets'
worth of code on a non-blocking socket: ``viewers.py`` polls hundreds of them on half a core.
"""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass, field

from aioice import stun

from relay.engines.embedded import dtls, ice, rtcp
from relay.engines.embedded.ice import Credentials, new_credentials
from relay.engines.embedded.srtp import Sealer, sealer

MOST_BYTES = 2048
RECEIVE_BYTES = 4 << 20  # a key frame for everybody arrives while the poll is elsewhere
OWN_SSRC = 0x77
TIE_BREAKER = 7


@dataclass(slots=True)
class Stream:
    """One incoming stream's continuity, by its sequence numbers."""

    highest: int
    packets: int = 0
    gaps: int = 0

    def take(self, sequence: int) -> None:
        """Count a packet; one that jumps ahead leaves a gap, one from behind (sent again, or overtaken) closes one."""
        step = (sequence - self.highest) & 0xFFFF
        if step < 0x8000:
            self.gaps += max(0, step - 1)
            self.highest += step
        else:
            self.gaps -= 1
        self.packets += 1


@dataclass(slots=True)
class Remote:
    """What the server's description says of its end."""

    credentials: Credentials
    fingerprint: dtls.Fingerprint
    address: tuple[str, int]
    lite: bool


def remote_of(sdp: str, host: str) -> Remote:
    """Read an offer or an answer; of its candidates, the UDP one at ``host``."""
    ufrag, password = re.search(r"a=ice-ufrag:(\S+)", sdp), re.search(r"a=ice-pwd:(\S+)", sdp)
    fingerprint = re.search(r"a=fingerprint:(\S+) (\S+)", sdp)
    ports = re.findall(rf"a=candidate:\S+ 1 udp \d+ {re.escape(host)} (\d+) typ host", sdp, re.IGNORECASE)
    if not (ufrag and password and fingerprint and ports):
        raise ValueError(f"no way to the server in:\n{sdp}")
    return Remote(
        Credentials(ufrag[1], password[1]),
        dtls.Fingerprint(fingerprint[1].lower(), fingerprint[2].upper()),
        (host, int(ports[0])),
        "a=ice-lite" in sdp,
    )


@dataclass
class Viewer:
    """One session; ``host`` is this machine's address."""

    endpoint: dtls.Endpoint
    host: str
    local: Credentials = field(default_factory=new_credentials)
    streams: dict[int, Stream] = field(default_factory=dict)
    connected: bool = False
    ended: bool = False

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self.socket.bind((self.host, 0))
        self._sealer: Sealer | None = None

    def begin(self, remote: Remote) -> None:
        """Start to connect; what comes then moves it on."""
        self._remote = remote
        self._dtls = dtls.Session(self.endpoint, "client", (remote.fingerprint,))
        self._started = False
        self.check()

    def check(self) -> None:
        """One connectivity check, which is consent as well (RFC 7675)."""
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._remote.credentials.ufrag}:{self.local.ufrag}"
        request.attributes["PRIORITY"] = 1
        if self._remote.lite:
            request.attributes["ICE-CONTROLLING"] = TIE_BREAKER
            request.attributes["USE-CANDIDATE"] = None
        else:
            request.attributes["ICE-CONTROLLED"] = TIE_BREAKER
        request.add_message_integrity(self._remote.credentials.password.encode())
        self._send(bytes(request))

    def forget(self) -> None:
        """Count from here on."""
        for stream in self.streams.values():
            stream.packets = stream.gaps = 0

    def report(self) -> None:
        """One receiver report on every stream."""
        if self._sealer is not None:
            blocks = [
                rtcp.ReportBlock(ssrc, 0, max(0, one.gaps), one.highest & 0xFFFFFFFF, 0, 0, 0)
                for ssrc, one in self.streams.items()
            ]
            self._send(self._sealer.seal_rtcp(rtcp.receiver_report(OWN_SSRC, blocks)))

    def drain(self) -> None:
        """Take all that came."""
        receive, take = self.socket.recv, self._take
        try:
            while True:
                take(receive(MOST_BYTES))
        except BlockingIOError:
            return

    def resend(self) -> None:
        """Send the handshake's last flight again."""
        if self._started and not self.connected:
            for datagram in self._dtls.resend():
                self._send(datagram)

    def _take(self, data: bytes) -> None:
        first = data[0]
        if first >= 128:
            if not 192 <= data[1] <= 223:
                sequence, ssrc = struct.unpack_from("!2xH4xL", data)
                stream = self.streams.get(ssrc)
                if stream is None:
                    stream = self.streams[ssrc] = Stream(highest=sequence - 1)
                stream.take(sequence)
        elif first >= 20:
            self._dtls.receive(data)
            self._follow()
        elif data[:2] == b"\x00\x01":
            request = ice.read_request(data, self.local.password)
            if request is not None:
                self._send(ice.success(request, self._remote.address, self.local.password))
        elif not self._started:
            self._started = True
            self._dtls.start()
            self._follow()

    def _follow(self) -> None:
        for datagram in self._dtls.take_outgoing():
            self._send(datagram)
        if self._dtls.state == "established" and not self.connected:
            assert self._dtls.keys is not None
            self._sealer, self.connected = sealer(self._dtls.keys), True
        elif self._dtls.state in ("closed", "failed"):
            self.ended = True

    def _send(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self._remote.address)
