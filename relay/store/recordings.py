"""Recordings in the database: what is held of each lesson, and when it goes. The media files are ``relay/archive``'s.

Every change is made on the revision that it was thought out on, so that two relays on one database do not overwrite
each other: ``RecordingChanged`` tells the later one to look again.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from relay.archive.recording import Init, Listed, Recording, RecordingChanged, Segment
from relay.classroom.school import Lesson
from relay.errors import NoRecording, RecordingRefused
from relay.store.database import Database
from relay.store.lesson_log import lesson_row
from relay.store.models import DeletedLessonRow, InitRow, LessonRow, RecordingRow, SegmentRow
from wire.recording import RecordingEnd

LISTED = 500  # lessons of one class; a year of them


class RecordingRows:
    """See the module. Every method raises ``StoreUnavailable`` when the database does not serve."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, lesson: Lesson, started_unix_us: int, now_unix_ms: int) -> bool:
        """Make a recording, and its lesson if nobody heard of it; False when it is there. Raises ``NoRecording`` for
        another's or a deleted lesson, ``RecordingRefused`` for another start."""
        async with self._database.writing() as session:
            if await session.get(DeletedLessonRow, lesson.lesson_id) is not None:
                raise NoRecording("this lesson was deleted")
            known = await session.get(LessonRow, lesson.lesson_id)
            if known is None:
                session.add(lesson_row(lesson))
                await session.flush()  # the recording's row refers to it
            elif known.publisher != lesson.publisher:
                raise NoRecording("no such lesson")
            row = await session.get(RecordingRow, lesson.lesson_id)
            if row is not None and row.started_unix_us != started_unix_us:
                raise RecordingRefused(409, f"this recording began at {row.started_unix_us} µs, not {started_unix_us}")
            if row is None:
                session.add(_new_row(lesson.lesson_id, started_unix_us, now_unix_ms))
            return row is None

    async def load(self, lesson_id: str) -> Recording | None:
        """A recording, whole."""
        async with self._database.reading() as session:
            row = await session.get(RecordingRow, lesson_id)
            if row is None:
                return None
            lesson = await session.get_one(LessonRow, lesson_id)
            inits = await session.scalars(select(InitRow).where(InitRow.lesson_id == lesson_id))
            return Recording(
                lesson_id=lesson_id,
                class_id=lesson.class_id,
                publisher=lesson.publisher,
                started_unix_us=row.started_unix_us,
                revision=row.revision,
                changed_unix_ms=row.changed_unix_ms,
                inits={init.number: _init(init) for init in inits},
                segments=await _segments(session, lesson_id),
                end=_end(row),
            )

    async def revision(self, lesson_id: str) -> int | None:
        """How often it was changed; ``None``: there is none."""
        async with self._database.reading() as session:
            return await session.scalar(select(RecordingRow.revision).where(RecordingRow.lesson_id == lesson_id))

    async def add(self, after: Recording, what: Init | Segment | RecordingEnd) -> None:
        """Write down ``what`` made the recording become ``after``. Raises ``RecordingChanged``."""
        async with self._database.writing() as session:
            await _update(session, after)
            if isinstance(what, Init):
                session.add(_init_row(after.lesson_id, what))
            elif isinstance(what, Segment):
                session.add(_segment_row(after.lesson_id, what))
            else:
                await _note_end(session, after, what)

    async def of_class(self, class_id: str) -> list[Listed]:
        """The recordings of a class that hold anything, newest first."""
        return await self._listed(LessonRow.class_id == class_id)

    async def of_lesson(self, lesson_id: str) -> list[Listed]:
        """The recording of a lesson, if it holds anything."""
        return await self._listed(LessonRow.lesson_id == lesson_id)

    async def of_open_lessons(self) -> list[Listed]:
        """The recordings that hold anything, of lessons that are not over."""
        return await self._listed(LessonRow.ended_unix_ms.is_(None))

    async def _listed(self, *which: ColumnElement[bool]) -> list[Listed]:
        wanted = (
            select(RecordingRow, LessonRow.class_id)
            .join(LessonRow, LessonRow.lesson_id == RecordingRow.lesson_id)
            .where(*which, RecordingRow.duration_ms > 0)
            .order_by(RecordingRow.started_unix_us.desc())
            .limit(LISTED)
        )
        async with self._database.reading() as session:
            return [_listed(row, class_id) for row, class_id in await session.execute(wanted)]


async def _segments(session: AsyncSession, lesson_id: str) -> dict[int, Segment]:
    columns = (
        SegmentRow.number,
        SegmentRow.init,
        SegmentRow.start_us,
        SegmentRow.duration_us,
        SegmentRow.discontinuity,
        SegmentRow.size_bytes,
        SegmentRow.sha256,
    )
    rows = await session.execute(select(*columns).where(SegmentRow.lesson_id == lesson_id))
    return {
        number: Segment(
            number=number,
            init=init,
            start_us=start_us,
            duration_us=duration_us,
            discontinuity=discontinuity,
            size_bytes=size_bytes,
            sha256=sha256,
        )
        for number, init, start_us, duration_us, discontinuity, size_bytes, sha256 in rows
    }


async def _update(session: AsyncSession, after: Recording) -> None:
    found = await session.execute(
        update(RecordingRow)
        .where(RecordingRow.lesson_id == after.lesson_id, RecordingRow.revision == after.revision - 1)
        .values(
            revision=after.revision,
            changed_unix_ms=after.changed_unix_ms,
            complete=after.complete,
            duration_ms=after.duration_us // 1000,
            gaps_ms=_encode([(begin // 1000, end // 1000) for begin, end in after.gaps_us]),
        )
        .returning(RecordingRow.lesson_id)
    )
    if found.one_or_none() is None:
        raise RecordingChanged


async def _note_end(session: AsyncSession, after: Recording, end: RecordingEnd) -> None:
    row = await session.get_one(RecordingRow, after.lesson_id)
    row.end_segments, row.end_duration_us, row.lost = end.segments, end.duration_us, _encode(end.lost)
    lesson = await session.get_one(LessonRow, after.lesson_id)
    if lesson.ended_unix_ms is not None and lesson.end_reason == "kit":
        # Of a lesson that was recorded without a relay, nobody has said anything else.
        lesson.ended_unix_ms = max(lesson.ended_unix_ms, (after.started_unix_us + end.duration_us) // 1000)


def _new_row(lesson_id: str, started_unix_us: int, now_unix_ms: int) -> RecordingRow:
    return RecordingRow(
        lesson_id=lesson_id,
        started_unix_us=started_unix_us,
        heard_unix_ms=now_unix_ms,
        changed_unix_ms=now_unix_ms,
        revision=0,
        kept=False,
        complete=False,
        duration_ms=0,
        gaps_ms="[]",
    )


def _init(row: InitRow) -> Init:
    return Init(
        number=row.number,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        codecs=row.codecs,
        width=row.width,
        height=row.height,
    )


def _init_row(lesson_id: str, init: Init) -> InitRow:
    return InitRow(
        lesson_id=lesson_id,
        number=init.number,
        size_bytes=init.size_bytes,
        sha256=init.sha256,
        codecs=init.codecs,
        width=init.width,
        height=init.height,
    )


def _segment_row(lesson_id: str, segment: Segment) -> SegmentRow:
    return SegmentRow(
        lesson_id=lesson_id,
        number=segment.number,
        init=segment.init,
        start_us=segment.start_us,
        duration_us=segment.duration_us,
        discontinuity=segment.discontinuity,
        size_bytes=segment.size_bytes,
        sha256=segment.sha256,
    )


def _end(row: RecordingRow) -> RecordingEnd | None:
    if row.end_segments is None or row.end_duration_us is None:
        return None
    return RecordingEnd(segments=row.end_segments, duration_us=row.end_duration_us, lost=_pairs(row.lost or "[]"))


def _listed(row: RecordingRow, class_id: str) -> Listed:
    return Listed(
        lesson_id=row.lesson_id,
        class_id=class_id,
        started_unix_ms=row.started_unix_us // 1000,
        changed_unix_ms=row.changed_unix_ms,
        duration_ms=row.duration_ms,
        complete=row.complete,
        gaps_ms=_pairs(row.gaps_ms),
    )


def _encode(pairs: object) -> str:
    return msgspec.json.encode(pairs).decode()


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    return msgspec.json.decode(text, type=tuple[tuple[int, int], ...])
