"""What each ``parta-relay`` command does, besides ``serve``: asks the office, and says it to people and to scripts.

Each command takes the office and the parsed options, and returns what was found or made. Not here: the options
(``options.py``) and the database (``store/office.py``).
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from relay.classroom.register import Register
from relay.classroom.school import Kit, Lesson, Room, School, SchoolClass, StreamKey
from relay.store.database import Database
from relay.store.office import Issued, Office
from relay.store.register import read_register

Value = str | int | bool | None
Row = Mapping[str, Value]
Named = TypeVar("Named", School, SchoolClass, Room)


@dataclass(frozen=True, slots=True)
class Told:
    """A command's result. ``data`` is for ``--json``; ``text`` is for people."""

    data: Row | Sequence[Row]
    text: str


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command works with."""

    office: Office
    database: Database
    public_url: str

    async def register(self) -> Register:
        """Everything there is."""
        return await read_register(self.database)


Command = Callable[[Desk, Namespace], Awaitable[Told]]


async def school_add(desk: Desk, options: Namespace) -> Told:
    """``school add NAME``"""
    made = await desk.office.add_school(options.name)
    return Told({"school_id": made.school_id, "name": made.name}, f"School {made.name} is there.")


async def school_list(desk: Desk, _options: Namespace) -> Told:
    """``school list``"""
    register = await desk.register()
    rows = [{"school_id": item.school_id, "name": item.name} for item in _by_name(register.schools)]
    return _listed(rows, ("name",), "no school yet; make one with `parta-relay school add NAME`")


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
    return _listed(rows, ("name", "school"), "no class yet; make one with `parta-relay class add NAME`")


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
    return _listed(rows, ("name", "class_name", "kits", "school"), empty)


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
    until = _when(made.expires_unix_ms)
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
        f"Publishes to class {made.class_name}, until {_when(made.expires_unix_ms)}. It is not shown again."
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
    return _listed(rows, columns, "no kit yet; `parta-relay kit enrol-code` lets one in")


async def kit_revoke(desk: Desk, options: Namespace) -> Told:
    """``kit revoke ID``"""
    publisher = await desk.office.revoke(options.id, _now_ms())
    return Told({"id": publisher, "revoked": True}, f"{publisher} is shut out.")


async def lesson_list(desk: Desk, options: Namespace) -> Told:
    """``lesson list``"""
    register = await desk.register()
    lessons = await desk.office.lessons(limit=options.limit)
    rows = [_lesson(register, lesson) for lesson in lessons]
    shown = [{**row, "started": _when(lesson.started_unix_ms)} for row, lesson in zip(rows, lessons, strict=True)]
    table = _table(shown, ("lesson_id", "room", "class_name", "started", "state"))
    return Told(rows, table if rows else "no lesson yet")


async def lesson_end(desk: Desk, options: Namespace) -> Told:
    """``lesson end ID``"""
    ended = await desk.office.end_lesson(options.id, _now_ms())
    register = await desk.register()
    return Told(_lesson(register, ended), f"Lesson {ended.lesson_id} is ended; its kit hears of it within seconds.")


def _lesson(register: Register, lesson: Lesson) -> Row:
    return {
        "lesson_id": lesson.lesson_id,
        "room": register.rooms[lesson.room_id].name,
        "class_name": register.classes[lesson.class_id].name,
        "state": "running" if lesson.ended_unix_ms is None else f"over ({lesson.end_reason})",
        "foreign": lesson.foreign,
        "started_unix_ms": lesson.started_unix_ms,
        "ended_unix_ms": lesson.ended_unix_ms,
    }


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


def _listed(rows: Sequence[Row], columns: Sequence[str], empty: str) -> Told:
    return Told(rows, _table(rows, columns) if rows else empty)


def _table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    lines = [[column.replace("_", " ").upper() for column in columns]]
    lines += [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cell(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _by_name(items: Mapping[str, Named]) -> list[Named]:
    return sorted(items.values(), key=lambda item: item.name)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _when(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")


#: What ``cli.py`` runs, by the words that a person types.
COMMANDS: Mapping[str, Command] = {
    "school add": school_add,
    "school list": school_list,
    "class add": class_add,
    "class list": class_list,
    "class link": class_link,
    "class rotate-link": class_rotate_link,
    "room list": room_list,
    "room assign": room_assign,
    "kit enrol-code": kit_enrol_code,
    "kit stream-key": kit_stream_key,
    "kit list": kit_list,
    "kit revoke": kit_revoke,
    "lesson list": lesson_list,
    "lesson end": lesson_end,
}
