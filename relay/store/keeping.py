"""How long recordings are kept, and their end: marks, links, deletion. Rows only; files are ``relay/archive``'s.

A deletion takes every row of a lesson in one transaction and leaves its bare id, so that its kit cannot bring it back,
and so that a deletion of files that was cut off is known and done again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, cast, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from relay.classroom.school import SchoolClass
from relay.errors import NoSuch
from relay.store.database import Database
from relay.store.models import (
    ClassRow,
    DeletedLessonRow,
    InitRow,
    LessonLinkRow,
    LessonRow,
    RecordingRow,
    SegmentRow,
)

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a list of lessons says of a recording. ``until_unix_ms`` ``None``: until somebody deletes it."""

    duration_ms: int
    complete: bool
    size_bytes: int
    until_unix_ms: int | None


class Keeping:
    """See the module. Every method raises ``StoreUnavailable`` when the database does not serve.

    ``keep_days`` is for classes that have no number of their own.
    """

    def __init__(self, database: Database, keep_days: int) -> None:
        self._database = database
        self._keep_days = keep_days

    async def overdue(self, now_unix_ms: int) -> list[str]:
        """The lessons whose recording is to go. It counts from when the relay first heard of it: a lesson that was
        recorded without a relay is there for as long as any other."""
        wanted = _with_class(select(RecordingRow.lesson_id)).where(
            RecordingRow.kept.is_(False), self._until_ms() <= now_unix_ms
        )
        async with self._database.reading() as session:
            return list(await session.scalars(wanted))

    async def recorded(self) -> frozenset[str]:
        """The lessons that have a recording."""
        async with self._database.reading() as session:
            return frozenset(await session.scalars(select(RecordingRow.lesson_id)))

    async def delete(self, lesson_id: str, now_unix_ms: int) -> bool:
        """Delete every row of a lesson; False when there is none."""
        async with self._database.writing() as session:
            if await session.get(LessonRow, lesson_id) is None:
                return False
            for table in (SegmentRow, InitRow, LessonLinkRow, RecordingRow, LessonRow):
                await session.execute(delete(table).where(table.lesson_id == lesson_id))
            await session.merge(DeletedLessonRow(lesson_id=lesson_id, deleted_unix_ms=now_unix_ms, files_removed=False))
            return True

    async def with_files(self) -> dict[str, int]:
        """Deleted lessons of which files may be left, and when they were deleted."""
        wanted = select(DeletedLessonRow).where(DeletedLessonRow.files_removed.is_(False))
        async with self._database.reading() as session:
            return {row.lesson_id: row.deleted_unix_ms for row in await session.scalars(wanted)}

    async def files_removed(self, lesson_id: str) -> None:
        """No file of this deleted lesson is left, and none can come any more."""
        wanted = update(DeletedLessonRow).where(DeletedLessonRow.lesson_id == lesson_id)
        async with self._database.writing() as session:
            await session.execute(wanted.values(files_removed=True))

    async def forget(self, deleted_before_unix_ms: int, now_unix_ms: int) -> None:
        """Drop what is left of lessons that were deleted before this moment, and links that have ended."""
        gone = DeletedLessonRow.files_removed.is_(True) & (DeletedLessonRow.deleted_unix_ms < deleted_before_unix_ms)
        async with self._database.writing() as session:
            await session.execute(delete(DeletedLessonRow).where(gone))
            await session.execute(delete(LessonLinkRow).where(LessonLinkRow.expires_unix_ms <= now_unix_ms))

    async def add_link(self, lesson_id: str, digest: str, expires_unix_ms: int) -> None:
        """A link to one lesson, by its token's digest."""
        async with self._database.writing() as session:
            session.add(LessonLinkRow(digest=digest, lesson_id=lesson_id, expires_unix_ms=expires_unix_ms))

    async def lesson_by_link(self, digest: str, now_unix_ms: int) -> str | None:
        """The lesson that this link opens now."""
        wanted = select(LessonLinkRow.lesson_id).where(
            LessonLinkRow.digest == digest, LessonLinkRow.expires_unix_ms > now_unix_ms
        )
        async with self._database.reading() as session:
            return await session.scalar(wanted)

    async def set_kept(self, lesson_id: str, *, kept: bool) -> None:
        """Keep a recording until somebody deletes it, or as long as any other."""
        wanted = update(RecordingRow).where(RecordingRow.lesson_id == lesson_id)
        async with self._database.writing() as session:
            await session.execute(wanted.values(kept=kept))

    async def set_days(self, school_class: SchoolClass, days: int | None) -> None:
        """How long the recordings of a class are kept; ``None``: as long as any other's."""
        async with self._database.writing() as session:
            (await session.get_one(ClassRow, school_class.class_id)).keep_days = days

    async def find(self, start: str) -> str:
        """The lesson whose id starts so, if it has a recording. Raises ``NoSuch``."""
        matches = RecordingRow.lesson_id.startswith(start, autoescape=True)
        async with self._database.reading() as session:
            found = list(await session.scalars(select(RecordingRow.lesson_id).where(matches).limit(2)))
        if len(found) != 1:
            raise NoSuch(f"{'several' if found else 'no'} recorded lessons have an id that starts with {start}")
        return found[0]

    async def is_over(self, lesson_id: str) -> bool:
        """Whether this lesson has ended."""
        async with self._database.reading() as session:
            return (await session.get_one(LessonRow, lesson_id)).ended_unix_ms is not None

    async def kept(self, lesson_ids: list[str]) -> dict[str, Kept]:
        """What is kept of these lessons."""
        wanted = _with_class(select(RecordingRow, self._until_ms())).where(RecordingRow.lesson_id.in_(lesson_ids))
        async with self._database.reading() as session:
            rows = (await session.execute(wanted)).all()
            sizes = await _sizes(session, lesson_ids)
        return {
            row.lesson_id: Kept(
                duration_ms=row.duration_ms,
                complete=row.complete,
                size_bytes=sizes.get(row.lesson_id, 0),
                until_unix_ms=None if row.kept else until_ms,
            )
            for row, until_ms in rows
        }

    def _until_ms(self) -> ColumnElement[int]:
        return (
            RecordingRow.heard_unix_ms + cast(func.coalesce(ClassRow.keep_days, self._keep_days), BigInteger) * DAY_MS
        )


def _with_class(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return query.join(LessonRow, LessonRow.lesson_id == RecordingRow.lesson_id).join(
        ClassRow, ClassRow.class_id == LessonRow.class_id
    )


async def _sizes(session: AsyncSession, lesson_ids: list[str]) -> dict[str, int]:
    total = func.sum(SegmentRow.size_bytes)
    rows = await session.execute(
        select(SegmentRow.lesson_id, total).where(SegmentRow.lesson_id.in_(lesson_ids)).group_by(SegmentRow.lesson_id)
    )
    return {lesson_id: int(size) for lesson_id, size in rows}
