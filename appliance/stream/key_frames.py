"""Turns a crowd's picture-loss requests into as few key frames as heal them.

A key frame costs ten times a picture, so requests that one key frame answers are merged. Used by ``publisher.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

#: The least time between two forced key frames: DESIGN.md's rates stay bearable, and a lost one is asked for again.
DEBOUNCE_S = 0.3


class KeyFrameRequests:
    """Calls ``wanted`` at once for the first request, then at most once each ``debounce_s``.

    A request that comes too early is remembered, and forgotten if a key frame leaves meanwhile: it has its answer. So
    does one that comes while that key frame is still on its way: who asked cannot have seen it.
    """

    def __init__(self, wanted: Callable[[], None], *, debounce_s: float = DEBOUNCE_S) -> None:
        self._wanted = wanted
        self._debounce_s = debounce_s
        self._again: asyncio.TimerHandle | None = None
        self._quiet_until_s = self._answered_until_s = -float("inf")
        self._held = False

    def request(self) -> None:
        """A receiver lost the picture."""
        if asyncio.get_running_loop().time() >= self._answered_until_s:
            self.demand()

    def demand(self) -> None:
        """The stream itself cannot go on without a key frame, whatever is on its way: it begins, or has a hole."""
        loop = asyncio.get_running_loop()
        if self._held:
            return
        if loop.time() >= self._quiet_until_s:
            self._ask()
        elif self._again is None:
            self._again = loop.call_at(self._quiet_until_s, self._ask)

    def hold(self) -> None:
        """No picture may leave: a key frame would be made for nothing."""
        self._forget()
        self._held = True

    def release(self) -> None:
        """Pictures may leave again, and a key frame has to be the first."""
        if self._held:
            self._held = False
            self._ask()

    def key_frame_left(self, in_flight_s: float) -> None:
        """A key frame is on its way, and an answer to it cannot come earlier than ``in_flight_s`` from now."""
        self._forget()
        self._answered_until_s = asyncio.get_running_loop().time() + in_flight_s

    def close(self) -> None:
        """The session is over: forget what was asked and what is on its way."""
        self._forget()
        self._held = False
        self._answered_until_s = -float("inf")

    def _forget(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _ask(self) -> None:
        self._forget()
        self._quiet_until_s = asyncio.get_running_loop().time() + self._debounce_s
        self._wanted()
