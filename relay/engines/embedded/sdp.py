"""Reading SDP (RFC 8866, RFC 8829): an offer, or an ICE fragment (RFC 8840), as typed values.

Pure and strict: what a session needs must be there and well-formed, or ``OfferRejected`` says what is wrong in one
line. What is not needed is skipped. Not here: what the relay accepts of an offer (``agreement.py``), and the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.engines.embedded.dtls import Fingerprint, knows_digest
from relay.engines.embedded.ice import Credentials
from relay.errors import FragmentRejected, OfferRejected

MAX_OFFER_BYTES = 64 * 1024
MAX_FRAGMENT_BYTES = 16 * 1024
MAX_MEDIA = 8
MAX_CODECS = 128  # payload types are 7 bits

_LINE = re.compile(r"[a-z]=.*")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}")
_ICE_CHARS = r"[A-Za-z0-9+/=_-]"  # RFC 8839 says + and /; FFmpeg and others have been seen with more
_UFRAG = re.compile(_ICE_CHARS + r"{4,256}")
_PASSWORD = re.compile(_ICE_CHARS + r"{22,256}")
_HEX_PAIRS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2})+")
_DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of a media section."""

    payload_type: int
    name: str  # lower case
    clock_rate: int
    channels: int
    parameters: Mapping[str, str]
    feedback: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Media:
    """One m-line. ``extensions`` maps a header extension's URI to its id."""

    kind: str
    mid: str
    protocol: str
    direction: str
    codecs: tuple[Codec, ...]
    extensions: Mapping[str, int]
    rtcp_mux: bool
    zero_port: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """A whole offer whose media share one transport."""

    credentials: Credentials
    fingerprints: tuple[Fingerprint, ...]
    setup: str
    media: tuple[Media, ...]


@dataclass
class _Section:
    """Lines of one m-section, or of the session part, sorted by what they say."""

    head: str = ""
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def first(self, name: str) -> str | None:
        return next((value for key, value in self.attributes if key == name), None)

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def read_offer(text: str) -> Offer:
    """The offer in ``text``. Raises ``OfferRejected``."""
    if len(text.encode("utf-8", "replace")) > MAX_OFFER_BYTES:
        raise OfferRejected(400, f"the offer is larger than {MAX_OFFER_BYTES // 1024} KiB")
    session, sections = _sections(text)
    if not sections:
        raise OfferRejected(400, "the offer has no media")
    if len(sections) > MAX_MEDIA:
        raise OfferRejected(422, "the offer has too many media sections")
    media = tuple(_media(section, session, position) for position, section in enumerate(sections))
    _check_bundle(session, media)
    return Offer(
        credentials=_credentials(session, sections),
        fingerprints=_fingerprints(session, sections),
        setup=_one(session, sections, "setup") or "actpass",
        media=media,
    )


def _sections(text: str) -> tuple[_Section, list[_Section]]:
    lines = [line.rstrip("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or lines[0] != "v=0":
        raise OfferRejected(400, "the body is not SDP: it must start with v=0")
    session = _Section()
    sections: list[_Section] = []
    for line in lines[1:]:
        if not _LINE.fullmatch(line):
            raise OfferRejected(400, "the body is not SDP: a line is not type=value")
        here = sections[-1] if sections else session
        if line.startswith("m="):
            sections.append(_Section(head=line[2:]))
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            here.attributes.append((name.strip(), value.strip()))
    return session, sections


def _one(session: _Section, sections: list[_Section], name: str) -> str | None:
    """The attribute of the section that owns the bundle's transport: the first, or the session's."""
    return sections[0].first(name) or session.first(name)


def _credentials(session: _Section, sections: list[_Section]) -> Credentials:
    ufrag, password = _one(session, sections, "ice-ufrag"), _one(session, sections, "ice-pwd")
    if ufrag is None or password is None:
        raise OfferRejected(422, "the offer has no ICE credentials (a=ice-ufrag, a=ice-pwd)")
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        raise OfferRejected(400, "the offer's ICE credentials are malformed")
    return Credentials(ufrag, password)


def _fingerprints(session: _Section, sections: list[_Section]) -> tuple[Fingerprint, ...]:
    lines = sections[0].every("fingerprint") or session.every("fingerprint")
    if not lines:
        raise OfferRejected(422, "the offer has no DTLS fingerprint (a=fingerprint)")
    found = []
    for line in lines:
        algorithm, _, value = line.partition(" ")
        fingerprint = Fingerprint(algorithm.lower(), value.strip().upper())
        if not _HEX_PAIRS.fullmatch(fingerprint.value):
            raise OfferRejected(400, "the offer's DTLS fingerprint is malformed")
        found.append(fingerprint)
    if not any(knows_digest(item.algorithm) for item in found):
        raise OfferRejected(422, "the offer's DTLS fingerprints use no known algorithm; sha-256 is")
    return tuple(found)


def _check_bundle(session: _Section, media: tuple[Media, ...]) -> None:
    mids = [item.mid for item in media]
    if len(set(mids)) != len(mids):
        raise OfferRejected(400, "two media sections have the same a=mid")
    if len(media) == 1:
        return
    groups = [group.split()[1:] for group in session.every("group") if group.startswith("BUNDLE")]
    if not any(set(mids) <= set(group) for group in groups):
        raise OfferRejected(422, "the offer does not bundle all of its media (a=group:BUNDLE)")


def _media(section: _Section, session: _Section, position: int) -> Media:
    words = section.head.split()
    if len(words) < 4 or not words[1].partition("/")[0].isascii() or not words[1].partition("/")[0].isdigit():
        raise OfferRejected(400, "a media line (m=) is malformed")
    kind, port, protocol, formats = words[0], words[1], words[2], words[3:]
    mid = section.first("mid")
    if mid is None:
        mid = str(position)
    elif not _TOKEN.fullmatch(mid):
        raise OfferRejected(400, "an a=mid is malformed")
    names = [name for name, _ in (*session.attributes, *section.attributes) if name in _DIRECTIONS]
    return Media(
        kind=kind,
        mid=mid,
        protocol=protocol,
        direction=names[-1] if names else "sendrecv",
        codecs=_codecs(section, formats) if "RTP" in protocol else (),
        extensions=_extensions(section),
        rtcp_mux=section.first("rtcp-mux") is not None,
        zero_port=port == "0" and section.first("bundle-only") is None,
    )


def _number(text: str, lowest: int, highest: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and lowest <= int(text) <= highest):
        raise OfferRejected(400, f"{what} is malformed")
    return int(text)


def _codecs(section: _Section, formats: list[str]) -> tuple[Codec, ...]:
    if len(formats) > MAX_CODECS:
        raise OfferRejected(400, "a media line has too many payload types")
    maps = dict(_split(line) for line in section.every("rtpmap"))
    parameters = dict(_split(line) for line in section.every("fmtp"))
    feedback: dict[str, list[str]] = {}
    for number, what in (_split(line) for line in section.every("rtcp-fb")):
        feedback.setdefault(number, []).append(what)
    found = []
    for text in dict.fromkeys(formats):
        payload_type = _number(text, 0, 127, "a payload type")
        if text not in maps:
            continue  # a static payload type (RFC 3551): none of them is for us
        name, _, rest = maps[text].partition("/")
        rate, _, channels = rest.partition("/")
        found.append(
            Codec(
                payload_type=payload_type,
                name=name.lower(),
                clock_rate=_number(rate, 1, 999_999_999, "a=rtpmap"),
                channels=_number(channels or "1", 1, 255, "a=rtpmap"),
                parameters=_parameters(parameters.get(text, "")),
                feedback=tuple(dict.fromkeys(feedback.get(text, []) + feedback.get("*", []))),
            )
        )
    return tuple(found)


def _split(line: str) -> tuple[str, str]:
    head, _, rest = line.partition(" ")
    return head, rest.strip()


def _parameters(text: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in text.split(";") if part.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _extensions(section: _Section) -> dict[str, int]:
    found = {}
    for line in section.every("extmap"):
        number, uri = _split(line)
        found[uri.partition(" ")[0]] = _number(number.partition("/")[0], 1, 4095, "a=extmap")
    return found


def read_fragment(text: str) -> Credentials | None:
    """The ICE credentials that a PATCH body names, or ``None`` when it only trickles candidates.

    Raises ``FragmentRejected``.
    """
    if len(text.encode("utf-8", "replace")) > MAX_FRAGMENT_BYTES:
        raise FragmentRejected(f"the fragment is larger than {MAX_FRAGMENT_BYTES // 1024} KiB")
    values: dict[str, str] = {}
    for line in text.splitlines():
        if line and not _LINE.fullmatch(line):
            raise FragmentRejected("the body is not an SDP fragment: a line is not type=value")
        name, _, value = line.removeprefix("a=").partition(":")
        if line.startswith("a=ice-") and values.setdefault(name, value.strip()) != value.strip():
            raise FragmentRejected("the fragment names two sets of ICE credentials")
    ufrag, password = values.get("ice-ufrag"), values.get("ice-pwd")
    if ufrag is None and password is None:
        if "a=candidate" not in text and "a=end-of-candidates" not in text:
            raise FragmentRejected("the fragment holds neither ICE credentials nor candidates")
        return None
    if ufrag is None or password is None or not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        raise FragmentRejected("the fragment's ICE credentials are malformed")
    return Credentials(ufrag, password)
