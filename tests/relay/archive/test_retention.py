"""Recordings end: after their class's days or by hand, whole, for good, and even when the relay is cut off at it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select

from relay.archive import retention as module
from relay.archive.archive import Archive, Upload
from relay.archive.files import init_name
from relay.archive.local import LocalFiles
from relay.archive.retention import Retention
from relay.classroom.live import Moment
from relay.classroom.school import Lesson, SchoolClass
from relay.errors import ArchiveUnavailable, NoRecording
from relay.store.database import Database, opened_database
from relay.store.keeping import DAY_MS, Keeping
from relay.store.models import Base, DeletedLessonRow
from relay.store.office import Office
from relay.store.recordings import RecordingRows
from relay.store.register import ensure_relay_id, read_register
from relay.store.stills import StillFolder
from tests.relay.archive.footage import footage
from wire.recording import content_digest_of, read_content_digest

FOOTAGE = footage(1)
NOW_MS = 1_788_249_600_000
KEEP_DAYS = 14
FIRST, SECOND = "1e" * 16, "2f" * 16


@dataclass
class Clock:
    """A clock that is moved by hand."""

    unix_ms: int = NOW_MS

    def __call__(self) -> Moment:
        return Moment(self.unix_ms / 1000, self.unix_ms)


@dataclass
class Counts:
    """Counts nothing that is looked at."""

    def segment_taken(self, size_bytes: int) -> None:
        pass


class BrokenFiles(LocalFiles):
    """A place that cannot remove anything as long as it is broken."""

    broken = True

    async def forget(self, lesson_id: str) -> None:
        if self.broken:
            raise ArchiveUnavailable("a recording cannot be removed: Input/output error")
        await super().forget(lesson_id)


@dataclass
class Shelf:
    """A relay's store with two classes, each with a recorded lesson."""

    folder: Path
    database: Database
    clock: Clock
    files: BrokenFiles
    archive: Archive
    keeping: Keeping
    retention: Retention
    classes: tuple[SchoolClass, SchoolClass]

    async def record(self, lesson_id: str, school_class: SchoolClass) -> bool:
        """A kit records a lesson; False when it is refused."""
        register = await read_register(self.database)
        [room] = [room for room in register.rooms.values() if room.class_id == school_class.class_id]
        lesson = Lesson(
            lesson_id=lesson_id,
            class_id=school_class.class_id,
            room_id=room.room_id,
            publisher="3a" * 16,
            foreign=False,
            started_unix_ms=0,  # a kit that has no clock
            ended_unix_ms=1,
            end_reason="kit",
        )
        try:
            await self.archive.begin(lesson, 0)
        except NoRecording:
            return False
        body = FOOTAGE.inits[0]
        upload = Upload(body=body, sha256=read_content_digest(content_digest_of(body)))
        await self.archive.take_init(lesson_id, lesson.publisher, 0, upload)
        piece = FOOTAGE.pieces[0]
        upload = Upload(body=piece.body, sha256=read_content_digest(content_digest_of(piece.body)))
        await self.archive.take_segment(lesson_id, lesson.publisher, 0, piece.head, upload)
        StillFolder(self.folder / "stills").keep(lesson_id, 5, b"picture")
        return True

    def lessons_with_files(self) -> set[str]:
        """Whose files are there."""
        return {path.parent.name for path in self.folder.rglob("*") if path.suffix in {".m4s", ".mp4", ".jpg"}}

    async def rows_with(self, lesson_id: str) -> set[str]:
        """The tables that know this lesson."""
        tables = [table for table in Base.metadata.sorted_tables if "lesson_id" in table.columns]
        async with self.database.reading() as session:
            return {
                table.name
                for table in tables
                if await session.scalar(select(func.count()).where(table.c.lesson_id == lesson_id))
            }


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    async with opened_database("", tmp_path) as database:
        await ensure_relay_id(database)
        office = Office(database)
        await office.add_school("Школа № 7")
        classes = []
        for name, room in (("7Б", "12"), ("8А", "14")):
            classes.append((await office.add_class(name, None))[1])
            await office.issue_code(room, name, None, NOW_MS, 60)
        clock, files, keeping = Clock(), BrokenFiles(tmp_path / "recordings"), Keeping(database, KEEP_DAYS)
        files.broken = False
        archive = Archive(RecordingRows(database), files, clock, Counts())
        retention = Retention(keeping, files, StillFolder(tmp_path / "stills"), clock)
        made = Shelf(tmp_path, database, clock, files, archive, keeping, retention, (classes[0], classes[1]))
        assert await made.record(FIRST, classes[0])
        assert await made.record(SECOND, classes[1])
        yield made


async def test_a_lesson_goes_whole_after_its_days_and_the_log_says_so(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await shelf.keeping.add_link(FIRST, "digest", NOW_MS + 100 * DAY_MS)
    shelf.clock.unix_ms += KEEP_DAYS * DAY_MS - 1
    assert await shelf.retention.sweep() == 0
    assert shelf.lessons_with_files() == {FIRST, SECOND}
    shelf.clock.unix_ms += 1
    assert await shelf.retention.sweep() == 2
    assert shelf.lessons_with_files() == set()
    assert await shelf.rows_with(FIRST) == await shelf.rows_with(SECOND) == {"deleted_lessons"}
    assert await shelf.archive.shown(FIRST) is None
    assert f"lesson {FIRST} was kept long enough" in caplog.text


async def test_each_class_has_its_days_and_a_lesson_that_is_kept_stays(shelf: Shelf) -> None:
    await shelf.keeping.set_days(shelf.classes[1], 3)
    shelf.clock.unix_ms += 3 * DAY_MS
    assert await shelf.retention.sweep() == 1
    assert shelf.lessons_with_files() == {FIRST}
    await shelf.keeping.set_kept(FIRST, kept=True)
    shelf.clock.unix_ms += 1000 * DAY_MS
    assert await shelf.retention.sweep() == 0
    assert (await shelf.keeping.kept([FIRST]))[FIRST].until_unix_ms is None
    await shelf.keeping.set_kept(FIRST, kept=False)
    assert await shelf.retention.sweep() == 1


async def test_what_was_deleted_does_not_come_back(shelf: Shelf) -> None:
    assert await shelf.retention.delete(FIRST)
    assert shelf.lessons_with_files() == {SECOND}
    assert not await shelf.record(FIRST, shelf.classes[0])
    shelf.clock.unix_ms += module.REMEMBERED_MS - 1
    await shelf.keeping.set_kept(SECOND, kept=True)
    await shelf.retention.sweep()
    assert not await shelf.record(FIRST, shelf.classes[0])


async def test_files_that_cannot_be_removed_now_are_removed_later(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.files.broken = True
    assert not await shelf.retention.delete(FIRST)
    shelf.clock.unix_ms += 1000
    assert await shelf.archive.shown(FIRST) is None, "nobody sees it any more"
    assert f"files of the deleted lesson {FIRST} are still there" in caplog.text
    shelf.files.broken = False
    await shelf.retention.sweep()
    assert shelf.lessons_with_files() == {SECOND}


async def test_a_segment_that_was_on_its_way_goes_too(shelf: Shelf) -> None:
    await shelf.retention.delete(FIRST)
    await shelf.files.put(init_name(FIRST, 9), b"written by a relay that was killed before it could clean up")
    shelf.clock.unix_ms += module.SETTLES_MS - 1
    await shelf.retention.sweep()
    assert shelf.lessons_with_files() == {SECOND}
    async with shelf.database.reading() as session:
        assert not (await session.get_one(DeletedLessonRow, FIRST)).files_removed, "it is looked at once more"
    shelf.clock.unix_ms += 1
    await shelf.retention.sweep()
    assert await shelf.keeping.with_files() == {}


async def test_in_the_end_not_even_the_id_is_left(shelf: Shelf) -> None:
    await shelf.retention.delete(FIRST)
    await shelf.keeping.set_kept(SECOND, kept=True)
    for _ in range(2):
        shelf.clock.unix_ms += module.REMEMBERED_MS
        await shelf.retention.sweep()
    assert await shelf.rows_with(FIRST) == set()
    assert shelf.lessons_with_files() == {SECOND}


async def test_a_lesson_deleted_while_an_init_is_being_written_leaves_no_file(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = shelf.files.put

    async def put_and_be_deleted(name: str, body: bytes) -> None:
        assert await shelf.retention.delete(FIRST)
        await put(name, body)

    monkeypatch.setattr(shelf.files, "put", put_and_be_deleted)
    body = footage(1, sizes=((192, 112),)).inits[0]
    upload = Upload(body=body, sha256=read_content_digest(content_digest_of(body)))
    with pytest.raises(NoRecording):
        await shelf.archive.take_init(FIRST, "3a" * 16, 1, upload)
    assert shelf.lessons_with_files() == {SECOND}
