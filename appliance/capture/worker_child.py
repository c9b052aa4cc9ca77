"""One camera worker process, and the kit's end of the line to it: started, told, heard, ended.

Used by ``worker.py``, which decides when. Not here: patience and restarting.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock
from appliance.capture.worker_link import Kind, Link
from appliance.errors import CameraUnavailable

QUEUED_PICTURES = 8  # a quarter of a second; when the kit's loop stalls longer, the worker drops before it encodes
STILL_S = 5.0  # developing a full-sensor JPEG on a slow board; a worker that is silent meanwhile is killed anyway

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which camera the worker makes: ``factory`` is ``module:name``, ``options`` its arguments, in JSON's types."""

    factory: str
    options: Mapping[str, object]


class Refused(CameraUnavailable):
    """The camera itself said why it gives nothing."""


class WorkerChild:
    """One worker process and the line to it."""

    def __init__(self) -> None:
        self._link = Link(self._told, self._hung_up)
        self._process: asyncio.subprocess.Process | None = None
        self._units: deque[AccessUnit] = deque()
        self._news = asyncio.Event()
        self._loaded = False
        self._end: CameraUnavailable | StopAsyncIteration | None = None
        self._stills: dict[int, asyncio.Future[bytes]] = {}
        self._still_number = 0
        self.view: tuple[int, int] | None = None  # all that the sensor can see, once the worker has told

    @classmethod
    async def start(cls, recipe: Recipe) -> WorkerChild:
        """Start a process; it loads its libraries, and opens no camera yet."""
        worker = cls()
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            await asyncio.get_running_loop().create_unix_connection(lambda: worker._link, sock=ours)
            arguments = (str(theirs.fileno()), recipe.factory, json.dumps(dict(recipe.options)))
            worker._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "appliance.capture.worker_process", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        except BaseException:
            worker._link.abort()
            ours.close()
            raise
        finally:
            theirs.close()
        return worker

    @property
    def pid(self) -> int | None:
        """The process."""
        return None if self._process is None else self._process.pid

    @property
    def queued(self) -> int:
        """Pictures that wait to be read."""
        return len(self._units)

    @property
    def over(self) -> bool:
        """Whether it gives nothing any more."""
        return self._end is not None

    async def loaded(self, within_s: float) -> None:
        """Wait until its libraries are there. Raises ``CameraUnavailable``; ``StopAsyncIteration`` at a natural end."""
        try:
            async with asyncio.timeout(within_s):
                while not self._loaded:
                    await self._more_news()
        except TimeoutError:
            raise CameraUnavailable(f"its libraries were not loaded within {within_s:g} s") from None

    async def ended(self) -> CameraUnavailable:
        """Wait until it is gone; why it is."""
        await self._link.gone.wait()
        return self._end if isinstance(self._end, CameraUnavailable) else CameraUnavailable("its worker ended")

    def open(self, clock: LessonClock) -> None:
        """Have it open its camera. Its boot clock is ours, so two numbers carry the lesson's time over."""
        told = {"started_boot_us": clock.started_boot_us, "started_unix_us": clock.started_unix_us}
        self._link.send(Kind.OPEN, 0, json.dumps(told).encode())

    def say(self, kind: Kind, value: int = 0) -> None:
        """Tell it."""
        self._link.send(kind, value)

    async def next(self, within_s: float) -> AccessUnit:
        """The next picture. Raises ``CameraUnavailable``; ``StopAsyncIteration`` at a natural end."""
        try:
            async with asyncio.timeout(within_s):
                while not self._units:
                    await self._more_news()
        except TimeoutError:
            raise CameraUnavailable(f"no picture for {within_s:g} s") from None
        unit = self._units.popleft()
        if len(self._units) == QUEUED_PICTURES - 1:
            self._link.hold(False)
        return unit

    async def still(self) -> bytes:
        """A still. Raises ``CameraUnavailable``."""
        self._still_number += 1
        number = self._still_number
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._stills[number] = answer
        self._link.send(Kind.TAKE_STILL, number)
        try:
            async with asyncio.timeout(STILL_S):
                return await answer
        except TimeoutError:
            raise CameraUnavailable(f"the camera gave no still within {STILL_S:g} s") from None
        finally:
            del self._stills[number]

    async def close(self, within_s: float, reap_s: float) -> None:
        """Let it close its camera and go; kill it when it doesn't."""
        self._link.close()
        try:
            if not await self._gone(within_s):
                log.warning("the camera's worker did not stop within %g s, and is killed", within_s)
        finally:
            await self.kill(reap_s)

    async def kill(self, reap_s: float) -> None:
        """End it now."""
        self._hung_up()
        self._link.abort()
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):  # it went by itself a moment ago
            self._process.kill()
        if not await self._gone(reap_s):
            log.error("the camera's worker %d was killed, but is not gone after %g s", self._process.pid, reap_s)

    async def _more_news(self) -> None:
        if self._end is not None:
            raise self._end
        self._news.clear()
        await self._news.wait()

    async def _gone(self, within_s: float) -> bool:
        if self._process is None:
            return True
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    def _told(self, kind: Kind, value: int, payload: bytes) -> None:
        if kind in (Kind.PICTURE, Kind.KEY_PICTURE):
            self._units.append(AccessUnit(payload, kind is Kind.KEY_PICTURE, value))
            if len(self._units) == QUEUED_PICTURES:
                self._link.hold(True)
        elif kind in (Kind.STILL, Kind.NO_STILL):
            self._answer(value, payload, kind is Kind.STILL)
        elif kind is Kind.LOADED:
            self._loaded = True
        elif kind is Kind.VIEW:
            self.view = value >> 16, value & 0xFFFF
        elif kind is Kind.LOST:
            self._end = Refused(payload.decode(errors="replace"))
        elif kind is Kind.ENDED:
            self._end = StopAsyncIteration()
        self._news.set()

    def _answer(self, number: int, payload: bytes, given: bool) -> None:
        waiting = self._stills.get(number)
        if waiting is None or waiting.done():
            return
        if given:
            waiting.set_result(payload)
        else:
            waiting.set_exception(CameraUnavailable(payload.decode(errors="replace")))

    def _hung_up(self) -> None:
        if self._end is None:
            self._end = CameraUnavailable("its worker crashed")
        self._news.set()
        for waiting in self._stills.values():
            if not waiting.done():
                waiting.set_exception(CameraUnavailable("the camera's worker ended before it gave the still"))
