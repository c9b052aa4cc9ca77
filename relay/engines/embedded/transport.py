"""One peer below RTP: its ICE credentials and paths, its DTLS association, its SRTP keys.

``demux.py`` hands it what arrived for it; ``publisher.py`` and ``viewer.py`` are its users. Times are seconds on the
event loop's clock. It owns no timer: ``engine.py`` calls ``resend_handshake`` and reads ``heard_at``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from relay.engines.embedded import dtls
from relay.engines.embedded.agreement import Agreement
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.ice import Credentials, new_credentials
from relay.engines.embedded.srtp import Opener, Sealer, SrtpError, sealer
from relay.engines.embedded.udp import Address, Path

MAX_ADDRESSES = 8  # that one peer may check from at a time: a few interfaces, both families
RESEND_FIRST_S = 0.15  # a lost handshake flight is sent again after this, then after twice as long, and so on
RESEND_MOST_S = 1.0
MOST_RESENDS = 10  # of all flights together: what was never answered may be going to somebody who never asked
PATH_SILENT_S = 3.5  # a path without checks for so long was left (a NAT forgot it): browsers check every 2.5 s


class TransportUser(Protocol):
    """What a transport tells the session above it."""

    accepts_rtp: bool

    def on_connected(self, sealer: Sealer, now_s: float) -> None:
        """Keys are there: packets may be sent, sealed by ``sealer``."""
        ...

    def on_rtp(self, packet: bytes, now_s: float) -> None:
        """An authenticated RTP packet."""
        ...

    def on_rtcp(self, packet: bytes, now_s: float) -> None:
        """An authenticated RTCP compound packet."""
        ...

    def on_closed(self) -> None:
        """The peer ended the session, or its handshake failed."""
        ...


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of ICE credentials. A restart adds one; the older stays valid until the newer is used."""

    local: Credentials
    remote: Credentials
    etag: str


class Transport:
    """Everything below RTP of one session."""

    __slots__ = (
        "_checked_at_s",
        "_chosen",
        "_counters",
        "_dtls",
        "_give_back",
        "_opener",
        "_resend_after_s",
        "_resend_at_s",
        "_resends",
        "_started",
        "addresses",
        "closed",
        "generations",
        "heard_at_s",
        "path",
        "sealer",
        "user",
    )

    def __init__(
        self, endpoint: dtls.Endpoint, agreement: Agreement, user: TransportUser, counters: Counters, now_s: float
    ) -> None:
        role: dtls.Role = "client" if agreement.peer_is_passive else "server"
        self._counters = counters
        self._dtls = dtls.Session(endpoint, role, agreement.fingerprints)
        self._opener: Opener | None = None
        self._give_back: Callable[[], None] = lambda: None  # the socket to itself, if it has one
        self._started = False
        self._chosen = False  # the peer has nominated a path
        self._resend_after_s = RESEND_FIRST_S
        self._resends = 0
        self._resend_at_s = now_s
        self._checked_at_s = now_s
        self.user = user
        self.generations = [new_generation(agreement.credentials)]
        self.addresses: list[Address] = []
        self.path: Path | None = None
        self.sealer: Sealer | None = None
        self.heard_at_s = now_s
        self.closed = False

    @property
    def connected(self) -> bool:
        """Whether packets can be sent."""
        return self.sealer is not None and not self.closed

    def take_path(self, path: Path, now_s: float, *, chosen: bool) -> None:
        """A verified binding request came along ``path``. The peer's choice wins; until it chooses, the newest."""
        self.heard_at_s = now_s
        current = self.path
        undecided = not self._chosen and not self.connected
        if current is None or chosen or undecided or now_s - self._checked_at_s > PATH_SILENT_S:
            self.path = path
            self._checked_at_s = now_s
            self._chosen = self._chosen or chosen
        elif path is current:
            self._checked_at_s = now_s
        if not self._started:
            self._started = True
            self._dtls.start()
            self._flush(now_s)

    def leave_shared(self, own: Callable[[Path], Path]) -> None:
        """Go on through a socket that hears this peer alone, if ``own`` makes one for its path."""
        path = own(self.path) if self.path is not None else None
        if path is not None and path is not self.path:
            self._give_back()
            self.path, self._give_back = path, path.give_back

    def leave(self, address: Address) -> None:
        """Somebody else has proved to be at this address."""
        self.addresses.remove(address)
        if self.path is not None and self.path.address == address:
            self.path = None

    def on_dtls(self, data: bytes, now_s: float) -> None:
        """A DTLS datagram from one of this peer's addresses."""
        before = self._dtls.state
        self._dtls.receive(data)
        self._flush(now_s)
        state = self._dtls.state
        if state == before or self.closed:
            return
        if self._dtls.keys is not None and state == "established":
            self._establish(self._dtls.keys, now_s)
        elif state == "failed":
            self._counters.dtls_failed += 1
            self._counters.dtls_wrong_fingerprint += self._dtls.wrong_fingerprint
            self.user.on_closed()
        elif state == "closed":
            self.user.on_closed()

    def on_srtp(self, data: bytes, now_s: float) -> None:
        """An SRTP or SRTCP packet from one of this peer's addresses."""
        if self._opener is None:
            self._counters.srtp_rejected += 1
            return
        is_rtcp = 192 <= data[1] <= 223  # RFC 5761 §4
        if not is_rtcp and not self.user.accepts_rtp:
            self._counters.rtp_unexpected += 1
            return
        try:
            opened = self._opener.open_rtcp(data) if is_rtcp else self._opener.open_rtp(data)
        except SrtpError:
            self._counters.srtp_rejected += 1
            return
        self.heard_at_s = now_s
        if is_rtcp:
            self.user.on_rtcp(opened, now_s)
        else:
            self.user.on_rtp(opened, now_s)

    def send_rtcp(self, packet: bytes) -> None:
        """Seal and send a compound packet, if the session is up."""
        if self.sealer is None or self.path is None or self.closed:
            return
        try:
            self.path.send(self.sealer.seal_rtcp(packet))
        except SrtpError:
            self._counters.send_failed += 1

    def resend_handshake(self, now_s: float) -> bool:
        """Send the hanging flight again when it is due. Whether there is, or may be, one to watch."""
        if self.closed or self._dtls.state != "handshake":
            return False
        if self._resends < MOST_RESENDS and self.path is not None and now_s >= self._resend_at_s:
            self._resends += 1
            for datagram in self._dtls.resend():
                self.path.send(datagram)
            self._resend_after_s = min(2 * self._resend_after_s, RESEND_MOST_S)
            self._resend_at_s = now_s + self._resend_after_s
        return True

    def close(self) -> None:
        """Say goodbye; nothing is sent after it. Safe to call twice."""
        if self.closed:
            return
        self.closed = True
        path, self.path = self.path, None
        for datagram in self._dtls.close():
            if path is not None:
                path.send(datagram)
        self._give_back()

    def _flush(self, now_s: float) -> None:
        datagrams = self._dtls.take_outgoing()
        if not datagrams or self.path is None:
            return
        for datagram in datagrams:
            self.path.send(datagram)
        self._resend_after_s = RESEND_FIRST_S
        self._resend_at_s = now_s + RESEND_FIRST_S

    def _establish(self, keys: dtls.SrtpKeys, now_s: float) -> None:
        self._opener = Opener(keys)
        self.sealer = sealer(keys)
        self.heard_at_s = now_s
        self._counters.dtls_established += 1
        self.user.on_connected(self.sealer, now_s)


def new_generation(remote: Credentials) -> Generation:
    """Fresh credentials of ours towards a peer's."""
    return Generation(new_credentials(), remote, secrets.token_urlsafe(9))
