"""The ``parta-relay lesson …`` commands: list, end, keep, delete, export, link. As ``commands.py``, which runs them."""

from __future__ import annotations

from argparse import Namespace
from datetime import datetime
from pathlib import Path

from relay.archive.one_file_parts import part_of, planned
from relay.archive.retention import Retention
from relay.classroom.links import lesson_link_digest, new_link
from relay.classroom.register import Register
from relay.classroom.school import Lesson
from relay.clock import moment
from relay.command_answers import Command, Desk, Row, Told, listed, when
from relay.errors import NoSuch
from relay.store.keeping import Kept
from relay.store.recordings import RecordingRows

DAY_MS = 86_400_000


async def lesson_list(desk: Desk, options: Namespace) -> Told:
    """``lesson list``"""
    register = await desk.register()
    lessons = await desk.office.lessons(limit=options.limit)
    kept = await desk.keeping.kept([lesson.lesson_id for lesson in lessons])
    rows = [_lesson(register, lesson, kept.get(lesson.lesson_id)) for lesson in lessons]
    shown = [
        {
            **row,
            "started": when(lesson.started_unix_ms),
            "recorded": _length(kept.get(lesson.lesson_id)),
            "kept_until": _until(kept.get(lesson.lesson_id)),
        }
        for row, lesson in zip(rows, lessons, strict=True)
    ]
    columns = ("lesson_id", "room", "class_name", "started", "state", "recorded", "kept_until")
    return Told(rows, listed(shown, columns, "no lesson yet").text)


async def lesson_end(desk: Desk, options: Namespace) -> Told:
    """``lesson end ID``"""
    ended = await desk.office.end_lesson(options.id, moment().unix_ms)
    register = await desk.register()
    row = _lesson(register, ended, None)
    return Told(row, f"Lesson {ended.lesson_id} is ended; its kit hears of it within seconds.")


async def lesson_keep(desk: Desk, options: Namespace) -> Told:
    """``lesson keep ID [--undo]``"""
    lesson_id = await desk.keeping.find(options.id)
    await desk.keeping.set_kept(lesson_id, kept=not options.undo)
    how_long = "as long as its class's lessons are" if options.undo else "until somebody deletes it"
    return Told({"lesson_id": lesson_id, "kept": not options.undo}, f"Lesson {lesson_id} is kept {how_long}.")


async def lesson_delete(desk: Desk, options: Namespace) -> Told:
    """``lesson delete ID --yes``"""
    lesson_id = await desk.keeping.find(options.id)
    if not await desk.keeping.is_over(lesson_id):
        raise NoSuch(f"lesson {lesson_id} is running; `parta-relay lesson end {lesson_id}` ends it first")
    if not options.yes:
        raise NoSuch(f"lesson {lesson_id} would be gone for good; say --yes if that is what you want")
    retention = Retention(desk.keeping, desk.files, desk.stills, moment)
    gone = await retention.delete(lesson_id)
    left = "" if gone else " Some of its files could not be removed now; the relay goes on trying."
    return Told({"lesson_id": lesson_id, "files_removed": gone}, f"Lesson {lesson_id} is deleted.{left}")


async def lesson_export(desk: Desk, options: Namespace) -> Told:
    """``lesson export ID FILE``"""
    lesson_id = await desk.keeping.find(options.id)
    recording = await RecordingRows(desk.database).load(lesson_id)
    if recording is None or not recording.segments:
        raise NoSuch(f"nothing of lesson {lesson_id} has come yet")
    target: Path = options.file
    file = await planned(desk.files, recording)
    try:
        with target.open("xb") as output:
            for index in range(-1, len(file.pieces)):
                output.write(await part_of(desk.files, recording, file, index))
    except OSError as error:
        raise NoSuch(f"{target} cannot be written: {error.strerror}") from error
    row: Row = {"lesson_id": lesson_id, "file": str(target), "duration_ms": file.duration_us // 1000}
    holes = "" if recording.complete else " It is what has come until now; more may follow."
    return Told(row, f"{target} has lesson {lesson_id}, {_minutes(file.duration_us // 1000)}.{holes}")


async def lesson_link(desk: Desk, options: Namespace) -> Told:
    """``lesson link ID --days N``"""
    lesson_id = await desk.keeping.find(options.id)
    token, expires_ms = new_link(), moment().unix_ms + round(options.days * DAY_MS)
    await desk.keeping.add_link(lesson_id, lesson_link_digest(token), expires_ms)
    url = f"{desk.public_url}/l/{token}"
    row: Row = {"lesson_id": lesson_id, "url": url, "expires_unix_ms": expires_ms}
    return Told(row, f"{url}\nOpens this lesson alone, until {when(expires_ms)}. It is not shown again.")


def _lesson(register: Register, lesson: Lesson, kept: Kept | None) -> Row:
    return {
        "lesson_id": lesson.lesson_id,
        "room": register.rooms[lesson.room_id].name,
        "class_name": register.classes[lesson.class_id].name,
        "state": "running" if lesson.ended_unix_ms is None else f"over ({lesson.end_reason})",
        "foreign": lesson.foreign,
        "started_unix_ms": lesson.started_unix_ms,
        "ended_unix_ms": lesson.ended_unix_ms,
        "recorded_ms": None if kept is None else kept.duration_ms,
        "complete": kept is not None and kept.complete,
        "size_bytes": 0 if kept is None else kept.size_bytes,
        "kept_until_unix_ms": None if kept is None else kept.until_unix_ms,
    }


def _length(kept: Kept | None) -> str:
    if kept is None:
        return ""
    return _minutes(kept.duration_ms) + ("" if kept.complete else " …")


def _until(kept: Kept | None) -> str:
    if kept is None:
        return ""
    return "deleted by hand" if kept.until_unix_ms is None else f"{_date(kept.until_unix_ms)}"


def _minutes(ms: int) -> str:
    return f"{ms // 60_000}:{ms // 1000 % 60:02d} min"


def _date(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000).astimezone().strftime("%Y-%m-%d")


LESSON_COMMANDS: dict[str, Command] = {
    "lesson list": lesson_list,
    "lesson end": lesson_end,
    "lesson keep": lesson_keep,
    "lesson delete": lesson_delete,
    "lesson export": lesson_export,
    "lesson link": lesson_link,
}
