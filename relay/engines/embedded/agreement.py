"""What the relay takes of an offer, and the answer that says so.

Pure. An offer is taken whole or refused whole (RFC 9725 §4.2: never a partly refused m-line). Of the codecs, only
H.264 in packetization mode 1 and Opus are taken, each with the payload type that the offer gave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from relay.engines.embedded.dtls import Fingerprint
from relay.engines.embedded.ice import Credentials
from relay.engines.embedded.sdp import Codec, Media, Offer
from relay.errors import OfferRejected

Kind = Literal["video", "audio"]

MID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:mid"
SEND_TIME_EXTENSION = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
ONE_BYTE_MOST = 14  # the highest identifier of a one-byte header extension (RFC 8285 §4.2)
PROTOCOLS = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"})
FEEDBACK = ("nack", "nack pli", "ccm fir", "goog-remb")
CLOCK_RATES: dict[Kind, int] = {"video": 90_000, "audio": 48_000}


@dataclass(frozen=True, slots=True)
class Line:
    """One agreed m-line. ``rtx`` is the retransmission payload type (RFC 4588), if there is one. ``send_time`` is the
    header extension in which a viewer reads when a packet left, to measure its line; 0: it would not."""

    kind: Kind
    mid: str
    protocol: str
    codec: Codec
    rtx: int | None
    mid_extension: int | None
    send_time: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Everything of an offer that the session needs."""

    credentials: Credentials
    fingerprints: tuple[Fingerprint, ...]
    peer_is_passive: bool
    lines: tuple[Line, ...]

    def line(self, kind: Kind) -> Line | None:
        """The m-line of this kind, if there is one."""
        return next((line for line in self.lines if line.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The sources that a viewer will get on one m-line."""

    ssrc: int
    rtx_ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host candidate of the relay."""

    address: str
    port: int
    priority: int

    def line(self, number: int) -> str:
        """``a=candidate`` (RFC 8839 §5.1)."""
        return f"a=candidate:{number} 1 udp {self.priority} {self.address} {self.port} typ host"


def agree_to_publish(offer: Offer) -> Agreement:
    """Take a WHIP offer. Raises ``OfferRejected``."""
    return _agree(offer, ("sendonly", "sendrecv"), "a publisher's media must be a=sendonly")


def agree_to_watch(offer: Offer) -> Agreement:
    """Take a WHEP offer. Raises ``OfferRejected``."""
    return _agree(offer, ("recvonly", "sendrecv"), "a viewer's media must be a=recvonly")


def _agree(offer: Offer, directions: tuple[str, ...], advice: str) -> Agreement:
    for kind, name in (("video", "video"), ("audio", "audio")):
        if sum(media.kind == kind for media in offer.media) > 1:
            raise OfferRejected(422, f"the offer has two {name} sections; one is the most")
    for media in offer.media:
        if media.direction not in directions:
            raise OfferRejected(422, f"{advice}, not {media.direction}")
    if offer.setup not in ("actpass", "active", "passive"):
        raise OfferRejected(422, "the offer's a=setup must be actpass, active or passive")
    lines = tuple(_line(media) for media in offer.media)
    types = [number for line in lines for number in (line.codec.payload_type, line.rtx) if number is not None]
    if len(set(types)) != len(types):
        raise OfferRejected(400, "two codecs of the bundle share a payload type")
    if any(64 <= number < 96 for number in types):
        raise OfferRejected(422, "payload types 64 to 95 cannot be told from RTCP (RFC 5761)")
    return Agreement(offer.credentials, offer.fingerprints, offer.setup == "passive", lines)


def _line(media: Media) -> Line:
    if media.kind not in ("video", "audio"):
        raise OfferRejected(422, f"the offer has an m={media.kind[:16]} section; only video and audio are taken")
    if media.protocol not in PROTOCOLS:
        raise OfferRejected(422, f"{media.kind} must use UDP/TLS/RTP/SAVPF (DTLS-SRTP)")
    if media.zero_port:
        raise OfferRejected(422, f"the {media.kind} section is switched off (port 0)")
    if not media.rtcp_mux:
        raise OfferRejected(422, f"{media.kind} must offer a=rtcp-mux")
    kind: Kind = "video" if media.kind == "video" else "audio"
    codec = _h264(media.codecs) if kind == "video" else _opus(media.codecs)
    rtx = _rtx(media.codecs, codec.payload_type)
    return Line(
        kind=kind,
        mid=media.mid,
        protocol=media.protocol,
        codec=codec,
        rtx=rtx,
        mid_extension=media.extensions.get(MID_EXTENSION),
        send_time=_send_time(media, codec) if rtx is not None else 0,
    )


def _send_time(media: Media, codec: Codec) -> int:
    """Only for who tells what it has measured. And not without RTX: there a lost packet is sent again as it was, sealed
    under the same number, and a time that differs would give the key away (RFC 7714 §8.4)."""
    identifier = media.extensions.get(SEND_TIME_EXTENSION, 0)
    return identifier if "goog-remb" in codec.feedback and identifier <= ONE_BYTE_MOST else 0


def _h264(codecs: Sequence[Codec]) -> Codec:
    rate = CLOCK_RATES["video"]
    usable = [
        codec
        for codec in codecs
        if codec.name == "h264" and codec.clock_rate == rate and codec.parameters.get("packetization-mode") == "1"
    ]
    if not usable:
        raise OfferRejected(406, "video must offer H.264 with packetization-mode=1")
    return min(usable, key=_distance)


def _distance(codec: Codec) -> int:
    """How far a profile is from what the kit sends, constrained baseline; the first of equals wins."""
    profile = codec.parameters.get("profile-level-id", "42000a").lower()
    for rank, known in enumerate(("42e0", "42c0", "4240", "42", "4d", "64")):
        if profile.startswith(known):
            return rank
    return 6


def _opus(codecs: Sequence[Codec]) -> Codec:
    for codec in codecs:
        if codec.name == "opus" and codec.clock_rate == CLOCK_RATES["audio"]:
            return codec
    raise OfferRejected(406, "audio must offer Opus")


def _rtx(codecs: Sequence[Codec], payload_type: int) -> int | None:
    for codec in codecs:
        if codec.name == "rtx" and codec.parameters.get("apt") == str(payload_type):
            return codec.payload_type
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """The relay's side of an answer."""

    session_number: int
    credentials: Credentials
    fingerprint: Fingerprint
    candidates: tuple[Candidate, ...]


def write_answer(agreement: Agreement, local: Local, outgoing: dict[Kind, Outgoing] | None = None) -> str:
    """The answer. ``outgoing`` are a viewer's sources; without them the peer publishes."""
    lines = [
        "v=0",
        f"o=- {local.session_number} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(line.mid for line in agreement.lines)}",
        "a=ice-lite",
        "a=msid-semantic: WMS *",
    ]
    for line in agreement.lines:
        lines += _answer_line(line, agreement, local, outgoing)
    return "\r\n".join(lines) + "\r\n"


def _answer_line(line: Line, agreement: Agreement, local: Local, outgoing: dict[Kind, Outgoing] | None) -> list[str]:
    types = [str(number) for number in (line.codec.payload_type, line.rtx) if number is not None]
    first = local.candidates[0]
    family = "IP6" if ":" in first.address else "IP4"
    lines = [
        f"m={line.kind} {first.port} {line.protocol} {' '.join(types)}",
        f"c=IN {family} {first.address}",
        f"a=mid:{line.mid}",
        "a=recvonly" if outgoing is None else "a=sendonly",
        "a=rtcp-mux",
        "a=rtcp-mux-only",
        *_transport(local, "active" if agreement.peer_is_passive else "passive"),
        *_codec(line),
    ]
    if outgoing is None and line.mid_extension is not None:
        lines.append(f"a=extmap:{line.mid_extension} {MID_EXTENSION}")
    if outgoing is not None and line.send_time:
        lines.append(f"a=extmap:{line.send_time} {SEND_TIME_EXTENSION}")
    if outgoing is not None:
        lines += _sources(line, outgoing[line.kind])
    return lines + candidate_lines(local.candidates)  # on every m-line: aiortc reads those of the last one only


def candidate_lines(candidates: tuple[Candidate, ...]) -> list[str]:
    """All of them, and that there are no more: a client that waits for more would hang."""
    return [*(item.line(number) for number, item in enumerate(candidates, 1)), "a=end-of-candidates"]


def _transport(local: Local, setup: str) -> list[str]:
    return [
        f"a=ice-ufrag:{local.credentials.ufrag}",
        f"a=ice-pwd:{local.credentials.password}",
        f"a=fingerprint:{local.fingerprint.algorithm} {local.fingerprint.value}",
        f"a=setup:{setup}",
    ]


def _codec(line: Line) -> list[str]:
    codec, number = line.codec, line.codec.payload_type
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    name = "H264" if line.kind == "video" else "opus"
    lines = [f"a=rtpmap:{number} {name}/{codec.clock_rate}{channels}"]
    if codec.parameters:
        lines.append(
            f"a=fmtp:{number} {';'.join(f'{key}={value}' if value else key for key, value in codec.parameters.items())}"
        )
    lines += [f"a=rtcp-fb:{number} {what}" for what in FEEDBACK if what in codec.feedback]
    if line.rtx is not None:
        lines += [f"a=rtpmap:{line.rtx} rtx/{codec.clock_rate}", f"a=fmtp:{line.rtx} apt={number}"]
    return lines


def _sources(line: Line, outgoing: Outgoing) -> list[str]:
    """Named sources bind packets to the m-line without a MID in every packet (RFC 8843 §9.2)."""
    ssrcs = [outgoing.ssrc]
    lines = [f"a=msid:{outgoing.cname} {outgoing.cname}-{line.kind}"]
    if line.rtx is not None:
        ssrcs.append(outgoing.rtx_ssrc)
        lines.append(f"a=ssrc-group:FID {outgoing.ssrc} {outgoing.rtx_ssrc}")
    return lines + [f"a=ssrc:{ssrc} cname:{outgoing.cname}" for ssrc in ssrcs]


def write_fragment(agreement: Agreement, local: Local) -> str:
    """The fragment that answers an ICE restart (RFC 9725 §4.3.3): new credentials, all candidates."""
    first = agreement.lines[0]
    lines = [
        "a=ice-lite",
        f"a=group:BUNDLE {' '.join(line.mid for line in agreement.lines)}",
        f"m={first.kind} 9 {first.protocol} {first.codec.payload_type}",
        f"a=mid:{first.mid}",
        f"a=ice-ufrag:{local.credentials.ufrag}",
        f"a=ice-pwd:{local.credentials.password}",
        *candidate_lines(local.candidates),
    ]
    return "\r\n".join(lines) + "\r\n"
