"""The camera worker that waits for the next lesson: its process runs, its libraries are loaded, its camera is closed.

Most of a press's wait would be Python and libcamera's bindings being loaded. Used by ``worker.py``, which takes the
worker when a lesson begins; a worker films one lesson, and the next is started when that one is over, not beside it.
One that dies while it waits is replaced, later and later, with one line in the log for each new reason.
"""

from __future__ import annotations

import asyncio
import logging

from appliance.capture.worker_child import Recipe, WorkerChild
from appliance.supervise import Backoff, keep_running

AGAIN_S = (1.0, 300.0)  # a kit whose camera's libraries are missing must not load Python every few seconds for ever

log = logging.getLogger(__name__)


class WarmWorker:
    """At most one worker that waits. Without ``keep`` there is none, and ``take`` starts each as it is asked for."""

    def __init__(self, recipe: Recipe, reap_s: float) -> None:
        self._recipe = recipe
        self._reap_s = reap_s
        self._waiting: WorkerChild | None = None
        self._needed = asyncio.Event()
        self._needed.set()
        self._one_start = asyncio.Lock()  # a press while the next is being started gets that one

    async def take(self) -> WorkerChild:
        """The worker that waits, or else a new one; the caller's from here on."""
        async with self._one_start:
            self._needed.clear()
            worker, self._waiting = self._waiting, None
        return worker if worker is not None and not worker.over else await WorkerChild.start(self._recipe)

    def needed_again(self) -> None:
        """The lesson is over: the next one's worker may start."""
        self._needed.set()

    async def keep(self) -> None:
        """Have one that waits whenever no lesson needs the machine, until cancelled."""
        await keep_running("the camera's waiting worker", self._keep, Backoff(*AGAIN_S))

    async def _keep(self) -> None:
        while True:
            await self._needed.wait()
            async with self._one_start:
                if not self._needed.is_set():
                    continue
                worker = self._waiting = await WorkerChild.start(self._recipe)
            try:
                await self._attend(worker)
            finally:
                if self._waiting is worker:
                    self._waiting = None
                    await worker.kill(self._reap_s)

    async def _attend(self, worker: WorkerChild) -> None:
        """Until it ends. Raises ``CameraUnavailable`` when that is while it waits."""
        why = await worker.ended()
        if self._waiting is worker:
            raise why
