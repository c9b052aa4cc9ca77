"""The offers with which the suites ask, written out as RFC 9725 and the WHEP draft want them. Pure.

By hand and not by a library, so that each can be wrong in exactly one way. The credentials are real; the fingerprint is
of no certificate, because no suite goes further than ICE.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["sendonly", "recvonly"]

AUDIO = ("111 opus/48000/2", "111 minptime=10;useinbandfec=1")
VIDEO = ("106 H264/90000", "106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
UNHEARD_OF = ("106 x-never-heard-of/90000", "106 x=1")


def _ufrag() -> str:
    return secrets.token_hex(4)


def _password() -> str:
    return secrets.token_hex(16)


def _fingerprint() -> str:
    return ":".join(f"{byte:02X}" for byte in secrets.token_bytes(32))


@dataclass(frozen=True)
class Credentials:
    """An ICE user fragment and password."""

    ufrag: str = field(default_factory=_ufrag)
    password: str = field(default_factory=_password)

    def lines(self) -> str:
        """As SDP."""
        return f"a=ice-ufrag:{self.ufrag}\r\na=ice-pwd:{self.password}\r\n"


@dataclass(frozen=True)
class Offer:
    """An offer of voice and picture, and the credentials in it."""

    direction: Direction
    setup: str = "actpass"
    video: tuple[str, str] = VIDEO
    videos: int = 1
    bundle_only: bool = False
    credentials: Credentials = field(default_factory=Credentials)
    fingerprint: str = field(default_factory=_fingerprint)

    @property
    def mids(self) -> list[str]:
        """Of the m-lines, in order."""
        return [str(number) for number in range(1 + self.videos)]

    def sdp(self) -> str:
        """The offer."""
        head = (
            f"v=0\r\no=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
            f"a=group:BUNDLE {' '.join(self.mids)}\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS *\r\n"
        )
        sections = [self._section("audio", "0", AUDIO)]
        sections += [self._section("video", mid, self.video) for mid in self.mids[1:]]
        return head + "".join(sections)

    def _section(self, kind: str, mid: str, codec: tuple[str, str]) -> str:
        number = codec[0].partition(" ")[0]
        later = self.bundle_only and mid != "0"
        stream = f"a=msid:stream {kind}{mid}\r\n" if self.direction == "sendonly" else ""
        return (
            f"m={kind} {0 if later else 9} UDP/TLS/RTP/SAVPF {number}\r\nc=IN IP4 0.0.0.0\r\n"
            f"{self.credentials.lines()}a=ice-options:trickle\r\na=fingerprint:sha-256 {self.fingerprint}\r\n"
            f"a=setup:{self.setup}\r\na=mid:{mid}\r\n{'a=bundle-only' + chr(13) + chr(10) if later else ''}"
            f"a={self.direction}\r\n{stream}a=rtcp-mux\r\na=rtcp-mux-only\r\n"
            f"a=rtpmap:{codec[0]}\r\na=fmtp:{codec[1]}\r\n"
        )


def trickle(credentials: Credentials, candidate: str = "1 1 udp 2122260223 192.0.2.1 61764 typ host") -> str:
    """A fragment that trickles one candidate (RFC 8840)."""
    return (
        f"{credentials.lines()}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
        f"a=candidate:{candidate}\r\na=end-of-candidates\r\n"
    )


def restart(credentials: Credentials) -> str:
    """A fragment that restarts ICE, as in RFC 9725's own example."""
    return credentials.lines()
