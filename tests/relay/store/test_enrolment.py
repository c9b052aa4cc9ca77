"""Enrolment: a code is good once, for one key, until it expires."""

from __future__ import annotations

import asyncio

import pytest

from relay.errors import CodeRefused
from relay.store.database import Database
from relay.store.enrolment import Enrolment, forget_used_codes
from relay.store.office import Office
from relay.store.register import read_register
from tests.relay.classroom.school import START_MS

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


async def issue(office: Office, room: str = "12") -> str:
    return (await office.issue_code(room, "7Б", None, START_MS, 60)).secret


async def test_a_code_lets_one_kit_in(database: Database, office: Office) -> None:
    kit_id = await Enrolment(database).enrol(await issue(office), KEY, "parta-kit 1", START_MS)
    kit = (await read_register(database)).kit(kit_id)
    assert kit is not None
    assert (kit.public_key, kit.software, kit.enrolled_unix_ms) == (KEY, "parta-kit 1", START_MS)


async def test_a_used_code_lets_no_other_kit_in(database: Database, office: Office) -> None:
    code, enrolment = await issue(office), Enrolment(database)
    await enrolment.enrol(code, KEY, "", START_MS)
    with pytest.raises(CodeRefused):
        await enrolment.enrol(code, OTHER_KEY, "", START_MS)


async def test_of_two_kits_with_one_code_at_the_same_moment_one_gets_in(database: Database, office: Office) -> None:
    code, enrolment = await issue(office), Enrolment(database)
    answers = await asyncio.gather(
        *(enrolment.enrol(code, key, "", START_MS) for key in (KEY, OTHER_KEY)), return_exceptions=True
    )
    assert [type(answer) for answer in answers if not isinstance(answer, str)] == [CodeRefused]
    assert len((await read_register(database)).kits) == 1


async def test_a_kit_whose_answer_was_lost_asks_again_and_gets_the_same(database: Database, office: Office) -> None:
    code, enrolment = await issue(office), Enrolment(database)
    assert await enrolment.enrol(code, KEY, "", START_MS) == await enrolment.enrol(code, KEY, "", START_MS)


async def test_an_expired_or_unknown_code_lets_nobody_in(database: Database, office: Office) -> None:
    code, enrolment = await issue(office), Enrolment(database)
    with pytest.raises(CodeRefused) as expired:
        await enrolment.enrol(code, KEY, "", START_MS + 60_000)
    with pytest.raises(CodeRefused) as unknown:
        await enrolment.enrol("AAAA-AAAA", KEY, "", START_MS)
    with pytest.raises(CodeRefused) as no_code:
        await enrolment.enrol("'; DROP TABLE kits", KEY, "", START_MS)
    assert str(expired.value) == str(unknown.value) == str(no_code.value)


async def test_a_kit_moves_with_a_new_code_and_keeps_its_id(database: Database, office: Office) -> None:
    enrolment = Enrolment(database)
    kit_id = await enrolment.enrol(await issue(office), KEY, "", START_MS)
    assert await enrolment.enrol(await issue(office, "13"), KEY, "", START_MS) == kit_id
    register = await read_register(database)
    room = register.room_of(kit_id)
    assert room is not None
    assert room.name == "13"


async def test_a_revoked_kit_needs_a_new_code(database: Database, office: Office) -> None:
    code, enrolment = await issue(office), Enrolment(database)
    kit_id = await enrolment.enrol(code, KEY, "", START_MS)
    await office.revoke(kit_id, START_MS)
    with pytest.raises(CodeRefused):
        await enrolment.enrol(code, KEY, "", START_MS)
    assert await enrolment.enrol(await issue(office), KEY, "", START_MS) == kit_id
    assert (await read_register(database)).kit(kit_id) is not None


async def test_old_codes_are_forgotten_and_their_kits_are_not(database: Database, office: Office) -> None:
    code, enrolment = await issue(office), Enrolment(database)
    kit_id = await enrolment.enrol(code, KEY, "", START_MS)
    await forget_used_codes(database, START_MS + 60_001)
    with pytest.raises(CodeRefused):
        await enrolment.enrol(code, KEY, "", START_MS)
    assert kit_id in (await read_register(database)).kits
