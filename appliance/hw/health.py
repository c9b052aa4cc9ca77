"""How the board itself is: temperature, supply, space, clock, Wi-Fi; and what of it a person should know.

``BoardHealth`` reads what Linux and the Pi's firmware show as files; what this machine does not show is ``None``, and
warns of nothing, so that a laptop runs the same code. Used by ``kit.py``, for the panel and the relay. Not here: acting
on it. A kit that is hot or short of space teaches on.

The clock is judged by timesyncd's file alone: a system call would tell of other daemons too, but a sandboxed service
may not make it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HealthWarning = Literal[
    "under_voltage", "under_voltage_seen", "too_hot", "slowed", "disk_low", "clock_not_set", "wifi_weak"
]
Throttle = Literal["under_voltage", "frequency_capped", "throttled", "soft_limit", "under_voltage_seen"]

#: The bits of the firmware's ``get_throttled`` that are read (Raspberry Pi documentation, vcgencmd).
THROTTLE_BITS: Mapping[Throttle, int] = {
    "under_voltage": 0,
    "frequency_capped": 1,
    "throttled": 2,
    "soft_limit": 3,
    "under_voltage_seen": 16,
}

TOO_HOT_C = 80.0  # the firmware starts to slow the board down here
LOW_SPACE_MB = 1000  # a lesson of 45 min at 1.7 Mb/s is 570 MB: less than two fit
WEAK_WIFI_DBM = -70  # below this, a steady 2 Mb/s is luck

#: Each warning as one line for logs and terminals; the panel's page has its own words in two languages.
SAID: Mapping[HealthWarning, str] = {
    "under_voltage": "the supply gives too little: use the Pi's own power supply and a short, thick cable",
    "under_voltage_seen": "the supply gave too little since the last start: use the Pi's own supply and a short cable",
    "too_hot": "the board is too hot: give it air or a heat sink, and keep it out of the sun",
    "slowed": "the board is slowing itself down: pictures may stutter; look to supply and heat",
    "disk_low": "hardly any space is left on the card: remove old recordings or use a larger card",
    "clock_not_set": "the clock is not set: let the kit reach a time server (UDP port 123)",
    "wifi_weak": "the Wi-Fi is weak here: move the kit or the access point, or use a cable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A reading. ``None``: this machine does not say."""

    temperature_c: float | None = None
    throttled: tuple[Throttle, ...] | None = None
    free_mb: int | None = None
    clock_synchronised: bool | None = None
    wifi_dbm: int | None = None

    @property
    def warnings(self) -> tuple[HealthWarning, ...]:
        """What a person should know, gravest first."""
        flags = frozenset(self.throttled or ())
        hot = self.temperature_c is not None and self.temperature_c >= TOO_HOT_C
        found: dict[HealthWarning, bool] = {
            "under_voltage": "under_voltage" in flags,
            "under_voltage_seen": "under_voltage_seen" in flags and "under_voltage" not in flags,
            "too_hot": hot or "soft_limit" in flags,
            "slowed": bool(flags & {"frequency_capped", "throttled"}),
            "disk_low": self.free_mb is not None and self.free_mb < LOW_SPACE_MB,
            "clock_not_set": self.clock_synchronised is False,
            "wifi_weak": self.wifi_dbm is not None and self.wifi_dbm < WEAK_WIFI_DBM,
        }
        return tuple(warning for warning, holds in found.items() if holds)


class BoardHealth:
    """The board under ``root``, and the disk that holds ``state_dir``."""

    def __init__(self, state_dir: Path, root: Path = Path("/")) -> None:
        self._state_dir = state_dir
        self._root = root

    def read(self) -> Health:
        """Read it all. Blocks for some milliseconds (the firmware is asked), never raises."""
        return Health(
            temperature_c=self._temperature(),
            throttled=self._throttled(),
            free_mb=self._free_mb(),
            clock_synchronised=self._clock(),
            wifi_dbm=wifi_dbm(_text(self._root / "proc/net/wireless")),
        )

    def _temperature(self) -> float | None:
        """The processor's zone (a Pi calls it cpu-thermal), or else the hottest."""
        zones = sorted((self._root / "sys/class/thermal").glob("thermal_zone*"))
        found = {zone: _whole(_text(zone / "temp"), 10) for zone in zones}
        celsius = {zone: milli / 1000 for zone, milli in found.items() if milli is not None}
        ours = [value for zone, value in celsius.items() if _text(zone / "type").strip() == "cpu-thermal"]
        return max(ours or celsius.values(), default=None)

    def _throttled(self) -> tuple[Throttle, ...] | None:
        # On a Pi 5 the names carry the address of the bus: soc@107c000000/soc@107c000000:firmware.
        for path in (self._root / "sys/devices/platform").glob("soc*/soc*:firmware/get_throttled"):
            bits = _whole(_text(path), 16)
            if bits is not None:
                return throttle_flags(bits)
        return self._supply_alarm()

    def _supply_alarm(self) -> tuple[Throttle, ...] | None:
        """The kernel's own watch on the supply, which mainline kernels have without the firmware's file."""
        for chip in (self._root / "sys/class/hwmon").glob("hwmon*"):
            alarm = _whole(_text(chip / "in0_lcrit_alarm"), 10)
            if _text(chip / "name").strip() == "rpi_volt" and alarm is not None:
                return ("under_voltage",) if alarm else ()
        return None

    def _free_mb(self) -> int | None:
        try:
            room = os.statvfs(self._state_dir)
        except OSError:
            return None  # the keeper of the state says so where it matters
        return room.f_bavail * room.f_frsize // 1_000_000

    def _clock(self) -> bool | None:
        timesyncd = self._root / "run/systemd/timesync"
        return (timesyncd / "synchronized").exists() if timesyncd.is_dir() else None


def throttle_flags(bits: int) -> tuple[Throttle, ...]:
    """What ``get_throttled``'s bits say, of what is read here."""
    return tuple(flag for flag, bit in THROTTLE_BITS.items() if bits >> bit & 1)


def wifi_dbm(table: str) -> int | None:
    """The best signal in ``/proc/net/wireless`` (two lines of heading; the third figure of a line is the level)."""
    levels = [_whole(fields[3].rstrip("."), 10) for line in table.splitlines()[2:] if len(fields := line.split()) > 3]
    return max((level for level in levels if level is not None and level < 0), default=None)


def _text(path: Path) -> str:
    """A small file; empty where there is none, or the driver can't say now."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _whole(text: str, base: int) -> int | None:
    try:
        return int(text, base)
    except ValueError:
        return None
