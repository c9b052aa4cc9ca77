"""``parta-relay lesson …`` and ``class keep-days``: what becomes of recordings, at a prompt beside a running relay."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from relay.archive.archive import Archive, Upload
from relay.archive.places import files_of
from relay.classroom.school import Lesson
from relay.clock import moment
from relay.settings import load_settings
from relay.store.database import opened_database
from relay.store.recordings import RecordingRows
from relay.store.register import read_register
from relay.web.metrics import Metrics
from tests.relay.archive.footage import FPS, footage, read_footage
from tests.relay.test_cli import Prompt, at
from wire.recording import RecordingEnd

__all__ = ["at"]

LESSON, RUNNING = "1e" * 16, "2f" * 16
KIT = "3a" * 16
FOOTAGE = footage(3)


async def _record(config: Path, lesson_id: str, *, over: bool) -> None:
    """What a kit's uploads leave in the relay's store."""
    settings = load_settings(config)
    async with opened_database("", Path(settings.relay.state_dir)) as database:
        register = await read_register(database)
        [room] = register.rooms.values()
        lesson = Lesson(
            lesson_id=lesson_id,
            class_id=room.class_id,
            room_id=room.room_id,
            publisher=KIT,
            foreign=False,
            started_unix_ms=moment().unix_ms,
            ended_unix_ms=moment().unix_ms if over else None,
            end_reason="kit" if over else None,
        )
        archive = Archive(RecordingRows(database), files_of(settings), moment, Metrics())
        await archive.begin(lesson, lesson.started_unix_ms * 1000)
        await archive.take_init(lesson_id, KIT, 0, _upload(FOOTAGE.inits[0]))
        for number, piece in enumerate(FOOTAGE.pieces):
            await archive.take_segment(lesson_id, KIT, number, piece.head, _upload(piece.body))
        if over:
            await archive.end(lesson_id, KIT, RecordingEnd(segments=3, duration_us=FOOTAGE.duration_us))


def _upload(body: bytes) -> Upload:
    return Upload(body=body, sha256=hashlib.sha256(body).digest())


@pytest.fixture
def recorded(at: Prompt) -> Prompt:
    """A school with one lesson that is over, and one that runs."""
    at.run("school", "add", "Школа")
    at.run("class", "add", "7Б")
    at.run("kit", "enrol-code", "--room", "12", "--class", "7Б")
    asyncio.run(_record(at.config, LESSON, over=True))
    asyncio.run(_record(at.config, RUNNING, over=False))
    return at


def test_the_list_says_what_is_recorded_and_until_when(recorded: Prompt) -> None:
    rows = {row["lesson_id"]: row for row in recorded.ask("lesson", "list")}
    assert (rows[LESSON]["recorded_ms"], rows[LESSON]["complete"]) == (6000, True)
    assert rows[LESSON]["size_bytes"] == sum(len(piece.body) for piece in FOOTAGE.pieces)
    days = (rows[LESSON]["kept_until_unix_ms"] - rows[LESSON]["started_unix_ms"]) / 86_400_000
    assert days == pytest.approx(14, abs=0.01)
    assert not rows[RUNNING]["complete"]
    table = recorded.run("lesson", "list").output
    assert "0:06 min" in table
    assert "KEPT UNTIL" in table


def test_a_lesson_and_a_class_can_be_kept_longer(recorded: Prompt) -> None:
    recorded.ask("class", "keep-days", "7Б", "30")
    [row] = [row for row in recorded.ask("lesson", "list") if row["lesson_id"] == LESSON]
    assert (row["kept_until_unix_ms"] - row["started_unix_ms"]) / 86_400_000 == pytest.approx(30, abs=0.01)
    assert "until somebody deletes it" in recorded.run("lesson", "keep", LESSON[:6]).output
    assert "deleted by hand" in recorded.run("lesson", "list").output
    recorded.ask("lesson", "keep", LESSON, "--undo")
    recorded.ask("class", "keep-days", "7Б", "default")
    [row] = [row for row in recorded.ask("lesson", "list") if row["lesson_id"] == LESSON]
    assert (row["kept_until_unix_ms"] - row["started_unix_ms"]) / 86_400_000 == pytest.approx(14, abs=0.01)


def test_a_lesson_becomes_a_file(recorded: Prompt, tmp_path: Path) -> None:
    file = tmp_path / "lesson.mp4"
    assert "0:06 min" in recorded.run("lesson", "export", LESSON, str(file)).output
    assert read_footage(file.read_bytes()).numbers == list(range(3 * 2 * FPS))
    again = recorded.run("lesson", "export", LESSON, str(file))
    assert (again.code, again.errors) == (2, f"parta-relay: {file} cannot be written: File exists\n")


def test_a_lesson_is_deleted_for_good_when_it_is_meant_and_over(recorded: Prompt) -> None:
    refused = recorded.run("lesson", "delete", LESSON)
    assert refused.code == 2
    assert "--yes" in refused.errors
    assert "is running" in recorded.run("lesson", "delete", RUNNING, "--yes").errors
    assert recorded.ask("lesson", "delete", LESSON, "--yes") == {"lesson_id": LESSON, "files_removed": True}
    assert [row["lesson_id"] for row in recorded.ask("lesson", "list")] == [RUNNING]
    kept = Path(load_settings(recorded.config).relay.state_dir) / "recordings"
    assert [path.name for path in kept.iterdir()] == [RUNNING]
    assert "no recorded lessons have an id that starts with" in recorded.run("lesson", "keep", LESSON).errors


def test_a_link_to_a_lesson_is_shown_once(recorded: Prompt) -> None:
    made = recorded.ask("lesson", "link", LESSON, "--days", "2")
    assert "/l/" in made["url"]
    token = made["url"].rpartition("/")[2]
    database = Path(load_settings(recorded.config).relay.state_dir) / "relay.sqlite3"
    assert token.encode() not in b"".join(path.read_bytes() for path in database.parent.glob("relay.sqlite3*"))
    assert "It is not shown again." in recorded.run("lesson", "link", LESSON).output
