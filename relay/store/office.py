"""The school office: what the IT person creates, lists and takes back, beside a running relay.

Used by ``relay/cli.py``. Names are what people type ("7Б", "12"); a relay with one school needs no school's name.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from relay.classroom.links import code_digest, new_code, new_id, new_link, new_stream_key, plain_code, stream_key_digest
from relay.classroom.school import Lesson, School, SchoolClass
from relay.errors import AlreadyThere, NoSuch
from relay.store.database import Database
from relay.store.lesson_log import lesson
from relay.store.models import (
    Base,
    ClassRow,
    EnrolCodeRow,
    KitRow,
    LessonRow,
    RelayRow,
    RoomRow,
    SchoolRow,
    StreamKeyRow,
)
from relay.store.register import school_class

MAX_NAME = 200
Row = TypeVar("Row", bound=Base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A secret that is shown once: an enrol code or a stream key."""

    secret: str
    secret_id: str
    school: str
    room: str
    class_name: str
    expires_unix_ms: int


class Office:
    """See the module. Every method raises ``StoreUnavailable`` when the database does not serve."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_school(self, name: str) -> School:
        """A new school. Raises ``AlreadyThere``."""
        row = SchoolRow(school_id=new_id(), name=_name(name))
        await self._add(row, f"there is a school named {name} already")
        return School(school_id=row.school_id, name=row.name)

    async def add_class(self, name: str, school: str | None) -> tuple[School, SchoolClass]:
        """A new class with a fresh link. Raises ``NoSuch``, ``AlreadyThere``."""
        found = await self._school(school)
        row = ClassRow(class_id=new_id(), school_id=found.school_id, name=_name(name), link=new_link())
        await self._add(row, f"there is a class named {name} in {found.name} already")
        return found, school_class(row)

    async def find_class(self, name: str, school: str | None) -> SchoolClass:
        """A class by its name. Raises ``NoSuch``."""
        found = await self._school(school)
        async with self._database.reading() as session:
            return school_class(await _class(session, found, name))

    async def rotate_link(self, name: str, school: str | None) -> SchoolClass:
        """A fresh link; the old one opens nothing any more. Raises ``NoSuch``."""
        found = await self._school(school)
        async with self._database.writing() as session:
            row = await _class(session, found, name)
            row.link = new_link()
            return school_class(row)

    async def assign_room(self, room: str, class_name: str, school: str | None) -> None:
        """The room's next lessons go to this class. Raises ``NoSuch``."""
        found = await self._school(school)
        async with self._database.writing() as session:
            row = await session.scalar(
                select(RoomRow).where(RoomRow.school_id == found.school_id, RoomRow.name == _name(room))
            )
            if row is None:
                raise NoSuch(f"{found.name} has no room {room}; `kit enrol-code --room` makes one")
            row.class_id = (await _class(session, found, class_name)).class_id

    async def issue_code(
        self, room: str, class_name: str | None, school: str | None, now_unix_ms: int, valid_s: float
    ) -> Issued:
        """An enrol code for a kit in a room; makes the room, and assigns the class. Raises ``NoSuch``."""
        found = await self._school(school)
        code, expires_ms = new_code(), now_unix_ms + round(valid_s * 1000)
        async with self._database.writing() as session:
            place, taught = await _place(session, found, room, class_name)
            relay = await session.get_one(RelayRow, 1)
            digest = code_digest(plain_code(code) or "", relay.relay_id)
            session.add(EnrolCodeRow(digest=digest, room_id=place.room_id, expires_unix_ms=expires_ms))
            return _issued(code, digest[:8], found, place, taught, expires_ms)

    async def issue_stream_key(
        self, room: str, class_name: str | None, school: str | None, now_unix_ms: int, valid_s: float
    ) -> Issued:
        """A stream key for a foreign publisher in a room. Raises ``NoSuch``."""
        found = await self._school(school)
        key, expires_ms = new_stream_key(), now_unix_ms + round(valid_s * 1000)
        async with self._database.writing() as session:
            place, taught = await _place(session, found, room, class_name)
            row = StreamKeyRow(
                key_id=new_id(), room_id=place.room_id, digest=stream_key_digest(key), expires_unix_ms=expires_ms
            )
            session.add(row)
            return _issued(key, row.key_id, found, place, taught, expires_ms)

    async def revoke(self, publisher: str, now_unix_ms: int) -> str:
        """Shut out a kit or a stream key, named by its id or the start of it; the full id. Raises ``NoSuch``."""
        async with self._database.writing() as session:
            kits = await session.scalars(select(KitRow).where(KitRow.kit_id.startswith(publisher, autoescape=True)))
            keys = await session.scalars(
                select(StreamKeyRow).where(StreamKeyRow.key_id.startswith(publisher, autoescape=True))
            )
            found: list[KitRow | StreamKeyRow] = [*kits, *keys]
            if len(found) != 1:
                raise NoSuch(f"{len(found) or 'no'} kits or stream keys have an id that starts with {publisher}")
            found[0].revoked_unix_ms = now_unix_ms
            return found[0].kit_id if isinstance(found[0], KitRow) else found[0].key_id

    async def lessons(self, *, limit: int) -> list[Lesson]:
        """The newest lessons, running ones first."""
        async with self._database.reading() as session:
            order = (LessonRow.ended_unix_ms.is_not(None), LessonRow.started_unix_ms.desc())
            return [lesson(row) for row in await session.scalars(select(LessonRow).order_by(*order).limit(limit))]

    async def end_lesson(self, lesson_id: str, now_unix_ms: int) -> Lesson:
        """End a lesson, named by its id or the start of it; the relay and the kit obey within seconds. Raises
        ``NoSuch``."""
        async with self._database.writing() as session:
            matches = LessonRow.lesson_id.startswith(lesson_id, autoescape=True)
            rows = (await session.scalars(select(LessonRow).where(matches, LessonRow.ended_unix_ms.is_(None)))).all()
            if len(rows) != 1:
                raise NoSuch(f"{len(rows) or 'no'} running lessons have an id that starts with {lesson_id}")
            rows[0].ended_unix_ms, rows[0].end_reason = now_unix_ms, "hand"
            return lesson(rows[0])

    async def _add(self, row: Base, already: str) -> None:
        try:
            async with self._database.writing() as session:
                session.add(row)
        except IntegrityError as error:
            raise AlreadyThere(already) from error

    async def _school(self, name: str | None) -> School:
        async with self._database.reading() as session:
            rows = (await session.scalars(select(SchoolRow).order_by(SchoolRow.name))).all()
        name = None if name is None else _name(name)
        names = ", ".join(row.name for row in rows)
        if not rows:
            raise NoSuch("there is no school yet; make one with `parta-relay school add NAME`")
        if name is None and len(rows) > 1:
            raise NoSuch(f"there are several schools; say which one with --school: {names}")
        chosen = next((row for row in rows if name in {None, row.name}), None)
        if chosen is None:
            raise NoSuch(f"there is no school named {name}; there are: {names}")
        return School(school_id=chosen.school_id, name=chosen.name)


def _name(name: str) -> str:
    name = unicodedata.normalize("NFC", " ".join(name.split()))  # some terminals type й as two characters
    if not name or len(name) > MAX_NAME:
        raise NoSuch(f"a name needs 1 to {MAX_NAME} characters")
    return name


async def _class(session: AsyncSession, school: School, name: str) -> ClassRow:
    name = _name(name)
    rows = (await session.scalars(select(ClassRow).where(ClassRow.school_id == school.school_id))).all()
    chosen = next((row for row in rows if row.name == name), None)
    if chosen is None:
        there = ", ".join(sorted(row.name for row in rows)) or "none; make one with `parta-relay class add NAME`"
        raise NoSuch(f"{school.name} has no class named {name}; there are: {there}")
    return chosen


async def _place(session: AsyncSession, school: School, room: str, class_name: str | None) -> tuple[RoomRow, ClassRow]:
    """The room with this class assigned; a new room is made, and one stays with its class when none is named."""
    room = _name(room)
    row = await session.scalar(select(RoomRow).where(RoomRow.school_id == school.school_id, RoomRow.name == room))
    if class_name is None:
        if row is None:
            raise NoSuch(f"{school.name} has no room {room} yet; say whom it teaches with --class")
        return row, await session.get_one(ClassRow, row.class_id)
    taught = await _class(session, school, class_name)
    if row is None:
        row = RoomRow(room_id=new_id(), school_id=school.school_id, name=room)
        session.add(row)
    row.class_id = taught.class_id
    await session.flush()
    return row, taught


def _issued(
    secret: str, secret_id: str, school: School, room: RoomRow, taught: ClassRow, expires_unix_ms: int
) -> Issued:
    return Issued(
        secret=secret,
        secret_id=secret_id,
        school=school.name,
        room=room.name,
        class_name=taught.name,
        expires_unix_ms=expires_unix_ms,
    )
