"""RAUC, by its command line: what lies in both slots, and having it write, mark and switch them.

Not here: how the firmware is told which slot starts (``image-build/layer/parta-slots.d``), and what a good version is
(``trial.py``). Used by ``commands/update.py``. Blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from appliance.errors import UpdateRefused, UpdateUnavailable
from appliance.update.tools import follow, run

RAUC = "rauc"
CONFIGURATION = Path("/etc/rauc/system.conf")
#: "VERSION TIME" of the image that runs: its layer writes it (``parta-kit.d/install``).
BUILD = Path("/usr/lib/parta/build")

ANSWER_S = 60.0
#: A bundle is checked whole, and 2 GB are written to a slow card.
INSTALL_S = 3600.0
NOT_HERE = (
    "this system takes no updates by itself: it has no RAUC. A kit from the image for Pi 4, Pi 5, CM4 or CM5 has it; "
    "on a Pi 3 or Zero 2 W write the new image to the card, and a kit installed by hand takes a new wheel "
    "(docs/service.md)"
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the two. ``version``: of the bundle that was written to it, "" for what the card was made with.

    ``whole``: whether it was written to its end; ``None`` where no update has ever been written.
    """

    name: str
    version: str
    whole: bool | None
    starts_by_itself: bool


@dataclass(frozen=True, slots=True)
class Slots:
    """``next``: the name of the one that the next restart tries."""

    running: Slot
    other: Slot
    next: str

    @property
    def on_trial(self) -> bool:
        """Whether the running version has not proved itself yet."""
        return not self.running.starts_by_itself


def require_rauc() -> None:
    """Raises ``UpdateUnavailable`` where there is none, or where nobody may use it."""
    if not CONFIGURATION.exists():
        raise UpdateUnavailable(NOT_HERE)


def running_version() -> str:
    """The version of the image that runs, or ""."""
    return BUILD.read_text(encoding="utf-8").split()[0] if BUILD.exists() else ""


def read_slots() -> Slots:
    """Both slots. Raises ``UpdateUnavailable``."""
    return slots_of(msgspec.json.decode(_rauc("status", "--detailed", "--output-format=json")))


def slots_of(status: dict[str, Any]) -> Slots:
    """Both slots, from RAUC's status. Raises ``UpdateUnavailable`` when it names none that runs."""
    named = {name: slot for each in status["slots"] for name, slot in each.items() if slot.get("bootname")}
    found = {
        name: Slot(
            slot["bootname"],
            str(_status(slot).get("bundle", {}).get("version", "")),
            _status(slot)["status"] == "ok" if "status" in _status(slot) else None,
            slot.get("boot_status") == "good",
        )
        for name, slot in named.items()
    }
    running = [slot for name, slot in found.items() if named[name]["state"] == "booted"]
    others = [slot for name, slot in found.items() if named[name]["state"] != "booted"]
    if len(running) != 1 or len(others) != 1:
        raise UpdateUnavailable("RAUC does not say which slot runs: this system was not started by the kit's firmware")
    primary = found.get(str(status.get("boot_primary")))
    return Slots(running[0], others[0], primary.name if primary else "")


def _status(slot: dict[str, Any]) -> dict[str, Any]:
    said = slot.get("slot_status")
    return said if isinstance(said, dict) else {}


def family() -> str:
    """Whose bundles this kit takes."""
    configuration = ConfigParser()
    configuration.read(CONFIGURATION, encoding="utf-8")
    return configuration["system"]["compatible"]


def examine(bundle: Path) -> tuple[str, str]:
    """A bundle's family and version. Raises ``UpdateRefused`` when it is not signed by whom this image trusts."""
    done = run([RAUC, "info", "--output-format=json", str(bundle)], INSTALL_S)
    if done.code != 0:
        raise UpdateRefused(_why((done.complained or done.said).splitlines()))
    said = msgspec.json.decode(done.said)
    return str(said["compatible"]), str(said["version"])


def install(bundle: Path, told: Callable[[str], None]) -> None:
    """Have RAUC check the bundle, write it to the other slot, and have it started next. Raises ``UpdateRefused``.

    ``told``: called with each of RAUC's lines.
    """
    said: list[str] = []

    def pass_on(line: str) -> None:
        said.append(line)
        told(line)

    if follow([RAUC, "install", str(bundle)], pass_on) != 0:
        raise UpdateRefused(f"the update was not taken: {_why(said)}. What runs is as it was")


def _why(said: list[str]) -> str:
    errors = [line.partition("LastError:")[2].strip() for line in said if "LastError:" in line]
    return (errors or [line for line in said if line] or ["RAUC does not say why"])[-1]


def mark_good() -> None:
    """The running version starts by itself from now on. Raises ``UpdateUnavailable``."""
    _rauc("status", "mark-good", "booted")


def start_other_next() -> None:
    """The next restart tries the other slot. Raises ``UpdateUnavailable``."""
    _rauc("status", "mark-active", "other")


def restart() -> None:
    """Have the system restart, in order."""
    run(["systemctl", "reboot"], ANSWER_S)


def _rauc(*words: str) -> str:
    done = run([RAUC, *words], ANSWER_S)
    if done.code != 0:
        why = (done.complained or done.said).splitlines()
        raise UpdateUnavailable(f"RAUC: {why[-1] if why else done.code}; see: journalctl -u rauc")
    return done.said
