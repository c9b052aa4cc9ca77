"""Housekeeping: now and then, the relay forgets what is not to be kept. Run by ``relay/app.py``."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

from relay.archive.retention import Retention
from relay.clock import moment
from relay.errors import StoreUnavailable
from relay.store.database import Database, unbroken
from relay.store.enrolment import forget_used_codes
from relay.store.keeping import Keeping
from relay.store.stills import StillFolder

EVERY_S = 3600  # a lesson that was kept for its days is gone within the hour
CODES_KEPT_MS = 7 * 86_400_000  # an expired code still tells "expired" apart in the database for whoever asks why

_log = logging.getLogger(__name__)


def free_bytes(folder: Path) -> float:
    """What is free where this folder is; for a gauge, so not a number at all when that cannot be told."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return float("nan")


class House:
    """See the module."""

    def __init__(self, database: Database, keeping: Keeping, stills: StillFolder, retention: Retention) -> None:
        self._database = database
        self._keeping = keeping
        self._stills = stills
        self._retention = retention

    async def keep(self) -> None:
        """Keep it, until cancelled."""
        while True:
            try:
                await unbroken(forget_used_codes(self._database, moment().unix_ms - CODES_KEPT_MS))
                deleted = await unbroken(self._retention.sweep())
                recorded = await unbroken(self._keeping.recorded())  # whose stills go when the recording goes
                forgotten = await asyncio.to_thread(self._stills.forget_old, but=recorded)
            except (StoreUnavailable, OSError) as error:
                _log.error("housekeeping has to wait: %s", error)
            else:
                _log.debug("housekeeping is done: %d lesson(s) deleted, stills of %d removed", deleted, forgotten)
            await asyncio.sleep(EVERY_S)
