"""Lessons that have something to send take turns, a slice each; between two turns the socket is read.

So a key frame for five hundred viewers of one lesson costs another lesson a millisecond, not a hundred. One per engine.
"""

from __future__ import annotations

import asyncio
import time

from relay.engines.embedded.channel import Channel


class Turns:
    """The channels that are ready, in order, and the one callback that serves them."""

    def __init__(self) -> None:
        self._ready: dict[Channel, None] = {}
        self._handle: asyncio.Handle | None = None

    def add(self, channel: Channel) -> None:
        """It has something to send now."""
        self._ready[channel] = None
        self._run()

    def discard(self, channel: Channel) -> None:
        """It is gone."""
        self._ready.pop(channel, None)

    def close(self) -> None:
        """Serve nobody any more."""
        self._ready.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run(self) -> None:
        if self._handle is None and self._ready:
            self._handle = asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        self._handle = None
        channel = next(iter(self._ready), None)
        if channel is not None:
            del self._ready[channel]
            if channel.work(time.monotonic()):
                self._ready[channel] = None
        self._run()
