"""The lesson that a dying kit leaves behind, and when the next start may go on with it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from appliance import kept_lesson
from appliance.durable import write_durably
from appliance.kept_lesson import RESUME_WITHIN_S, KeptLesson, LessonKeeper, boot_id


def _lesson(*, curtain: bool = False, boot: str | None = None) -> KeptLesson:
    started_us = time.time_ns() // 1000 - 60_000_000
    return KeptLesson(lesson_id="ab" * 16, started_unix_us=started_us, curtain=curtain, boot_id=boot or boot_id())


def _left_behind(folder: Path, kept: KeptLesson, *, silent_s: float) -> Path:
    path = folder / "lesson.json"
    path.write_bytes(msgspec.json.encode(kept))
    os.utime(path, (time.time() - silent_s,) * 2)
    return path


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@asynccontextmanager
async def _running(keeper: LessonKeeper) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_is_kept_is_found_by_the_next_start(tmp_path: Path) -> None:
    keeper = LessonKeeper(tmp_path)
    async with _running(keeper):
        for curtain in (False, True):
            keeper.keep(_lesson(curtain=curtain))
            await asyncio.wait_for(keeper.settled(), 5)
            found = LessonKeeper(tmp_path).load()
            assert found is not None
            assert found.curtain is curtain


async def test_a_lesson_that_ended_is_not_found(tmp_path: Path) -> None:
    keeper = LessonKeeper(tmp_path)
    async with _running(keeper):
        keeper.keep(_lesson())
        keeper.keep(None)  # ended before the first was even written
        await asyncio.wait_for(keeper.settled(), 5)
    assert LessonKeeper(tmp_path).load() is None
    assert _names(tmp_path) == []


async def test_a_fresh_kit_has_nothing_to_go_on_with(tmp_path: Path) -> None:
    assert LessonKeeper(tmp_path / "not made yet").load() is None


async def test_two_minutes_are_believed_and_more_is_over_for_good(tmp_path: Path) -> None:
    _left_behind(tmp_path, _lesson(), silent_s=RESUME_WITHIN_S - 5)
    assert LessonKeeper(tmp_path).load() is not None
    path = _left_behind(tmp_path, _lesson(), silent_s=RESUME_WITHIN_S + 1)
    assert LessonKeeper(tmp_path).load() is None
    assert not path.exists()


async def test_a_clock_that_went_back_is_not_believed(tmp_path: Path) -> None:
    _left_behind(tmp_path, _lesson(), silent_s=-3600)
    assert LessonKeeper(tmp_path).load() is None


@pytest.mark.parametrize("clock_is_set", [True, False])
async def test_after_a_reboot_only_a_clock_that_the_network_set_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock_is_set: bool
) -> None:
    """A kit unplugged in a lesson and plugged in the next morning must not open its camera by itself."""
    monkeypatch.setattr(kept_lesson, "_clock_is_set", lambda: clock_is_set)
    _left_behind(tmp_path, _lesson(boot="another boot"), silent_s=20)
    assert (LessonKeeper(tmp_path).load() is not None) is clock_is_set


def test_the_kernel_says_whether_the_clock_was_set() -> None:
    assert kept_lesson._clock_is_set() in (True, False)  # what matters: it can be asked without rights


@pytest.mark.parametrize("content", [b"", b"{", b'{"lesson_id": 3}', b"\xff\xfe"])
async def test_a_damaged_file_is_a_lesson_that_is_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lesson.json").write_bytes(content)
    assert LessonKeeper(tmp_path).load() is None
    assert not (tmp_path / "lesson.json").exists()


async def test_a_kit_that_lives_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_lesson, "ALIVE_EVERY_S", 0.01)
    path = _left_behind(tmp_path, _lesson(), silent_s=60)
    keeper = LessonKeeper(tmp_path)
    assert keeper.load() is not None
    touched = asyncio.Event()
    utime = os.utime

    def seen(*arguments: object) -> None:
        utime(path)
        loop.call_soon_threadsafe(touched.set)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(os, "utime", seen)
    async with _running(keeper):
        await asyncio.wait_for(touched.wait(), 5)
    assert time.time() - path.stat().st_mtime < 30


async def test_a_disk_that_takes_nothing_costs_a_line_and_not_the_kit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    keeper = LessonKeeper(tmp_path / "file" / "state")
    async with _running(keeper):
        keeper.keep(_lesson())
        await asyncio.wait_for(keeper.settled(), 5)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "will not resume its lesson" in caplog.text


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lesson.json"
    write_durably(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
