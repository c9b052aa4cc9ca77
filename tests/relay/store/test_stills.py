"""Board stills on disk: whole or not there, once, not too many, not for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from relay.errors import StillRefused
from relay.store import stills as module
from relay.store.stills import KEPT_DAYS, StillFolder
from tests.relay.classroom.school import LESSON, NEXT_LESSON


@pytest.fixture
def stills(tmp_path: Path) -> StillFolder:
    return StillFolder(tmp_path / "stills")


def test_a_still_is_kept_once(stills: StillFolder) -> None:
    assert stills.keep(LESSON, 5_000_000, b"picture")
    assert not stills.keep(LESSON, 5_000_000, b"another")
    assert stills.path(LESSON, 5_000_000).read_bytes() == b"picture"


def test_stills_are_listed_in_order_of_capture(stills: StillFolder) -> None:
    for capture_us in (30, 4, 200):
        stills.keep(LESSON, capture_us, b"x")
    assert stills.of_lesson(LESSON) == [4, 30, 200]
    assert stills.of_lesson(NEXT_LESSON) == []


def test_nothing_half_written_is_left(stills: StillFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        stills.keep(LESSON, 1, b"x")
    assert list(stills.path(LESSON, 1).parent.iterdir()) == []


def test_a_lesson_has_a_bounded_number(stills: StillFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PER_LESSON", 2)
    stills.keep(LESSON, 1, b"x")
    stills.keep(LESSON, 2, b"x")
    with pytest.raises(StillRefused):
        stills.keep(LESSON, 3, b"x")
    assert not stills.keep(LESSON, 2, b"x"), "one that is there already is no new one"


@pytest.mark.parametrize("lesson_id", ["..", "../../etc", "A" * 32, ""])
def test_a_name_that_is_no_lesson_id_becomes_no_path(stills: StillFolder, lesson_id: str) -> None:
    with pytest.raises(ValueError, match="not a lesson id"):
        stills.path(lesson_id, 1)
    assert stills.of_lesson(lesson_id) == []


def test_old_lessons_are_forgotten(stills: StillFolder) -> None:
    stills.keep(LESSON, 1, b"x")
    stills.keep(NEXT_LESSON, 1, b"x")
    long_ago_s = time.time() - (KEPT_DAYS + 1) * 86400
    os.utime(stills.path(LESSON, 1).parent, (long_ago_s, long_ago_s))
    assert stills.forget_old(but={LESSON}) == 0, "they go with its recording"
    assert stills.forget_old() == 1
    assert stills.of_lesson(LESSON) == []
    assert stills.of_lesson(NEXT_LESSON) == [1]
