"""Keeps the service manager informed: that the program is ready, what it does, and that it lives.

The watchdog is fed by this task on the program's event loop, and only while all vitals advance: a loop that hangs feeds
nothing, and neither does one on which something vital is stuck. What the program heals by itself (a camera, a relay
that is down) advances all the while. Without a service manager, what is stuck is at least logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from service.systemd import Service
from service.vitals import Vital, Vitals

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0  # how fresh the status is
LOOKS_A_WATCH = 4  # a watchdog is fed so often within its time, so that one late look does not cost a restart


async def keep_informed(service: Service, vitals: Vitals, status: Callable[[], str]) -> None:
    """Tell that the program is ready, and go on telling how it is, until cancelled."""
    service.tell("READY=1")
    loop = asyncio.get_running_loop()
    every_s = min(LOOK_EVERY_S, (service.watchdog_s or LOOKS_A_WATCH * LOOK_EVERY_S) / LOOKS_A_WATCH)
    told, before = "", tuple[str, ...]()
    while True:
        stuck = vitals.stuck(loop.time())
        if stuck and stuck != before:
            log.error("%s: does not advance any more; only a new start of this program helps", ", ".join(stuck))
        before = stuck
        text = f"stuck: {', '.join(stuck)}" if stuck else status()
        if text != told:
            told = text
            service.tell(f"STATUS={text}")
        if not stuck:
            service.tell("WATCHDOG=1")
        await asyncio.sleep(every_s)


def alive(task: asyncio.Task[None]) -> Vital:
    """A task that must never end."""
    return Vital(task.get_name(), 0.0, lambda: "ended" if task.done() else None)
