"""The board's health, from files as Linux and the Pi's firmware write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.hw.health import (
    LOW_SPACE_MB,
    SAID,
    TOO_HOT_C,
    WEAK_WIFI_DBM,
    BoardHealth,
    Health,
    HealthWarning,
    throttle_flags,
    wifi_dbm,
)

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
FIRMWARE_PI5 = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
WIRELESS = """\
Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
"""
WLAN0 = " wlan0: 0000   38.  -72.  -256        0      0      0      5     91        0\n"
WLAN1 = " wlan1: 0000   60.  -50.  -256        0      0      0      0      0        0\n"


def board(root: Path, **files: str) -> BoardHealth:
    """A board with these files, named by ``PATHS``."""
    for name, text in files.items():
        path = root / PATHS[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return BoardHealth(root, root)


PATHS = {
    "temperature": "sys/class/thermal/thermal_zone0/temp",
    "zone": "sys/class/thermal/thermal_zone0/type",
    "temperature_1": "sys/class/thermal/thermal_zone1/temp",
    "zone_1": "sys/class/thermal/thermal_zone1/type",
    "throttled": FIRMWARE,
    "throttled_pi5": FIRMWARE_PI5,
    "chip": "sys/class/hwmon/hwmon1/name",
    "alarm": "sys/class/hwmon/hwmon1/in0_lcrit_alarm",
    "clock": "run/systemd/timesync/synchronized",
    "clock_unset": "run/systemd/timesync/clock",
    "wifi": "proc/net/wireless",
}


def test_a_pi_that_is_well(tmp_path: Path) -> None:
    health = board(
        tmp_path, temperature="48312\n", zone="cpu-thermal\n", throttled="0\n", clock="", wifi=WIRELESS + WLAN1
    ).read()
    assert (health.temperature_c, health.throttled, health.clock_synchronised, health.wifi_dbm) == (
        48.312,
        (),
        True,
        -50,
    )
    assert health.free_mb is not None
    assert set(health.warnings) <= {"disk_low"}  # of the machine that runs the test


def test_a_machine_that_says_nothing_is_warned_of_nothing(tmp_path: Path) -> None:
    assert BoardHealth(tmp_path / "no disk", tmp_path / "nothing").read() == Health()
    assert Health().warnings == ()


def test_this_very_machine_can_be_read(tmp_path: Path) -> None:
    health = BoardHealth(tmp_path).read()
    assert health.free_mb is not None
    assert set(health.warnings) <= SAID.keys()


@pytest.mark.parametrize("name", ["throttled", "throttled_pi5"])
def test_the_firmware_is_asked_wherever_its_file_is(tmp_path: Path, name: str) -> None:
    health = board(tmp_path, **{name: "50005\n"}).read()
    assert health.throttled == ("under_voltage", "throttled", "under_voltage_seen")


def test_without_the_firmwares_file_the_kernels_own_alarm_counts(tmp_path: Path) -> None:
    assert board(tmp_path / "a", chip="rpi_volt\n", alarm="1\n").read().throttled == ("under_voltage",)
    assert board(tmp_path / "b", chip="rpi_volt\n", alarm="0\n").read().throttled == ()
    assert board(tmp_path / "c", chip="cpu_thermal\n", alarm="1\n").read().throttled is None


def test_the_processors_zone_is_read_before_a_hotter_one(tmp_path: Path) -> None:
    zones = {"temperature_1": "50000\n", "temperature": "70000\n", "zone": "pmic\n"}
    assert board(tmp_path / "pi", zone_1="cpu-thermal\n", **zones).read().temperature_c == 50
    assert board(tmp_path / "other", zone_1="x86_pkg_temp\n", **zones).read().temperature_c == 70


@pytest.mark.parametrize("name", ["temperature", "throttled", "alarm", "wifi"])
@pytest.mark.parametrize("text", ["", "\n", "no\n", "\xff\n", "a\nb\nc d e f g\n"])
def test_a_file_that_is_no_sense_is_as_good_as_none(tmp_path: Path, name: str, text: str) -> None:
    health = board(tmp_path, chip="rpi_volt\n", **{name: text}).read()
    assert (health.temperature_c, health.throttled, health.wifi_dbm) == (None, None, None)


def test_a_clock_that_was_never_set_is_told_from_one_that_nobody_watches(tmp_path: Path) -> None:
    assert board(tmp_path / "unset", clock_unset="").read().clock_synchronised is False
    assert board(tmp_path / "set", clock_unset="", clock="").read().clock_synchronised is True
    assert board(tmp_path / "chrony", wifi=WIRELESS).read().clock_synchronised is None


@pytest.mark.parametrize(
    ("table", "dbm"), [(WIRELESS, None), (WIRELESS + WLAN0, -72), (WIRELESS + WLAN0 + WLAN1, -50), ("", None)]
)
def test_the_best_signal_counts(table: str, dbm: int | None) -> None:
    assert wifi_dbm(table) == dbm


@pytest.mark.parametrize(
    ("bits", "flags"),
    [
        (0x0, ()),
        (0x1, ("under_voltage",)),
        (0x2, ("frequency_capped",)),
        (0x8, ("soft_limit",)),
        (0x10000, ("under_voltage_seen",)),
        (0xE0000, ()),  # slow once, and not now: no news
    ],
)
def test_the_bits_of_get_throttled(bits: int, flags: tuple[str, ...]) -> None:
    assert throttle_flags(bits) == flags


@pytest.mark.parametrize(
    ("health", "warnings"),
    [
        (Health(throttled=("under_voltage", "under_voltage_seen")), ("under_voltage",)),
        (Health(throttled=("under_voltage_seen",)), ("under_voltage_seen",)),
        (Health(throttled=("frequency_capped",)), ("slowed",)),
        (Health(throttled=("throttled", "soft_limit")), ("too_hot", "slowed")),
        (Health(temperature_c=TOO_HOT_C), ("too_hot",)),
        (Health(temperature_c=TOO_HOT_C - 0.1), ()),
        (Health(free_mb=LOW_SPACE_MB - 1), ("disk_low",)),
        (Health(free_mb=LOW_SPACE_MB), ()),
        (Health(clock_synchronised=False), ("clock_not_set",)),
        (Health(wifi_dbm=WEAK_WIFI_DBM - 1), ("wifi_weak",)),
        (Health(wifi_dbm=WEAK_WIFI_DBM), ()),
    ],
)
def test_what_a_person_should_know(health: Health, warnings: tuple[HealthWarning, ...]) -> None:
    assert health.warnings == warnings
