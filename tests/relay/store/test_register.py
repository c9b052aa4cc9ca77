"""The register is read anew whenever it changed, and only then: lessons that are written down cost it nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from relay.classroom.register import Register
from relay.classroom.school import Lesson
from relay.store.database import Database
from relay.store.enrolment import Enrolment
from relay.store.keeping import Keeping
from relay.store.lesson_log import write_lessons
from relay.store.office import Office
from relay.store.recordings import RecordingRows
from relay.store.register import RegisterReader, read_register
from tests.relay.store.conftest import CountingTroubles

LESSON = "1e" * 16
Change = Callable[[Office, Database], Awaitable[object]]


async def _lesson(database: Database, lesson_id: str = LESSON) -> Lesson:
    [room] = (await read_register(database)).rooms.values()
    return Lesson(
        lesson_id=lesson_id,
        class_id=room.class_id,
        room_id=room.room_id,
        publisher="3a" * 16,
        foreign=False,
        started_unix_ms=1,
    )


async def _enrol(office: Office, database: Database) -> None:
    issued = await office.issue_code("12", None, None, 0, 60)
    await Enrolment(database).enrol(issued.secret, bytes(32), "kit", 1)


async def _revoke(office: Office, _database: Database) -> None:
    issued = await office.issue_stream_key("12", None, None, 0, 60)
    await office.revoke(issued.secret_id, 1)


CHANGES: dict[str, Change] = {
    "a school": lambda office, _: office.add_school("Another"),
    "a class": lambda office, _: office.add_class("8А", "Школа № 7"),
    "a link": lambda office, _: office.rotate_link("7Б", None),
    "a room": lambda office, _: office.issue_code("14", "7Б", None, 0, 60),
    "a kit": _enrol,
    "a stream key": lambda office, _: office.issue_stream_key("12", None, None, 0, 60),
    "a revocation": _revoke,
    "a lesson that is ended by hand": lambda office, _: office.end_lesson(LESSON, 2**42),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_change_is_read(what: str, office: Office, database: Database, troubles: CountingTroubles) -> None:
    await office.issue_code("12", "7Б", None, 0, 60)
    await write_lessons(database, [await _lesson(database)])
    reader = RegisterReader(database, troubles)
    before = await reader.open()
    await CHANGES[what](office, database)
    after = await reader.current()
    await reader.close()
    assert after != before
    assert after == await read_register(database)


async def test_lessons_and_recordings_are_none(office: Office, database: Database, troubles: CountingTroubles) -> None:
    await office.issue_code("12", "7Б", None, 0, 60)
    reader = RegisterReader(database, troubles)
    read: list[Register] = []
    reader.follow(read.append)
    before = await reader.open()
    lesson = await _lesson(database)
    await write_lessons(database, [lesson])
    await RecordingRows(database).begin(lesson, 1, 1)
    await Keeping(database, 14).set_kept(LESSON, kept=True)
    assert await reader.current() is before
    await Keeping(database, 14).delete(LESSON, 2)
    assert await reader.current() is before
    await reader.close()
    assert read == [before]
