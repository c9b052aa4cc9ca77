"""What kits and relays say of themselves on the local network, as the TXT record of DNS-SD (RFC 6763 §6).

Pure; ``mdns.py`` carries it, docs/protocol.md describes it. Everybody on the network can read it, and anybody can forge
it: it never holds a class, a name of a child, a link or a secret, and what is read is bounded and printable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

KIT_KIND = "_parta-kit._tcp.local."
RELAY_KIND = "_parta-relay._tcp.local."

#: As coarse as is useful: that a curtain is closed, or how well a lesson arrives, is nobody's business outside.
CoarseState = Literal["new", "ready", "lesson", "fault"]

#: A TXT string has 255 octets, key and "=" included (RFC 6763 §6.1).
MAX_VALUE_OCTETS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class KitAnnouncement:
    """A kit. ``kit_id`` and ``room`` are empty until it is enrolled; ``state`` is then ``new``."""

    kit_id: str
    room: str
    version: str
    state: CoarseState

    def txt(self) -> dict[str, str]:
        """As a TXT record."""
        return _bounded({"id": self.kit_id, "room": self.room, "version": self.version, "state": self.state})

    @classmethod
    def read(cls, txt: Mapping[str, str | None]) -> KitAnnouncement:
        """What somebody announced; what is missing or strange is empty, or ``new``."""
        state = printable(txt.get("state"))
        return cls(
            kit_id=printable(txt.get("id")),
            room=printable(txt.get("room")),
            version=printable(txt.get("version")),
            state=cast("CoarseState", state) if state in get_args(CoarseState) else "new",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayAnnouncement:
    """A relay: the address that kits and pupils use."""

    url: str
    version: str

    def txt(self) -> dict[str, str]:
        """As a TXT record."""
        return _bounded({"url": self.url, "version": self.version})

    @classmethod
    def read(cls, txt: Mapping[str, str | None]) -> RelayAnnouncement:
        """What somebody announced; the address is empty unless it is one."""
        url = printable(txt.get("url"))
        is_address = url.startswith(("http://", "https://")) and " " not in url
        return cls(url=url if is_address else "", version=printable(txt.get("version")))


def printable(text: str | None) -> str:
    """A stranger's text, safe to print on a terminal: no control or direction-changing characters, and short."""
    return _cut("".join(character for character in text or "" if character.isprintable())).strip()


def _bounded(values: Mapping[str, str]) -> dict[str, str]:
    return {key: _cut(value) for key, value in values.items()}


def _cut(text: str) -> str:
    return text.encode(errors="ignore")[:MAX_VALUE_OCTETS].decode(errors="ignore")
