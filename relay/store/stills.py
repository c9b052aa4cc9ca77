"""The folder of board stills: ``<state>/stills/<lesson>/<capture_us>.jpg``. Files, because a picture is one.

A still is there whole or not at all (``relay/durable.py``). Calls block (``relay/web/stills.py`` runs them in a
thread), but for ``forget``.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from relay.classroom.links import is_id
from relay.durable import write_durably
from relay.errors import StillRefused

MAX_PER_LESSON = 300  # one every nine seconds of a lesson
KEPT_DAYS = 14  # DESIGN.md: least data, short retention


class StillFolder:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, lesson_id: str, capture_us: int, picture: bytes) -> bool:
        """Keep a still; False when it is there already. Raises ``StillRefused``, ``OSError``."""
        path = self.path(lesson_id, capture_us)
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        if len(self.of_lesson(lesson_id)) >= MAX_PER_LESSON:
            raise StillRefused(409, f"this lesson has its {MAX_PER_LESSON} stills")
        write_durably(path, picture)
        return True

    def path(self, lesson_id: str, capture_us: int) -> Path:
        """Where a still is, or would be."""
        if not is_id(lesson_id):  # the name becomes a path: never trust the caller with it
            raise ValueError(f"not a lesson id: {lesson_id}")
        return self._folder / lesson_id / f"{capture_us:d}.jpg"

    def of_lesson(self, lesson_id: str) -> list[int]:
        """The capture times of a lesson's stills, µs, in order."""
        found = (self._folder / lesson_id).glob("*.jpg") if is_id(lesson_id) else ()
        return sorted(int(path.stem) for path in found if path.stem.isdecimal())

    async def forget(self, lesson_id: str) -> None:
        """Remove all stills of a lesson. Raises ``OSError``."""
        folder = self.path(lesson_id, 0).parent
        if await asyncio.to_thread(folder.is_dir):
            await asyncio.to_thread(shutil.rmtree, folder)

    def forget_old(self, keep_days: float = KEPT_DAYS, *, but: Collection[str] = ()) -> int:
        """Remove lessons whose folder did not change for so long, ``but`` not these; how many."""
        oldest_s = time.time() - keep_days * 86400
        found = (path for path in self._folder.glob("*") if is_id(path.name) and path.name not in but)
        old = [path for path in found if path.stat().st_mtime < oldest_s]
        for path in old:
            shutil.rmtree(path)
        return len(old)
