"""The kit on its local network: what it announces of itself, and which kits and relays it sees.

Used by ``kit.py`` (announcing) and the commands (looking). Not here: multicast DNS (``wire/mdns.py``) and what an
announcement holds (``wire/announcement.py``). What is seen is a stranger's word: it is offered to a person, never used
by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from appliance.settings import SetupSection
from wire.announcement import KIT_KIND, RELAY_KIND, CoarseState, KitAnnouncement, RelayAnnouncement, printable
from wire.mdns import Service, browsing
from wire.messages import KitState

#: Answers take a tenth of a second; a second question, for what Wi-Fi lost, goes out after one second.
LOOK_S = 3.0

_COARSE: Mapping[KitState, CoarseState] = {"idle": "ready", "fault": "fault"}  # all others: a lesson
_LOOPBACK = ("127.", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenKit:
    """A kit that announced itself. ``port`` 0: it has no page to open."""

    name: str
    kit_id: str
    room: str
    version: str
    state: CoarseState
    addresses: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRelay:
    """A relay that announced itself."""

    name: str
    url: str
    version: str
    addresses: tuple[str, ...]


@dataclass(slots=True)
class Seen:
    """Everybody on the local network, by full service name."""

    kits: dict[str, SeenKit] = field(default_factory=dict)
    relays: dict[str, SeenRelay] = field(default_factory=dict)

    def changed(self, full_name: str, service: Service | None) -> None:
        """A service came, changed, or (``None``) withdrew."""
        self.kits.pop(full_name, None)
        self.relays.pop(full_name, None)
        if service is None:
            return
        if service.kind == KIT_KIND:
            self.kits[full_name] = _kit(service)
        elif (relay := _relay(service)).url:
            self.relays[full_name] = relay


async def look_around(for_s: float = LOOK_S, on_change: Callable[[Seen], None] = lambda seen: None) -> Seen:
    """Everybody who answers within ``for_s``; ``on_change`` hears of each. Raises ``OSError`` without a network."""
    seen = Seen()

    def changed(full_name: str, service: Service | None) -> None:
        seen.changed(full_name, service)
        on_change(seen)

    async with browsing((KIT_KIND, RELAY_KIND), changed):
        await asyncio.sleep(for_s)
    return seen


def kit_service(public_key: str, announcement: KitAnnouncement, port: int) -> Service:
    """What a kit announces. Its name comes from its key, so it is the same before and after enrolment."""
    fingerprint = hashlib.sha256(public_key.encode()).hexdigest()[:8]
    return Service(kind=KIT_KIND, name=f"parta-kit-{fingerprint}", port=port, txt=announcement.txt())


def coarse(state: KitState, *, enrolled: bool) -> CoarseState:
    """A kit's state, as the network may know it."""
    return _COARSE.get(state, "lesson") if enrolled or state != "idle" else "new"


def page_port(setup: SetupSection) -> int:
    """The port of the page that others can open; 0 where there is none."""
    return 0 if not setup.enabled or setup.host.startswith(_LOOPBACK) else setup.port


def _kit(service: Service) -> SeenKit:
    said = KitAnnouncement.read(service.txt)
    return SeenKit(
        name=printable(service.name),
        kit_id=said.kit_id,
        room=said.room,
        version=said.version,
        state=said.state,
        addresses=service.addresses,
        port=service.port,
    )


def _relay(service: Service) -> SeenRelay:
    said = RelayAnnouncement.read(service.txt)
    return SeenRelay(name=printable(service.name), url=said.url, version=said.version, addresses=service.addresses)
