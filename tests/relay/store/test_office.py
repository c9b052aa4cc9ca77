"""The office: what is created, found, changed and refused, by the names that people use."""

from __future__ import annotations

import unicodedata

import pytest

from relay.classroom.links import is_link
from relay.errors import AlreadyThere, NoSuch
from relay.store.database import Database
from relay.store.lesson_log import write_lessons
from relay.store.office import Office
from relay.store.register import read_register
from tests.relay.classroom.school import LESSON, START_MS, lesson

HOUR_S = 3600.0


async def test_a_class_has_a_link_and_the_register_finds_it_by_it(database: Database, office: Office) -> None:
    found = await office.find_class("7Б", None)
    assert is_link(found.link)
    register = await read_register(database)
    assert register.class_by_link(found.link) == found


async def test_a_rotated_link_opens_and_the_old_one_does_not(database: Database, office: Office) -> None:
    old = await office.find_class("7Б", None)
    new = await office.rotate_link("7Б", None)
    register = await read_register(database)
    assert register.class_by_link(old.link) is None
    assert register.class_by_link(new.link) == new
    assert new.class_id == old.class_id


async def test_a_name_is_the_same_however_the_terminal_spells_it(office: Office) -> None:
    await office.add_class("9 й", None)
    assert (await office.find_class(unicodedata.normalize("NFD", " 9   й "), None)).name == "9 й"


async def test_what_is_there_already_is_not_made_twice(office: Office) -> None:
    with pytest.raises(AlreadyThere, match="a school named Школа № 7 already"):
        await office.add_school("Школа № 7")
    with pytest.raises(AlreadyThere, match="a class named 7Б in Школа № 7 already"):
        await office.add_class("7Б", None)


async def test_several_schools_have_to_be_told_apart(office: Office) -> None:
    await office.add_school("Лицей")
    with pytest.raises(NoSuch, match="say which one with --school: Лицей, Школа № 7"):
        await office.add_class("7Б", None)
    school, made = await office.add_class("7Б", "Лицей")
    assert (school.name, made.name) == ("Лицей", "7Б")
    with pytest.raises(NoSuch, match="no school named Гимназия; there are: Лицей, Школа № 7"):
        await office.find_class("7Б", "Гимназия")


async def test_without_a_school_the_first_step_is_told(database: Database) -> None:
    with pytest.raises(NoSuch, match="school add NAME"):
        await Office(database).add_class("7Б", None)


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
async def test_a_name_has_a_readable_length(office: Office, name: str) -> None:
    with pytest.raises(NoSuch, match="1 to 200 characters"):
        await office.add_class(name, None)


async def test_a_code_makes_its_room_and_assigns_the_class(database: Database, office: Office) -> None:
    made = await office.issue_code("12", "7Б", None, START_MS, HOUR_S)
    assert (made.room, made.class_name, made.expires_unix_ms) == ("12", "7Б", START_MS + 3_600_000)
    await office.add_class("8А", None)
    await office.issue_code("12", "8А", None, START_MS, HOUR_S)
    [room] = (await read_register(database)).rooms.values()
    assert room.class_id == (await office.find_class("8А", None)).class_id
    again = await office.issue_code("12", None, None, START_MS, HOUR_S)
    assert again.class_name == "8А"


async def test_a_code_for_a_new_room_needs_a_class(office: Office) -> None:
    with pytest.raises(NoSuch, match="no room 13 yet; say whom it teaches with --class"):
        await office.issue_code("13", None, None, START_MS, HOUR_S)
    with pytest.raises(NoSuch, match="no class named 1А; there are: 7Б"):
        await office.issue_code("13", "1А", None, START_MS, HOUR_S)


async def test_a_room_can_be_assigned_another_class(database: Database, office: Office) -> None:
    await office.issue_code("12", "7Б", None, START_MS, HOUR_S)
    await office.add_class("8А", None)
    await office.assign_room("12", "8А", None)
    register = await read_register(database)
    [room] = register.rooms.values()
    assert register.place(room.room_id).school_class.name == "8А"
    with pytest.raises(NoSuch, match="has no room 14"):
        await office.assign_room("14", "8А", None)


async def test_a_stream_key_holds_until_it_expires_or_is_revoked(database: Database, office: Office) -> None:
    from relay.classroom.links import stream_key_digest

    made = await office.issue_stream_key("12", "7Б", None, START_MS, HOUR_S)
    digest = stream_key_digest(made.secret)
    register = await read_register(database)
    assert register.stream_key(digest, START_MS) is not None
    assert register.stream_key(digest, START_MS + 3_600_000) is None
    assert await office.revoke(made.secret_id[:8], START_MS) == made.secret_id
    assert (await read_register(database)).stream_key(digest, START_MS) is None


async def test_no_secret_but_the_link_is_in_the_database(database: Database, office: Office) -> None:
    code = await office.issue_code("12", "7Б", None, START_MS, HOUR_S)
    key = await office.issue_stream_key("12", "7Б", None, START_MS, HOUR_S)
    async with database.engine.connect() as connection:
        dump = await connection.run_sync(
            lambda sync: "\n".join(sync.connection.dbapi_connection.run_async(_dump))  # type: ignore[union-attr]
        )
    assert code.secret.replace("-", "") not in dump
    assert key.secret not in dump
    assert "INSERT INTO" in dump


async def _dump(connection: object) -> list[str]:
    return [line async for line in connection.iterdump()]  # type: ignore[attr-defined]


async def test_a_revocation_needs_one_id(office: Office) -> None:
    with pytest.raises(NoSuch, match="no kits or stream keys"):
        await office.revoke("abc", START_MS)


async def test_a_running_lesson_can_be_ended_by_the_start_of_its_id(database: Database, office: Office) -> None:
    await _with_lesson(database, office)
    assert [item.lesson_id for item in await office.lessons(limit=5)] == [LESSON]
    ended = await office.end_lesson(LESSON[:6], START_MS + 1000)
    assert (ended.ended_unix_ms, ended.end_reason) == (START_MS + 1000, "hand")
    with pytest.raises(NoSuch, match="no running lessons"):
        await office.end_lesson(LESSON, START_MS)


async def _with_lesson(database: Database, office: Office) -> None:
    from dataclasses import replace

    await office.issue_code("12", "7Б", None, START_MS, HOUR_S)
    [room] = (await read_register(database)).rooms.values()
    await write_lessons(database, [replace(lesson(), class_id=room.class_id, room_id=room.room_id)])
