"""Keeps lessons in the database without ever making the live path wait for it: a write-behind with bounded memory.

Only the newest state of each lesson counts, so what waits is one entry per lesson. A database that is locked or full
is tried again until it takes the rows. Used by ``relay/classroom/registry.py`` (its ``LessonLog``), run by
``relay/app.py``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence

from sqlalchemy import select

from relay.classroom.school import Lesson
from relay.errors import StoreUnavailable
from relay.store.database import Database, unbroken
from relay.store.models import LessonRow
from relay.store.register import Troubles

RETRY_S = (0.5, 15.0)  # first and longest pause; a lock goes in moments, a full disk when somebody comes
MAX_WAITING = 10_000  # lessons; years of them in one relay before the oldest is given up
FLUSH_S = 1.0  # at shutdown, within the relay's 5 s


_log = logging.getLogger(__name__)


class LessonLog:
    """See the module."""

    def __init__(self, database: Database, troubles: Troubles, retry_s: tuple[float, float] | None = None) -> None:
        self._database = database
        self._troubles = troubles
        self._retry_s = RETRY_S if retry_s is None else retry_s
        self._waiting: OrderedDict[str, Lesson] = OrderedDict()
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        """How many lessons are not in the database as they are."""
        return len(self._waiting)

    def keep(self, lesson: Lesson) -> None:
        """Write this down soon. Never blocks, never fails."""
        self._waiting[lesson.lesson_id] = lesson
        self._waiting.move_to_end(lesson.lesson_id)
        if len(self._waiting) > MAX_WAITING:
            lesson_id, _ = self._waiting.popitem(last=False)
            _log.error("lesson %s was not written down: %d newer ones wait for the database", lesson_id, MAX_WAITING)
        self._empty.clear()
        self._news.set()

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        pause_s = self._retry_s[0]
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await unbroken(self._write_all())
            except StoreUnavailable as error:
                self._troubles.store_failed("write")
                _log.error("%s; %d lesson(s) wait in memory, next try in %.0f s", error, self.waiting, pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self._retry_s[1])
                self._news.set()
            else:
                pause_s = self._retry_s[0]

    async def flushed(self) -> None:
        """Wait until nothing waits."""
        await self._empty.wait()

    async def flush_now(self) -> None:
        """At shutdown: one last try within ``FLUSH_S``."""
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._write_all()
        except (StoreUnavailable, TimeoutError) as error:
            _log.error("%d lesson(s) could not be written down: %s", self.waiting, str(error) or "timed out")

    async def _write_all(self) -> None:
        batch = list(self._waiting.values())
        if batch:
            await write_lessons(self._database, batch)
        for lesson in batch:
            if self._waiting.get(lesson.lesson_id) is lesson:  # else it changed meanwhile
                del self._waiting[lesson.lesson_id]
        if not self._waiting:
            self._empty.set()


async def write_lessons(database: Database, lessons: Sequence[Lesson]) -> None:
    """Insert or update. What somebody ended by hand stays ended. Raises ``StoreUnavailable``."""
    async with database.writing() as session:
        for lesson in lessons:
            row = await session.get(LessonRow, lesson.lesson_id)
            if row is None:
                session.add(lesson_row(lesson))
            elif row.publisher == lesson.publisher and row.end_reason != "hand":
                row.started_unix_ms = lesson.started_unix_ms
                row.ended_unix_ms, row.end_reason = lesson.ended_unix_ms, lesson.end_reason


async def open_lessons(database: Database) -> list[Lesson]:
    """The lessons that are not over. Raises ``StoreUnavailable``."""
    async with database.reading() as session:
        rows = await session.scalars(select(LessonRow).where(LessonRow.ended_unix_ms.is_(None)))
        return [lesson(row) for row in rows]


def lesson(row: LessonRow) -> Lesson:
    """A row as the domain knows it."""
    return Lesson(
        lesson_id=row.lesson_id,
        class_id=row.class_id,
        room_id=row.room_id,
        publisher=row.publisher,
        foreign=row.foreign_publisher,
        started_unix_ms=row.started_unix_ms,
        ended_unix_ms=row.ended_unix_ms,
        end_reason=row.end_reason,  # type: ignore[arg-type]  # only EndReason is ever written
    )


def lesson_row(lesson: Lesson) -> LessonRow:
    """A lesson as a new row."""
    return LessonRow(
        lesson_id=lesson.lesson_id,
        class_id=lesson.class_id,
        room_id=lesson.room_id,
        publisher=lesson.publisher,
        foreign_publisher=lesson.foreign,
        started_unix_ms=lesson.started_unix_ms,
        ended_unix_ms=lesson.ended_unix_ms,
        end_reason=lesson.end_reason,
    )
