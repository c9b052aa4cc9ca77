"""Keeping things running: sources only run and raise, and one supervisor here retries them.

Used by ``kit.py``, and whatever loses its peer or waits for a device that may fall silent. Not here: tasks whose end is
fatal; those live in the kit's one ``TaskGroup``, which the service manager restarts.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from appliance.errors import KitError

log = logging.getLogger(__name__)

#: What the outside world does to a source. Anything else is a bug of ours, and is fatal.
RETRIED = (KitError, OSError, TimeoutError)


@dataclass(slots=True)
class Backoff:
    """Waits between attempts: doubling from ``first_s`` to ``ceiling_s``, each drawn from its upper half.

    The draw spreads a school's kits after a power cut. A run that lasted ``settled_s`` starts over from ``first_s``.
    """

    first_s: float
    ceiling_s: float
    settled_s: float = 30.0
    draw: Callable[[float, float], float] = random.uniform
    _attempts: int = field(default=0, init=False)

    def next_s(self) -> float:
        """How long to wait now."""
        whole_s = min(self.ceiling_s, self.first_s * 2.0 ** min(self._attempts, 32))
        self._attempts += 1
        return self.draw(whole_s / 2, whole_s)

    def reset(self) -> None:
        """It works: the next wait is a short one."""
        self._attempts = 0


async def keep_running(name: str, run: Callable[[], Awaitable[None]], backoff: Backoff) -> None:
    """Run ``run`` until it returns, which is a natural end; when it raises what the outside world does, wait and retry.

    Logs one line for each new reason. Cancel it to stop. Other exceptions pass through: they are bugs, and fatal.
    """
    loop = asyncio.get_running_loop()
    told = ""
    while True:
        began_s = loop.time()
        try:
            await run()
        except RETRIED as error:
            why = str(error) or type(error).__name__
        else:
            return
        if loop.time() - began_s >= backoff.settled_s:
            backoff.reset()
        wait_s = backoff.next_s()
        log.log(logging.DEBUG if why == told else logging.WARNING, "%s: %s; again in %.1f s", name, why, wait_s)
        told = why
        await asyncio.sleep(wait_s)


#: How often an ``Expected`` looks, while it waits for as long as it may: a quarter later than promised is soon enough.
LOOKS = 4


class Expected:
    """Something that a task waits for again and again. ``came`` costs nothing, so it may be called for every frame."""

    def __init__(self, within_s: float) -> None:
        self._missed = False
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._cancelling = 0 if self._task is None else self._task.cancelling()
        self._every_s = within_s / LOOKS
        self._came = self._seen = self._missing = 0
        self._wait()

    def came(self) -> None:
        """It came; it is expected again."""
        self._came += 1

    def is_why(self) -> bool:
        """Whether the task was cancelled by this alone; asked once, where its ``CancelledError`` arrives."""
        return self._missed and self._task is not None and self._task.uncancel() <= self._cancelling

    def close(self) -> None:
        """Expect nothing more."""
        self._timer.cancel()

    def _wait(self) -> None:
        self._timer = self._loop.call_later(self._every_s, self._look)

    def _look(self) -> None:
        self._missing = self._missing + 1 if self._came == self._seen else 0
        self._seen = self._came
        if self._missing < LOOKS:
            self._wait()
        elif self._task is not None:
            self._missed = True
            self._task.cancel()


@contextmanager
def expecting(within_s: float, missed: Callable[[], KitError]) -> Iterator[Expected]:
    """Interrupt the block, and raise ``missed()``, once ``came`` was not called for ``within_s`` (and a look).

    Looks are counted, not seconds: a loop that stood still has not lost what came meanwhile, as it looks only once
    before that is taken.
    """
    expected = Expected(within_s)
    try:
        yield expected
    except asyncio.CancelledError:
        if expected.is_why():
            raise missed() from None
        raise
    finally:
        expected.close()


@asynccontextmanager
async def deadline(name: str, within_s: float) -> AsyncIterator[None]:
    """Give a stage of the stop ``within_s``; a stage that needs longer is abandoned with one line in the log.

    Only for stopping: whatever the stage left open goes with the process.
    """
    try:
        async with asyncio.timeout(within_s) as timeout:
            yield
    except TimeoutError:
        if not timeout.expired():
            raise  # the stage's own
        log.warning("stopping: %s did not finish within %.1f s and is abandoned", name, within_s)
