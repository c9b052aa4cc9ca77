"""A capture thread and the one task that reads what it captures: the bounded way from a thread to the event loop.

Used by cameras and microphones that work in a thread of their own (drawing, encoding, decoding, device reads). Not
here: what is captured. A loop that stalls never piles anything up: the thread asks ``has_room`` *before* it works.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from appliance.capture.clock import LessonClock
from appliance.errors import KitError

STOP_S = 3.0  # a thread stops between two pictures; this long means that a native call hangs

T = TypeVar("T")
log = logging.getLogger(__name__)


class CaptureThread(Generic[T]):
    """Runs ``body`` in a thread; what the body ``put``s is iterated on the loop that made this object.

    The body returns for a natural end, and raises a ``KitError`` for a lost device: the iteration ends likewise.
    """

    def __init__(self, name: str, limit: int, body: Callable[[CaptureThread[T]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[T] = deque()
        self._limit = limit
        self._news = asyncio.Event()
        self._finished = asyncio.Event()
        self._over = False
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(body,), name=name, daemon=True)
        self._thread.start()

    # The thread's side.

    def has_room(self) -> bool:
        """Whether the reader keeps up. While it does not, the thread drops before it works, not after."""
        return len(self._items) < self._limit

    def put(self, item: T) -> None:
        """Hand one item to the loop."""
        self._items.append(item)
        self._tell(self._news.set)

    def stopping(self) -> bool:
        """Whether ``close`` was called."""
        return self._stop.is_set()

    def wait_until(self, clock: LessonClock, lesson_us: int) -> bool:
        """Sleep until that lesson time. False when the thread is to stop."""
        while (left_us := lesson_us - clock.now_us()) > 0:
            if self._stop.wait(left_us / 1_000_000):
                return False
        return not self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep. False when the thread is to stop."""
        return not self._stop.wait(seconds)

    # The loop's side.

    def pending(self) -> bool:
        """Whether the next item is there already."""
        return bool(self._items)

    def __aiter__(self) -> CaptureThread[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._over:
                raise StopAsyncIteration if self._error is None else self._error
            self._news.clear()
            await self._news.wait()
        return self._items.popleft()

    async def close(self) -> None:
        """Stop the thread and wait until it let go of its device."""
        self._stop.set()
        try:
            await asyncio.wait_for(self._finished.wait(), STOP_S)
        except TimeoutError:
            log.exception("%s did not stop within %.0f s: a native call hangs", self._thread.name, STOP_S)
            return
        self._thread.join(STOP_S)

    def _run(self, body: Callable[[CaptureThread[T]], None]) -> None:
        try:
            body(self)
        except KitError as error:
            self._error = error
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._tell(self._end)

    def _end(self) -> None:
        self._over = True
        self._news.set()
        self._finished.set()

    def _tell(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._stop.set()
