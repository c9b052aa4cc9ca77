"""What the routes work with, and where they find it: ``request.app[RELAY]``. Filled by ``relay/app.py``.

The protocols here are what the web layer needs of the store; it knows no database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiohttp import web

from relay.archive.archive import Archive
from relay.archive.recording import Listed
from relay.classroom.live import Moment
from relay.classroom.rate import GuessLimit
from relay.classroom.register import Register
from relay.classroom.registry import LiveRegistry
from relay.engines.base import Engine
from relay.web.ice_servers import IceServers
from relay.web.metrics import Metrics


class Registers(Protocol):
    """The school as it is now; ``latest`` is at most a second old."""

    @property
    def latest(self) -> Register: ...
    async def current(self) -> Register: ...
    async def check(self) -> None: ...


class Enrolling(Protocol):
    """Takes a kit in. Raises ``CodeRefused``, ``StoreUnavailable``."""

    async def enrol(self, code: str, public_key: bytes, software: str, now_unix_ms: int) -> str: ...


class Stills(Protocol):
    """Where board stills are; all of it blocks."""

    def keep(self, lesson_id: str, capture_us: int, picture: bytes) -> bool: ...
    def path(self, lesson_id: str, capture_us: int) -> Path: ...
    def of_lesson(self, lesson_id: str) -> list[int]: ...


class Recordings(Protocol):
    """Recordings as lists show them. Raises ``StoreUnavailable``."""

    async def of_class(self, class_id: str) -> list[Listed]: ...
    async def of_lesson(self, lesson_id: str) -> list[Listed]: ...


class LessonLinks(Protocol):
    """Links to one lesson. Raises ``StoreUnavailable``."""

    async def lesson_by_link(self, digest: str, now_unix_ms: int) -> str | None: ...


@dataclass(frozen=True, kw_only=True)
class Relay:
    """Everything that the routes work with."""

    registers: Registers
    enrolling: Enrolling
    stills: Stills
    archive: Archive
    recordings: Recordings
    keeping: LessonLinks
    engine: Engine
    live: LiveRegistry
    metrics: Metrics
    clock: Callable[[], Moment]
    guesses: GuessLimit
    ice_servers: IceServers


RELAY = web.AppKey("relay", Relay)
