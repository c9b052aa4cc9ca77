"""Switching the kit off and rebooting it: asked of the system by a file, because the kit itself may do neither.

``systemd/parta-power@.path`` watches the folder that the unit gives the kit, and acts. A kit that no unit runs (``make
run``) has no such folder: it ends, and the machine stays on. Not here: whether to; the lesson machine decides on the
one, ``camera.reboot_when_lost`` on the other, the last resort against a driver that hangs.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

FOLDER = "RUNTIME_DIRECTORY"  # what systemd.exec(5) calls the unit's RuntimeDirectory=

log = logging.getLogger(__name__)


async def stay() -> None:
    """What a kit does instead that is not to reboot: nothing."""


async def reboot() -> None:
    """Have the system reboot: it stops the kit in order, lesson kept. Says so in the log when nobody hears it."""
    log.error("rebooting, as camera.reboot_when_lost asks for")
    if not _ask("reboot"):
        log.error("cannot reboot: this kit is not run by systemd/parta-kit.service")


def switch_off() -> None:
    """Have the system switch off, where the kit is its own machine."""
    log.info("switching off" if _ask("poweroff") else "the kit is off; the machine stays on")


def _ask(what: Literal["reboot", "poweroff"]) -> bool:
    """Whether somebody may hear it. Never raises: the kit goes on, or ends, without."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return False
    try:
        Path(folder, what).touch()
    except OSError as error:
        log.error("%s: %s", what, error)  # noqa: TRY400 - the reason is all there is to know
        return False
    return True
