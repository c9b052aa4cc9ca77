"""What each ``parta-relay`` command does, besides ``serve``: asks the office, and says it to people and to scripts.

Each command takes the office and the parsed options, and returns what was found or made. Not here: the options
(``options.py``) and the database (``store/office.py``).
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from typing import TypeVar

from relay.classroom.register import Register
from relay.classroom.school import Kit, Room, School, SchoolClass, StreamKey
from relay.command_answers import Command, Desk, Row, Told, listed, when
from relay.lesson_commands import LESSON_COMMANDS
from relay.store.office import Issued

Named = TypeVar("Named", School, SchoolClass, Room)


async def school_add(desk: Desk, options: Namespace) -> Told:
    """``school add NAME``"""
    made = await desk.office.add_school(options.name)
    return Told({"school_id": made.school_id, "name": made.name}, f"School {made.name} is there.")


async def school_list(desk: Desk, _options: Namespace) -> Told:
    """``school list``"""
    register = await desk.register()
    rows = [{"school_id": item.school_id, "name": item.name} for item in _by_name(register.schools)]
    return listed(rows, ("name",), "no school yet; make one with `parta-relay school add NAME`")


async def class_add(desk: Desk, options: Namespace) -> Told:
    """``class add NAME``"""
    school, made = await desk.office.add_class(options.name, options.school)
    row = {"class_id": made.class_id, "name": made.name, "school": school.name, **_link(desk, made)}
    return Told(row, f"Class {made.name} is there. Its pupils open {row['url']}")


async def class_list(desk: Desk, _options: Namespace) -> Told:
    """``class list``: without links, which are secrets; ``class link`` shows one."""
    register = await desk.register()
    rows = [
        {"class_id": item.class_id, "name": item.name, "school": register.schools[item.school_id].name}
        for item in _by_name(register.classes)
    ]
    return listed(rows, ("name", "school"), "no class yet; make one with `parta-relay class add NAME`")


async def class_link(desk: Desk, options: Namespace) -> Told:
    """``class link NAME``"""
    found = await desk.office.find_class(options.name, options.school)
    row = {"class_id": found.class_id, "name": found.name, **_link(desk, found)}
    return Told(row, str(row["url"]))


async def class_rotate_link(desk: Desk, options: Namespace) -> Told:
    """``class rotate-link NAME``"""
    found = await desk.office.rotate_link(options.name, options.school)
    row = {"class_id": found.class_id, "name": found.name, **_link(desk, found)}
    return Told(row, f"{row['url']}\nThe old link opens nothing any more.")


async def class_keep_days(desk: Desk, options: Namespace) -> Told:
    """``class keep-days NAME {N | default}``"""
    found = await desk.office.find_class(options.name, options.school)
    await desk.keeping.set_days(found, options.days)
    days = "as many days as any other's" if options.days is None else f"{options.days} days"
    row: Row = {"class_id": found.class_id, "name": found.name, "keep_days": options.days}
    return Told(row, f"Recordings of class {found.name} are kept for {days}, those that are there, too.")


async def room_list(desk: Desk, _options: Namespace) -> Told:
    """``room list``"""
    register = await desk.register()
    rows: list[Row] = []
    for room in _by_name(register.rooms):
        place = register.place(room.room_id)
        kits = sum(kit.room_id == room.room_id and not kit.revoked for kit in register.kits.values())
        rows.append(
            {
                "room_id": room.room_id,
                "name": room.name,
                "class_name": place.school_class.name,
                "kits": kits,
                "school": place.school.name,
            }
        )
    empty = "no room yet; `parta-relay kit enrol-code --room ROOM --class CLASS` makes one"
    return listed(rows, ("name", "class_name", "kits", "school"), empty)


async def room_assign(desk: Desk, options: Namespace) -> Told:
    """``room assign ROOM --class CLASS``"""
    await desk.office.assign_room(options.room, options.class_name, options.school)
    row = {"room": options.room, "class_name": options.class_name}
    return Told(row, f"The next lessons from room {options.room} go to class {options.class_name}.")


async def kit_enrol_code(desk: Desk, options: Namespace) -> Told:
    """``kit enrol-code --room ROOM --class CLASS``"""
    made = await desk.office.issue_code(
        options.room, options.class_name, options.school, _now_ms(), options.hours * 3600
    )
    row = {"code": made.secret, **_issued(made)}
    until = when(made.expires_unix_ms)
    return Told(row, f"{made.secret}\nGood for one kit in room {made.room} (class {made.class_name}), until {until}.")


async def kit_stream_key(desk: Desk, options: Namespace) -> Told:
    """``kit stream-key --room ROOM``"""
    made = await desk.office.issue_stream_key(
        options.room, options.class_name, options.school, _now_ms(), options.days * 86_400
    )
    whip = f"{desk.public_url}/whip"
    row = {"key_id": made.secret_id, "stream_key": made.secret, "whip_url": whip, **_issued(made)}
    text = (
        f"Server: {whip}\nBearer token: {made.secret}\n"
        f"Publishes to class {made.class_name}, until {when(made.expires_unix_ms)}. It is not shown again."
    )
    return Told(row, text)


async def kit_list(desk: Desk, _options: Namespace) -> Told:
    """``kit list``: kits and stream keys."""
    register = await desk.register()
    kits = sorted(register.kits.values(), key=lambda kit: kit.enrolled_unix_ms)
    keys = sorted(register.stream_keys.values(), key=lambda key: key.expires_unix_ms)
    publishers: list[Kit | StreamKey] = [*kits, *keys]
    rows = [_publisher(register, publisher) for publisher in publishers]
    columns = ("id", "kind", "room", "class_name", "revoked")
    return listed(rows, columns, "no kit yet; `parta-relay kit enrol-code` lets one in")


async def kit_revoke(desk: Desk, options: Namespace) -> Told:
    """``kit revoke ID``"""
    publisher = await desk.office.revoke(options.id, _now_ms())
    return Told({"id": publisher, "revoked": True}, f"{publisher} is shut out.")


def _publisher(
    register: Register,
    publisher: Kit | StreamKey,
) -> Row:
    place = register.place(publisher.room_id)
    return {
        "id": publisher.kit_id if isinstance(publisher, Kit) else publisher.key_id,
        "kind": "kit" if isinstance(publisher, Kit) else "stream key",
        "school": place.school.name,
        "room": place.room.name,
        "class_name": place.school_class.name,
        "revoked": publisher.revoked,
        "enrolled_unix_ms": publisher.enrolled_unix_ms if isinstance(publisher, Kit) else None,
        "expires_unix_ms": None if isinstance(publisher, Kit) else publisher.expires_unix_ms,
    }


def _issued(made: Issued) -> Row:
    return {
        "school": made.school,
        "room": made.room,
        "class_name": made.class_name,
        "expires_unix_ms": made.expires_unix_ms,
    }


def _link(desk: Desk, school_class: SchoolClass) -> dict[str, str]:
    return {"class_path": school_class.path, "url": desk.public_url + school_class.path}


def _by_name(items: Mapping[str, Named]) -> list[Named]:
    return sorted(items.values(), key=lambda item: item.name)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


#: What ``cli.py`` runs, by the words that a person types.
COMMANDS: Mapping[str, Command] = {
    "school add": school_add,
    "school list": school_list,
    "class add": class_add,
    "class list": class_list,
    "class link": class_link,
    "class rotate-link": class_rotate_link,
    "class keep-days": class_keep_days,
    "room list": room_list,
    "room assign": room_assign,
    "kit enrol-code": kit_enrol_code,
    "kit stream-key": kit_stream_key,
    "kit list": kit_list,
    "kit revoke": kit_revoke,
    **LESSON_COMMANDS,
}
