"""A database that is locked, and a disk that is full: named, counted, and survived. Real ones, both."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from relay.classroom.school import Lesson
from relay.errors import StoreUnavailable
from relay.store import database as database_module
from relay.store.database import Database, opened_database
from relay.store.lesson_log import LessonLog, open_lessons, write_lessons
from relay.store.office import Office
from relay.store.register import RegisterReader, ensure_relay_id, read_register
from tests.relay.classroom.school import LESSON, START_MS, lesson
from tests.relay.store.conftest import CountingTroubles

QUICKLY_S = (0.01, 0.05)
WAIT_S = 10.0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process's transaction that does not end."""
    raw = sqlite3.connect(path, isolation_level=None)
    try:
        raw.execute("BEGIN EXCLUSIVE")
        yield
        raw.execute("ROLLBACK")
    finally:
        raw.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)


async def somewhere(database: Database) -> Lesson:
    """A lesson in a room that exists."""
    office = Office(database)
    await office.add_school("Школа № 7")
    await office.add_class("7Б", None)
    await office.issue_code("12", "7Б", None, START_MS, 60)
    [room] = (await read_register(database)).rooms.values()
    return replace(lesson(), class_id=room.class_id, room_id=room.room_id)


@pytest.fixture
async def log(database: Database, troubles: CountingTroubles) -> AsyncIterator[LessonLog]:
    made = LessonLog(database, troubles, QUICKLY_S)
    task = asyncio.create_task(made.run(), name="lesson log")
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_lessons_are_written_down_and_found_open_again(database: Database, log: LessonLog) -> None:
    begun = await somewhere(database)
    log.keep(begun)
    await asyncio.wait_for(log.flushed(), WAIT_S)
    assert await open_lessons(database) == [begun]
    log.keep(replace(begun, ended_unix_ms=START_MS + 1, end_reason="kit"))
    await asyncio.wait_for(log.flushed(), WAIT_S)
    assert await open_lessons(database) == []
    log.keep(begun)  # the kit took it up again
    await asyncio.wait_for(log.flushed(), WAIT_S)
    assert await open_lessons(database) == [begun]


async def test_what_was_ended_by_hand_stays_ended(database: Database) -> None:
    begun = await somewhere(database)
    await write_lessons(database, [begun])
    await Office(database).end_lesson(LESSON, START_MS + 5)
    await write_lessons(database, [begun])
    assert await open_lessons(database) == []
    assert (await read_register(database)).ended_by_hand == frozenset()  # that was long ago; see HAND_MEMORY_S


async def test_a_lesson_of_another_publisher_is_not_overwritten(database: Database) -> None:
    begun = await somewhere(database)
    await write_lessons(database, [begun])
    await write_lessons(database, [replace(begun, publisher="f" * 32, ended_unix_ms=1, end_reason="kit")])
    assert await open_lessons(database) == [begun]


async def test_a_locked_database_is_named_and_counted_and_the_lesson_written_when_it_opens(
    tmp_path: Path, database: Database, log: LessonLog, troubles: CountingTroubles, caplog: pytest.LogCaptureFixture
) -> None:
    begun = await somewhere(database)
    with locked(tmp_path / "relay.sqlite3"):
        log.keep(begun)
        await troubles.until("write")
        assert log.waiting == 1
        with pytest.raises(StoreUnavailable, match="cannot be written: database is locked"):
            await Office(database).add_school("Лицей")
        assert (await read_register(database)).rooms, "readers do not wait for a writer"
    await asyncio.wait_for(log.flushed(), WAIT_S)
    assert await open_lessons(database) == [begun]
    assert "the database cannot be written: database is locked; 1 lesson(s) wait in memory" in caplog.text


async def test_a_full_database_is_named_and_the_lesson_written_when_there_is_room(
    tmp_path: Path, troubles: CountingTroubles, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with opened_database("", disk) as database:
            await ensure_relay_id(database)
            begun = await somewhere(database)
            ballast = fill(disk)
            log = LessonLog(database, troubles, QUICKLY_S)
            task = asyncio.create_task(log.run(), name="lesson log")
            for number in range(300):  # more than the pages that are left in the log file
                log.keep(replace(begun, lesson_id=f"{number:032x}"))
            await troubles.until("write")
            assert "the database cannot be written" in caplog.text
            assert "full" in caplog.text
            assert (await read_register(database)).rooms, "what is there can still be read"
            ballast.unlink()
            await asyncio.wait_for(log.flushed(), WAIT_S)
            assert len(await open_lessons(database)) == 300
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_at_shutdown_what_waits_is_written_or_named(
    tmp_path: Path, database: Database, troubles: CountingTroubles, caplog: pytest.LogCaptureFixture
) -> None:
    log = LessonLog(database, troubles)
    log.keep(await somewhere(database))
    with locked(tmp_path / "relay.sqlite3"):
        await log.flush_now()
    assert "1 lesson(s) could not be written down: the database cannot be written: database is locked" in caplog.text
    await log.flush_now()
    assert log.waiting == 0


async def test_the_register_notices_what_another_process_commits(
    tmp_path: Path, database: Database, office: Office, troubles: CountingTroubles
) -> None:
    reader = RegisterReader(database, troubles)
    first = await reader.open()
    assert await reader.current() is first, "nothing was committed, so nothing is read again"
    async with opened_database("", tmp_path) as other:
        made = await Office(other).rotate_link("7Б", None)
    assert (await reader.current()).class_by_link(made.link) == made
    await reader.close()


async def test_a_database_that_goes_away_leaves_the_last_register_in_force(
    tmp_path: Path, database: Database, office: Office, troubles: CountingTroubles, caplog: pytest.LogCaptureFixture
) -> None:
    reader = RegisterReader(database, troubles)
    known = await reader.open()
    await office.add_class("8А", None)
    with sqlite3.connect(tmp_path / "relay.sqlite3", isolation_level=None) as raw:
        raw.execute("ALTER TABLE kits RENAME TO mislaid")
    raw.close()
    assert await reader.current() == known
    assert await reader.current() == known
    assert troubles.failed == ["read", "read"]
    assert caplog.text.count("stay as they were last known") == 1
    with pytest.raises(StoreUnavailable):
        await reader.check()
    await reader.close()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A real file system of 1 MiB, where this user may mount one."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip(f"a full disk needs a mount: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        assert libc.umount(os.fsencode(folder)) == 0, os.strerror(ctypes.get_errno())


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as output, suppress(OSError):
        while True:
            output.write(b"x" * 4096)
    return ballast
