"""Rebooting the kit, the last resort against a driver that hangs. ``kit.py`` gives it to whoever may need it.

Not here: whether to (``camera.reboot_when_lost``), and switching off, which the lesson machine decides.
"""

from __future__ import annotations

import asyncio
import logging

REBOOT = ("systemctl", "--no-block", "reboot")  # the service manager stops the kit in order, lesson kept
ANSWER_S = 5.0  # the service manager accepts a job within milliseconds

log = logging.getLogger(__name__)


async def stay() -> None:
    """What a kit does instead that is not to reboot: nothing."""


async def reboot() -> None:
    """Ask the service manager to reboot; says so in the log when it refuses. Never raises for that."""
    log.error("rebooting, as camera.reboot_when_lost asks for")
    try:
        process = await asyncio.create_subprocess_exec(*REBOOT, stdin=asyncio.subprocess.DEVNULL)
    except OSError as error:
        log.error("cannot reboot: %s", error)  # noqa: TRY400 - the kit goes on without
        return
    try:
        async with asyncio.timeout(ANSWER_S):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        code = await process.wait()
    if code:
        log.error("cannot reboot: systemctl ended with %d", code)
