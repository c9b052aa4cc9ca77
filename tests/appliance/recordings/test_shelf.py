"""The shelf of recorded lessons: what goes when room is needed, and what a start makes of lessons that were cut off."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.recordings import shelf as shelf_module
from appliance.recordings.lesson_folder import Confirmed, Head, LessonFolder, read_end, write_confirmed
from appliance.recordings.shelf import KEPT_DAYS, Shelf
from tests.small_disk import small_disk

KB = 1000


def _lesson(
    root: Path, name: str, *, began: int, segments: int = 5, held: int = 0, everything: bool = False, kb: int = 10
) -> LessonFolder:
    folder = LessonFolder(root / name)
    folder.begin(Head(lesson_id=name, started_unix_us=began, started_boot_us=0, boot_id=""))
    init = folder.init_for(b"init")
    for at in range(segments):
        content = os.urandom(kb * KB)
        folder.add(content, init=init, start_us=at * 2_000_000, end_us=(at + 1) * 2_000_000, discontinuity=False)
    if held:
        write_confirmed(folder.path, Confirmed(segments=((0, held - 1),), all=everything))
    return folder


def _left(root: Path) -> dict[str, int]:
    return {path.name: len([*path.glob("*.m4s")]) for path in sorted(root.iterdir())}


def test_beyond_the_quota_confirmed_lessons_go_oldest_first_and_nothing_else(tmp_path: Path) -> None:
    _lesson(tmp_path, "newest", began=4, held=5, everything=True)
    _lesson(tmp_path, "oldest", began=1, held=5, everything=True)
    _lesson(tmp_path, "middle", began=2)
    _lesson(tmp_path, "in part", began=0, held=3)
    shelf = Shelf(tmp_path, 190 * KB)
    shelf.make_room(10 * KB)
    assert _left(tmp_path) == {"in part": 5, "middle": 5, "newest": 5}
    Shelf(tmp_path, 20 * KB).make_room(10 * KB)
    assert _left(tmp_path) == {"in part": 5, "middle": 5}  # what only the kit has stays beyond any quota


def test_the_lesson_that_is_being_recorded_is_never_dropped(tmp_path: Path) -> None:
    _lesson(tmp_path, "running", began=1, held=5, everything=True)
    shelf = Shelf(tmp_path, 20 * KB)
    shelf.claim("running")
    shelf.make_room(10 * KB)
    assert _left(tmp_path) == {"running": 5}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, a real one."""
    with small_disk(tmp_path, 1024) as mounted:
        yield mounted


def test_on_a_full_card_what_the_relay_has_goes_first_and_then_the_oldest_loudly(
    disk: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "RESERVE_BYTES", 0)
    _lesson(disk, "whole", began=3, segments=2, held=2, everything=True, kb=80)
    _lesson(disk, "in part", began=2, segments=3, held=1, kb=80)
    _lesson(disk, "old", began=1, segments=3, kb=80)
    given_up: list[str] = []
    shelf = Shelf(disk, 10**9, given_up.append)
    stages = []
    with caplog.at_level(logging.ERROR):
        for needed_kb in (350, 540, 620, 700):
            shelf.make_room(needed_kb * KB)
            stages.append((_left(disk), len(given_up)))
    assert stages == [
        ({"in part": 3, "old": 3}, 0),
        ({"in part": 2, "old": 3}, 0),
        ({"in part": 2, "old": 2}, 1),
        ({"in part": 2, "old": 1}, 2),
    ]
    assert "a part of lesson old, which the relay does not have, is deleted" in caplog.text


def test_a_start_closes_lessons_that_were_cut_off_and_leaves_the_one_that_goes_on(tmp_path: Path) -> None:
    _lesson(tmp_path, "cut off", began=1)
    over = _lesson(tmp_path, "over", began=2)
    over.end(77_000_000)
    _lesson(tmp_path, "goes on", began=3)
    _lesson(tmp_path, "nothing", began=4, segments=0)
    (tmp_path / "cut off" / "5.m4s").write_bytes(b"never finished")
    shelf = Shelf(tmp_path, 10**9)
    shelf.claim("goes on")
    shelf.recover()
    ends = {path.name: read_end(path) for path in sorted(tmp_path.iterdir())}
    assert {name: end and (end.segments, end.duration_us) for name, end in ends.items()} == {
        "cut off": (5, 10_000_000),
        "goes on": None,
        "over": (5, 77_000_000),
    }
    assert _left(tmp_path) == {"cut off": 5, "goes on": 5, "over": 5}


def test_confirmed_lessons_of_long_ago_are_forgotten_at_a_start(tmp_path: Path) -> None:
    for name, everything in (("confirmed", True), ("waiting", False)):
        folder = _lesson(tmp_path, name, began=1, held=5, everything=everything)
        folder.end(10_000_000)
        long_ago = time.time() - (KEPT_DAYS + 1) * 86_400
        os.utime(folder.path, (long_ago, long_ago))
    Shelf(tmp_path, 10**9).recover()
    assert _left(tmp_path) == {"waiting": 5}


def test_a_lesson_of_which_nothing_was_recorded_leaves_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 10**9)
    shelf.claim("short")
    _lesson(tmp_path, "short", began=1, segments=0)
    shelf.release("short")
    assert _left(tmp_path) == {}


def test_a_folder_that_cannot_be_understood_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _lesson(tmp_path, "good", began=1)
    (_lesson(tmp_path, "bad", began=2).path / "head.json").write_bytes(b"{")
    assert [lesson.head.lesson_id for lesson in Shelf(tmp_path, 10**9).lessons()] == ["good"]
    assert "head.json" in caplog.text
