"""Board stills on the kit's own disk: ``stills/<lesson>/<capture_us>.jpg``, for a few days.

Not here: taking one (the camera) and bringing it to the relay (``stream/stills.py``).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from pathlib import Path

from appliance.durable import write_durably

log = logging.getLogger(__name__)

KEPT_DAYS = 7  # a teacher may want yesterday's board; children's classrooms are not kept for longer than of use
_DAY_S = 86_400


class BoardStills:
    """The stills of the last days."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "stills"

    async def keep(self, lesson_id: str, capture_us: int, jpeg: bytes) -> None:
        """Write one down, and forget the old ones. A full disk costs the copy on the kit alone."""
        await asyncio.to_thread(self._keep, self._folder / lesson_id / f"{capture_us}.jpg", jpeg)

    def _keep(self, path: Path, jpeg: bytes) -> None:
        try:
            self._forget_old()
            write_durably(path, jpeg)
        except OSError as error:
            log.error("%s: %s; this board still is not kept on the kit", path, error.strerror)  # noqa: TRY400

    def _forget_old(self) -> None:
        if not self._folder.is_dir():
            return
        oldest_s = time.time() - KEPT_DAYS * _DAY_S
        for lesson in self._folder.iterdir():
            if lesson.stat().st_mtime < oldest_s:
                shutil.rmtree(lesson)
