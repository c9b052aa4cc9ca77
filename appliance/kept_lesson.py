"""The running lesson, written down: a kit that dies within a lesson goes on with the same one when it is back.

``lesson.json`` in the state folder exists while a lesson runs, and its modification time is the kit's last sign of
life. Used by ``kit.py``. Not here: what resuming does (``lesson.py``).
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import time
from pathlib import Path

import msgspec

from appliance.durable import remove_durably, write_durably

log = logging.getLogger(__name__)

RESUME_WITHIN_S = 120.0  # a reboot and a service restart fit; what is longer, the teacher has noticed and handled
ALIVE_EVERY_S = 5.0  # how well "when did it die" is known
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR = 5  # adjtimex(2): nobody has set this clock since the kit was switched on


class KeptLesson(msgspec.Struct, frozen=True, kw_only=True):
    """What a restarted kit must know. ``curtain``: it resumes with camera and microphone closed."""

    lesson_id: str
    started_unix_us: int
    curtain: bool
    boot_id: str


def boot_id() -> str:
    """Names the time since this machine was switched on."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


class LessonKeeper:
    """Owns ``lesson.json``. ``keep`` returns at once; ``run`` does the writing, in a thread, newest last."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "lesson.json"
        self._kept: KeptLesson | None = None
        self._written: KeptLesson | None = None
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    def load(self) -> KeptLesson | None:
        """The lesson to go on with, if the kit died in one a moment ago. One that is too old is forgotten."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=KeptLesson)
            silent_s = time.time() - self._path.stat().st_mtime
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.warning("%s: unreadable (%s); the lesson in it counts as over", self._path, error)
            self._forget()
            return None
        if not _is_fresh(kept, silent_s):
            log.info("lesson %s was cut off %.0f s ago and counts as over", kept.lesson_id, silent_s)
            self._forget()
            return None
        self._kept = self._written = kept
        return kept

    def keep(self, kept: KeptLesson | None) -> None:
        """From now on this lesson runs, or (``None``) none."""
        self._kept = kept
        self._settled.clear()
        self._changed.set()

    async def settled(self) -> None:
        """Wait until what was last said is on the disk, or was found impossible to write."""
        await self._settled.wait()

    async def run(self) -> None:
        """Write until cancelled. A full disk costs the resumption, never the lesson."""
        while True:
            try:
                async with asyncio.timeout(ALIVE_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                pass  # nothing changed: only say that the kit lives
            self._changed.clear()
            await asyncio.to_thread(self._write, self._kept)
            if not self._changed.is_set():
                self._settled.set()

    def _write(self, kept: KeptLesson | None) -> None:
        try:
            if kept is None:
                if self._written is not None or self._path.exists():
                    remove_durably(self._path)
            elif kept != self._written:
                write_durably(self._path, msgspec.json.encode(kept))
            else:
                os.utime(self._path)
            self._written = kept
        except OSError as error:
            log.error("%s: %s; a kit that dies now will not resume its lesson", self._path, error.strerror)  # noqa: TRY400 - one line, no traceback: the disk is the cause

    def _forget(self) -> None:
        try:
            remove_durably(self._path)
        except OSError as error:
            log.warning("%s: cannot be removed: %s", self._path, error.strerror)


def _is_fresh(kept: KeptLesson, silent_s: float) -> bool:
    """Whether the lesson was cut off a moment ago, as far as a kit without a clock battery can know.

    A kit that was unplugged in a lesson, and is switched on the next morning, believes for a while that no time has
    passed. It must not open its camera then: after a reboot only a clock that the network has set is believed.
    """
    if not 0 <= silent_s <= RESUME_WITHIN_S:
        return False
    return kept.boot_id == boot_id() or _clock_is_set()


def _clock_is_set() -> bool:
    # modes = 0 in struct timex only asks; 256 bytes hold it on every architecture (208 on x86-64 and arm64).
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(256))) not in (-1, _TIME_ERROR)
