"""Waiting for what an engine tells, with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from relay.engines.base import ChannelDelivery
from relay.engines.embedded import EmbeddedEngine

WAIT_S = 6.0
POLL_S = 0.01


async def until(holds: Callable[[], bool], limit_s: float = WAIT_S) -> None:
    """Wait until ``holds()``, for what has no event of its own."""
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110 - that is what this function is for
            await asyncio.sleep(POLL_S)


async def until_counted(engine: EmbeddedEngine, name: str, at_least: float = 1, limit_s: float = WAIT_S) -> None:
    """Wait until a counter has come so far."""
    await until(lambda: engine.counters()[name] >= at_least, limit_s)


async def until_delivery(
    engine: EmbeddedEngine, channel: str, holds: Callable[[ChannelDelivery], bool], limit_s: float = WAIT_S
) -> ChannelDelivery:
    """Wait until the engine *tells subscribers* of a delivery that holds."""
    told = asyncio.Event()
    unsubscribe = engine.subscribe(lambda name: told.set() if name == channel else None)
    try:
        async with asyncio.timeout(limit_s):
            while not holds(delivery := engine.delivery(channel)):
                await told.wait()
                told.clear()
            return delivery
    finally:
        unsubscribe()
