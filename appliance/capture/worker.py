"""A camera in a process of its own, because native code that can hang or crash must not take the lesson with it.

``WorkerCamera`` is a ``Camera`` around any other: the other runs in ``worker_process.py``, and is watched here by its
pictures. No picture for ``Patience.silent_s``, or the process gone: it is killed and started anew while the lesson
goes on and its time keeps rising. After ``Patience.failures`` in a row the camera is lost: whoever reads it is told,
and may open it again later. Named by ``kit.py``; not here: any camera, and what a lost one means for the lesson.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock
from appliance.capture.warm_worker import WarmWorker
from appliance.capture.worker_child import Recipe, Refused, WorkerChild
from appliance.capture.worker_link import Kind
from appliance.errors import CameraUnavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker may take before it counts as hung."""

    load_s: float = 45.0  # in all: a slow board reads libcamera from a memory card, and would from the start again
    first_picture_s: float = 10.0  # from then on: the sensor starts, and its exposure settles
    silent_s: float = 2.0  # sixty pictures; nobody raises when a camera is unplugged, frames just stop
    close_s: float = 1.2  # with reap_s within kit.py's STOP_LESSON_S; closing a lost camera can block for ever
    reap_s: float = 0.5  # a killed process is gone at once, or hangs in its driver and is given up
    failures: int = 3
    settled_s: float = 10.0  # a worker that gave pictures for so long has healed: failures are counted anew

    @property
    def silent_at_most_s(self) -> float:
        """By then it gives pictures, or is lost."""
        return self.silent_s + self.load_s + self.failures * (self.first_picture_s + self.reap_s)


async def _stay() -> None:
    """A lost camera changes nothing else."""


class WorkerCamera:
    """The camera that ``recipe`` makes, in a worker. ``on_lost`` is awaited when one that gave pictures is lost.

    One that gave none since the kit started is not lost but missing: an ``on_lost`` that reboots must not loop.
    """

    def __init__(
        self,
        recipe: Recipe,
        patience: Patience | None = None,
        on_lost: Callable[[], Awaitable[None]] = _stay,
    ) -> None:
        self._patience = patience or Patience()
        self._warm = WarmWorker(recipe, self._patience.reap_s)
        self._on_lost = on_lost
        self._last: tuple[LessonClock, int] | None = None
        self._worked = False

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[WorkerStream]:
        """Start the worker and wait for its first picture. Raises ``CameraUnavailable``."""
        after_us = self._last[1] if self._last is not None and self._last[0] is clock else -1
        stream = WorkerStream(self._warm, self._patience, clock, after_us)
        try:
            await stream.start()
            yield stream
        finally:
            await stream.close()
            self._warm.needed_again()
            self._last = clock, stream.newest_us
            self._worked = self._worked or stream.gave
            if stream.lost and self._worked:
                self._worked = False
                await self._on_lost()

    async def keep_warm(self) -> None:
        """Between lessons, have a worker that has loaded its libraries and opened nothing. Until cancelled."""
        await self._warm.keep()


class WorkerStream:
    """The open camera. One task iterates it; that iteration is what kills and restarts workers."""

    def __init__(self, workers: WarmWorker, patience: Patience, clock: LessonClock, after_us: int) -> None:
        self.newest_us = after_us
        self.gave = self.lost = False
        self.view: tuple[int, int] | None = None  # base.SensorView
        self.restarts = 0
        self.silent_at_most_s = patience.silent_at_most_s  # base.SelfRestarting
        self._workers = workers
        self._patience = patience
        self._clock = clock
        self._worker: WorkerChild | None = None
        self._first: AccessUnit | None = None
        self._failures = 0
        self._load_left_s = patience.load_s
        self._settles_s = 0.0
        self._wishes: dict[Kind, int] = {}  # that each later worker is told as well

    @property
    def worker_id(self) -> int | None:
        """The worker's process id, for whoever watches or injects faults."""
        return None if self._worker is None else self._worker.pid

    @property
    def queued(self) -> int:
        """Pictures that wait to be read."""
        return 0 if self._worker is None else self._worker.queued

    async def start(self) -> None:
        """Have a worker that gives pictures. Raises ``CameraUnavailable`` when none does."""
        while self._worker is None:
            try:
                await self._begin()
            except CameraUnavailable as error:
                await self._failed(error)

    def __aiter__(self) -> AsyncIterator[AccessUnit]:
        return self

    async def __anext__(self) -> AccessUnit:
        while True:
            await self.start()
            try:
                unit = await self._next()
            except CameraUnavailable as error:
                await self._failed(error)
            else:
                return self._on_the_line(unit)

    def force_key_frame(self) -> None:
        """Make one of the next pictures a key frame; that of a new worker is one anyway."""
        if self._worker is not None:
            self._worker.say(Kind.FORCE_KEY_FRAME)

    def set_bitrate(self, bits_per_s: int) -> None:
        """Aim at this rate, in this worker and every later one."""
        self._wish(Kind.SET_BITRATE, bits_per_s)

    def set_frame_rate(self, fps: int) -> None:
        """Leave pictures out before they are encoded, in this worker and every later one."""
        self._wish(Kind.SET_FRAME_RATE, fps)

    async def still(self) -> bytes:
        """A board still, taken by the worker."""
        if self._worker is None:
            raise CameraUnavailable("the camera is being started again; press again in a moment")
        return await self._worker.still()

    async def close(self) -> None:
        """End the worker, with force where it does not end by itself."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close(self._patience.close_s, self._patience.reap_s)

    def _wish(self, kind: Kind, value: int) -> None:
        self._wishes[kind] = value
        if self._worker is not None:
            self._worker.say(kind, value)

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._worker = await self._workers.take()
        for kind, value in self._wishes.items():
            self._worker.say(kind, value)
        self._worker.open(self._clock)
        patience = self._patience
        self._settles_s = loop.time() + patience.load_s + patience.first_picture_s + patience.settled_s
        await self._loaded(self._worker)
        self._first = await self._worker.next(patience.first_picture_s)
        self.view = self._worker.view
        self._settles_s = loop.time() + patience.settled_s

    async def _loaded(self, worker: WorkerChild) -> None:
        """Wait for its libraries. All tries in a row share the time: one that is slow may take that of the others."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            await worker.loaded(self._load_left_s)
        finally:
            self._load_left_s = max(0.0, self._load_left_s - (loop.time() - began_s))

    async def _next(self) -> AccessUnit:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._worker is None:
            raise RuntimeError("a stream without a worker is read")
        return await self._worker.next(self._patience.silent_s)

    async def _failed(self, error: CameraUnavailable) -> None:
        """Kill the worker. Raises ``CameraUnavailable`` when it is not worth another."""
        worker, self._worker, self._first = self._worker, None, None
        if worker is not None:
            await worker.kill(self._patience.reap_s)
        if isinstance(error, Refused) and not self.gave:
            raise CameraUnavailable(str(error)) from error  # it can say why: nothing would change at once
        if asyncio.get_running_loop().time() >= self._settles_s:
            self._failures, self._load_left_s = 0, self._patience.load_s
        self._failures += 1
        self.restarts += 1
        if self._load_left_s <= 0:
            self.lost = True
            raise CameraUnavailable(
                f"the camera's libraries were not loaded within {self._patience.load_s:g} s"
            ) from error
        if self._failures >= self._patience.failures:
            self.lost = True
            raise CameraUnavailable(f"the camera failed {self._failures} times in a row: {error}") from error
        log.warning("the camera failed: %s; starting its worker again", error)

    def _on_the_line(self, unit: AccessUnit) -> AccessUnit:
        """The unit with a time that rises, whatever the worker's clock made of it."""
        capture_us = max(min(unit.capture_us, self._clock.now_us()), self.newest_us + 1)
        self.newest_us, self.gave = capture_us, True
        return unit if capture_us == unit.capture_us else AccessUnit(unit.data, unit.key_frame, capture_us)
