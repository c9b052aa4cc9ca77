"""Reads the register (``relay/classroom/register.py``) and keeps it current.

``current()`` looks whether it changed since, which costs a statement or two, and reads all again only then.
When the database cannot be read, the last register stays in force: what is live goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import select

from relay.classroom.links import new_id
from relay.classroom.register import Register
from relay.classroom.school import Kit, Room, School, SchoolClass, StreamKey
from relay.errors import StoreUnavailable
from relay.store.database import Database, RevisionProbe, unbroken
from relay.store.models import ClassRow, KitRow, LessonRow, RelayRow, RoomRow, SchoolRow, StreamKeyRow

HAND_MEMORY_S = 48 * 3600  # how long a kit that was off may come back with a lesson that was ended by hand

_log = logging.getLogger(__name__)


class Troubles(Protocol):
    """Where failures are counted (``relay/web/metrics.py``)."""

    def store_failed(self, what: str) -> None: ...


class RegisterReader:
    """See the module. ``latest`` is the last register read; closed by its owner."""

    def __init__(self, database: Database, troubles: Troubles) -> None:
        self._database = database
        self._troubles = troubles
        self._probe = RevisionProbe(database)
        self._revision: int | None = None
        self._lock = asyncio.Lock()
        self._healthy = True
        self._latest: Register | None = None
        self._changed: Callable[[Register], None] = _nobody

    def follow(self, changed: Callable[[Register], None]) -> None:
        """Call ``changed`` with every register that is read, before anybody is answered by it: a link that opened the
        door for a request is then one whose end is noticed, too."""
        self._changed = changed

    @property
    def latest(self) -> Register:
        """The last register read; ``open`` reads the first."""
        if self._latest is None:
            raise StoreUnavailable("the register was not read yet")
        return self._latest

    async def open(self) -> Register:
        """The first register. Raises ``StoreUnavailable``."""
        async with self._lock:
            return await self._refresh()

    async def current(self) -> Register:
        """The register as of now, or the last one while the database cannot be read."""
        async with self._lock:
            try:
                found = await self._refresh()
            except StoreUnavailable as error:
                self._note_failure(error)
                return self.latest
            if not self._healthy:
                _log.warning("the database can be read again")
            self._healthy = True
            return found

    async def check(self) -> None:
        """Whether the database can be read. Raises ``StoreUnavailable``."""
        async with self._lock:
            await self._refresh()

    async def close(self) -> None:
        """Give back what is held."""
        async with self._lock:
            await self._probe.close()

    async def _refresh(self) -> Register:
        return await unbroken(self._look())

    async def _look(self) -> Register:
        revision = await self._probe.revision()
        if self._latest is None or revision != self._revision:
            self._latest = await read_register(self._database)
            self._revision = revision  # read before: what is committed meanwhile is seen the next time
            self._changed(self._latest)
        return self._latest

    def _note_failure(self, error: StoreUnavailable) -> None:
        self._troubles.store_failed("read")
        if self._healthy:  # once per outage; the counter has the rest
            _log.error("%s; classes, links and kits stay as they were last known", error)
        self._healthy = False


def _nobody(_register: Register) -> None:
    pass


async def ensure_relay_id(database: Database) -> str:
    """This relay's id; made at the first call. Raises ``StoreUnavailable``."""
    async with database.writing() as session:
        row = await session.get(RelayRow, 1)
        if row is None:
            row = RelayRow(one=1, relay_id=new_id())
            session.add(row)
        return row.relay_id


async def read_register(database: Database) -> Register:
    """Everything, as of one moment. Raises ``StoreUnavailable``."""
    since_ms = round((time.time() - HAND_MEMORY_S) * 1000)
    async with database.reading() as session:
        relay = await session.get_one(RelayRow, 1)
        schools = (await session.scalars(select(SchoolRow))).all()
        classes = (await session.scalars(select(ClassRow))).all()
        rooms = (await session.scalars(select(RoomRow))).all()
        kits = (await session.scalars(select(KitRow))).all()
        keys = (await session.scalars(select(StreamKeyRow))).all()
        ended = await session.scalars(
            select(LessonRow.lesson_id).where(LessonRow.end_reason == "hand", LessonRow.ended_unix_ms > since_ms)
        )
        return Register(
            relay_id=relay.relay_id,
            schools={row.school_id: School(school_id=row.school_id, name=row.name) for row in schools},
            classes={row.class_id: school_class(row) for row in classes},
            rooms={row.room_id: room(row) for row in rooms},
            kits={row.kit_id: _kit(row) for row in kits},
            stream_keys={row.key_id: stream_key(row) for row in keys},
            ended_by_hand=frozenset(ended),
        )


def school_class(row: ClassRow) -> SchoolClass:
    """A row as the domain knows it."""
    return SchoolClass(class_id=row.class_id, school_id=row.school_id, name=row.name, link=row.link)


def room(row: RoomRow) -> Room:
    """A row as the domain knows it."""
    return Room(room_id=row.room_id, school_id=row.school_id, name=row.name, class_id=row.class_id)


def stream_key(row: StreamKeyRow) -> StreamKey:
    """A row as the domain knows it."""
    return StreamKey(
        key_id=row.key_id,
        room_id=row.room_id,
        digest=row.digest,
        expires_unix_ms=row.expires_unix_ms,
        revoked=row.revoked_unix_ms is not None,
    )


def _kit(row: KitRow) -> Kit:
    return Kit(
        kit_id=row.kit_id,
        room_id=row.room_id,
        public_key=row.public_key,
        software=row.software,
        enrolled_unix_ms=row.enrolled_unix_ms,
        revoked=row.revoked_unix_ms is not None,
    )
