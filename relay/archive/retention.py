"""The end of recordings: whatever has been kept long enough, or was deleted by hand, goes whole, and the log says so.

Rows go first, so that nobody is shown half a lesson; then the files. A lesson's files are removed once more some time
later, for what was on its way when it was deleted. Used by ``relay/app.py`` now and then, and by ``parta-relay lesson
delete``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from relay.archive.files import FileStore
from relay.classroom.live import Moment
from relay.errors import ArchiveUnavailable

SETTLES_MS = 15 * 60 * 1000  # a segment that was on its way when its lesson was deleted has come or gone by then
#: How long a kit that was off may try to bring back what was deleted.
REMEMBERED_MS = 180 * 86_400_000

_log = logging.getLogger(__name__)


class Rows(Protocol):
    """What ``relay/store/keeping.py`` does. Raises ``StoreUnavailable``."""

    async def overdue(self, now_unix_ms: int) -> list[str]: ...
    async def delete(self, lesson_id: str, now_unix_ms: int) -> bool: ...
    async def with_files(self) -> dict[str, int]: ...
    async def files_removed(self, lesson_id: str) -> None: ...
    async def forget(self, deleted_before_unix_ms: int, now_unix_ms: int) -> None: ...


class Stills(Protocol):
    """Where a lesson's board stills are (``relay/store/stills.py``). Raises ``OSError``."""

    async def forget(self, lesson_id: str) -> None: ...


class Retention:
    """See the module."""

    def __init__(self, rows: Rows, files: FileStore, stills: Stills, clock: Callable[[], Moment]) -> None:
        self._rows = rows
        self._files = files
        self._stills = stills
        self._clock = clock

    async def sweep(self) -> int:
        """Delete what is to go; how many lessons. Raises ``StoreUnavailable``; files that cannot be removed now are
        removed the next time."""
        now_ms = self._clock().unix_ms
        overdue = await self._rows.overdue(now_ms)
        for lesson_id in overdue:
            await self._rows.delete(lesson_id, now_ms)
            _log.info("lesson %s was kept long enough and is deleted", lesson_id, extra={"parta_lesson": lesson_id})
        for lesson_id, deleted_ms in (await self._rows.with_files()).items():
            removed = await self._remove_files(lesson_id)
            if removed and now_ms - deleted_ms >= SETTLES_MS:
                await self._rows.files_removed(lesson_id)
        await self._rows.forget(now_ms - REMEMBERED_MS, now_ms)
        return len(overdue)

    async def delete(self, lesson_id: str) -> bool:
        """Delete a lesson now; False when its files are not gone yet, which the next sweep sees to. Raises
        ``StoreUnavailable``."""
        await self._rows.delete(lesson_id, self._clock().unix_ms)
        _log.info("lesson %s is deleted by hand", lesson_id, extra={"parta_lesson": lesson_id})
        return await self._remove_files(lesson_id)

    async def _remove_files(self, lesson_id: str) -> bool:
        try:
            await self._files.forget(lesson_id)
            await self._stills.forget(lesson_id)
        except (ArchiveUnavailable, OSError) as error:
            _log.error("files of the deleted lesson %s are still there: %s", lesson_id, error)
            return False
        return True
