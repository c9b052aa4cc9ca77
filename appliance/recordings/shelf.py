"""All recorded lessons of a kit: which there are, which may go, and room for the next segment.

Lessons that the relay has wholly confirmed go first, oldest first: beyond the quota, after some days, or when the card
would be full. What the relay does not have is given up only where the card would be full otherwise, and loudly.
Blocks on the disk: call it in a thread; any may. Used by the recorder and the uploader. Not here: one lesson's files
(``lesson_folder.py``).
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.durable import sync_folder
from appliance.recordings.lesson_folder import (
    END,
    Confirmed,
    Head,
    LessonFolder,
    SegmentDamaged,
    read_confirmed,
    read_head,
    segment_name,
)
from wire.recording import numbers_in

log = logging.getLogger(__name__)

#: Confirmed lessons are the relay's to keep. Here they stay for a while, for whoever has to look into something.
KEPT_DAYS = 7
_DAY_S = 86_400
#: The card is full where less than this is free, or less than this part of it: the system needs room for its log.
RESERVE_BYTES = 200 * 1024 * 1024
RESERVE_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class ShelvedLesson:
    """A lesson on the shelf: what the uploader starts from."""

    path: Path
    head: Head
    confirmed: Confirmed


class Shelf:
    """The folder of recorded lessons. ``on_given_up`` is told when something is deleted that only the kit had."""

    def __init__(self, root: Path, quota_bytes: int, on_given_up: Callable[[str], None] = lambda reason: None) -> None:
        self.root = root
        self._quota_bytes = quota_bytes
        self._on_given_up = on_given_up
        self._lock = threading.Lock()
        self._used_bytes: int | None = None  # None: not counted yet
        self._claimed: set[str] = set()  # lessons that are being recorded

    def path(self, lesson_id: str) -> Path:
        """A lesson's folder."""
        return self.root / lesson_id

    def claim(self, lesson_id: str) -> None:
        """This lesson is being recorded: it is nobody else's to put in order or to delete. Does not block."""
        self._claimed.add(lesson_id)

    def release(self, lesson_id: str) -> None:
        """It is over. Where nothing was recorded of it, nothing stays."""
        self._claimed.discard(lesson_id)
        path = self.root / lesson_id
        try:
            if path.is_dir() and not any(path.glob("*.m4s")):
                with self._lock:
                    self._remove(path)
        except OSError as error:
            log.warning("%s: %s; it is removed at the next start", path, error.strerror)

    def lessons(self) -> list[ShelvedLesson]:
        """All of them, oldest first. One whose head is unreadable stays where it is, and is told once a start."""
        found = []
        for path in self._folders():
            try:
                found.append(ShelvedLesson(path, read_head(path), read_confirmed(path)))
            except SegmentDamaged as error:
                log.warning("a recorded lesson is left alone: %s", error)
        return sorted(found, key=lambda lesson: lesson.head.started_unix_us)

    def recover(self) -> None:
        """After a start: put every lesson's folder in order, and close those that were cut off and do not go on."""
        for path in self._folders():
            try:
                with self._lock:
                    self._close_cut_off(path)
            except OSError as error:
                log.warning("%s: %s; it is tried again at the next start", path, error.strerror)
        self._forget_old()

    def make_room(self, needed_bytes: int) -> None:
        """Delete what may go until ``needed_bytes`` fit, or nothing is left to delete. Raises ``OSError``."""
        with self._lock:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._used_bytes is None:
                self._used_bytes = sum(_bytes_in(path) for path in self._folders())
            while self._used_bytes + needed_bytes > self._quota_bytes and self._drop_confirmed_lesson():
                pass
            while self._is_full(needed_bytes) and (self._drop_confirmed_lesson() or self._drop_segment()):
                pass
            self._used_bytes += needed_bytes

    def recount(self) -> None:
        """What was made room for could not be written: look anew how much is used."""
        with self._lock:
            self._used_bytes = None

    def _close_cut_off(self, path: Path) -> None:
        if path.name in self._claimed:
            return
        folder = LessonFolder(path)
        if not folder.entries:
            self._remove(path)  # it ended before anything was recorded
        elif not (path / END).exists():
            log.info("lesson %s was cut off; its recording is closed", path.name)
            folder.end(folder.end_us)

    def _folders(self) -> Iterator[Path]:
        if self.root.is_dir():
            yield from (path for path in sorted(self.root.iterdir()) if path.is_dir())

    def _is_full(self, needed_bytes: int) -> bool:
        disk = os.statvfs(self.root)
        reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize * RESERVE_SHARE)
        return disk.f_bavail * disk.f_frsize < needed_bytes + reserve

    def _drop_confirmed_lesson(self) -> bool:
        for lesson in self.lessons():
            if lesson.confirmed.all and lesson.path.name not in self._claimed:
                log.info("lesson %s, which the relay has, makes room", lesson.path.name)
                self._remove(lesson.path)
                return True
        return False

    def _drop_segment(self) -> bool:
        """The oldest segment that the relay has, of any lesson; else the oldest of a lesson that is over."""
        lessons = self.lessons()
        for lesson in lessons:
            confirmed = set(numbers_in(lesson.confirmed.segments))
            if (entry := _oldest_file(lesson.path, confirmed.__contains__)) is not None:
                self._unlink(lesson.path, entry)
                return True
        for lesson in lessons:
            if lesson.path.name in self._claimed:
                continue
            if (entry := _oldest_file(lesson.path, lambda number: True)) is not None:
                self._unlink(lesson.path, entry)
                reason = (
                    f"the card is full: a part of lesson {lesson.path.name}, which the relay does not have, is deleted"
                )
                log.error("%s (segment %d)", reason, entry)
                self._on_given_up(reason)
                return True
        return False

    def _unlink(self, folder: Path, number: int) -> None:
        path = folder / segment_name(number)
        size = path.stat().st_size
        path.unlink()
        sync_folder(folder)
        self._used_bytes = max(0, (self._used_bytes or 0) - size)

    def _remove(self, path: Path) -> None:
        size = _bytes_in(path)
        shutil.rmtree(path)
        sync_folder(self.root)
        if self._used_bytes is not None:
            self._used_bytes = max(0, self._used_bytes - size)

    def _forget_old(self) -> None:
        oldest_s = time.time() - KEPT_DAYS * _DAY_S
        for lesson in self.lessons():
            try:
                is_old = lesson.confirmed.all and lesson.path.stat().st_mtime < oldest_s
                if is_old and lesson.path.name not in self._claimed:
                    with self._lock:
                        self._remove(lesson.path)
            except OSError as error:
                log.warning("%s: %s; it stays on the card", lesson.path, error.strerror)


def _oldest_file(folder: Path, may_go: Callable[[int], bool]) -> int | None:
    numbers = (int(path.stem) for path in folder.glob("*.m4s") if path.stem.isdecimal())
    return min((number for number in numbers if may_go(number)), default=None)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
