"""A server of the duel that runs and can be fed: what ``parta.py`` and ``janus.py`` give ``duel.py``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.fanout.feeder import Feeder

SERVER_CORE, LOAD_CORE = 0, 1
PINNED = ("taskset", "--cpu-list", str(SERVER_CORE))
CONSENT_S = 4.0


@dataclass(frozen=True)
class Server:
    """``url``: where viewers join. ``keep_alive`` is called now and then for the feeder's own session."""

    name: str
    pid: int
    url: str
    feeder: Feeder
    keep_alive: Callable[[], object]

    @asynccontextmanager
    async def fed(self) -> AsyncIterator[None]:
        """The lesson runs; a feeder that fails fails the measurement."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work, name="feeder") for work in (self.feeder.play(), self._stay())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def _stay(self) -> None:
        while True:
            await asyncio.sleep(CONSENT_S)
            self.keep_alive()
