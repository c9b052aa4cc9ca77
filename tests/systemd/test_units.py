"""The units: systemd itself finds nothing wrong with them, and the sandbox is as tight as is promised."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance import cli as kit_cli
from appliance.options import BOOT_FILE
from appliance.power import FOLDER
from appliance.settings import KitSection
from appliance.update.source import INCOMING
from appliance.update.trial import FOLDER as TRIALS
from appliance.update.trial import RECORD
from relay import cli as relay_cli
from relay.settings import RelaySection

ROOT = Path(__file__).resolve().parent.parent.parent
UNITS = ROOT / "systemd"
ANALYZE = shutil.which("systemd-analyze")
EXPOSED_AT_MOST = 2.0  # the promise; systemd's own scale of 0 to 10
SSH_EXPOSED_AT_MOST = 2.7  # it becomes another user and opens a terminal, which a service of one user need not
OF_SSH = ROOT / "image-build/layer/parta-kit.d/files/etc/systemd/system/parta-ssh.service"
OF_UPDATES = ROOT / "image-build/layer/parta-slots.d/files/usr/lib/tmpfiles.d/parta-update.conf"
WITHIN_S = 60

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze; apt-get install systemd")


def said(unit: str, key: str) -> list[str]:
    """Every value that a unit gives a key, in order."""
    text = (UNITS / unit).read_text(encoding="utf-8")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def analyze(*arguments: str | Path) -> str:
    """What systemd-analyze says."""
    done = subprocess.run(
        [str(ANALYZE), *arguments], capture_output=True, text=True, timeout=WITHIN_S, check=False, env={"PATH": "/bin"}
    )
    return done.stdout + done.stderr


def installed(folder: Path, *broken: tuple[str, str]) -> Path:
    """A system on which the units are installed, with programs that do nothing in the places that they name."""
    units = folder / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in UNITS.glob("*.*"):
        text = unit.read_text(encoding="utf-8")
        for before, after in broken:
            text = text.replace(before, after)
        if unit.suffix in {".service", ".path"}:
            (units / unit.name).write_text(text, encoding="utf-8")
    for program in ("opt/parta/bin/parta-kit", "opt/parta/bin/parta-relay", "usr/bin/systemctl"):
        path = folder / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return folder


def verified(root: Path) -> str:
    """What ``systemd-analyze verify`` says of the installed units: nothing, if all is well."""
    names = [
        name for unit in UNITS.glob("parta-*.*") if unit.suffix in {".service", ".path"} for name in loaded(unit.name)
    ]
    return analyze("verify", "--man=no", "--recursive-errors=no", f"--root={root}", *sorted(names))


def loaded(unit: str) -> list[str]:
    """The names under which a unit is started."""
    return [unit.replace("@", f"@{what}") for what in ("poweroff", "reboot")] if "@" in unit else [unit]


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    assert verified(installed(tmp_path)) == ""


@needs_systemd
def test_a_key_that_systemd_does_not_know_would_be_found(tmp_path: Path) -> None:
    assert "WatchdogSecs" in verified(installed(tmp_path, ("WatchdogSec=", "WatchdogSecs=")))


@needs_systemd
@pytest.mark.parametrize(
    ("unit", "at_most"),
    [
        (UNITS / "parta-kit.service", EXPOSED_AT_MOST),
        (UNITS / "parta-relay.service", EXPOSED_AT_MOST),
        (UNITS / "parta-boot-file.service", EXPOSED_AT_MOST),
        (OF_SSH, SSH_EXPOSED_AT_MOST),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else str(value),
)
def test_the_sandbox_is_as_tight_as_promised(unit: Path, at_most: float) -> None:
    told = analyze("security", "--offline=true", "--no-pager", unit)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert exposure is not None, told
    assert float(exposure.group(1)) <= at_most


@needs_systemd
def test_a_start_removes_the_bundle_of_an_update_that_lost_its_power_and_nothing_else(tmp_path: Path) -> None:
    kept = tmp_path / TRIALS.relative_to("/")
    kept.mkdir(parents=True)
    for name in (INCOMING, RECORD, "0123456789abcdef.part"):
        (kept / name).write_text("")
    asked: list[str | Path] = ["systemd-tmpfiles", "--remove", f"--root={tmp_path}", OF_UPDATES]
    subprocess.run(asked, timeout=WITHIN_S, check=True)
    assert (kept / INCOMING).exists(), "an update goes on: this is no start"
    subprocess.run([*asked, "--boot"], timeout=WITHIN_S, check=True)
    assert {path.name for path in kept.iterdir()} == {RECORD, "0123456789abcdef.part"}


@pytest.mark.parametrize(
    ("unit", "stops_within_s"),
    [("parta-kit.service", kit_cli.STOP_AT_MOST_S), ("parta-relay.service", relay_cli.STOP_AT_MOST_S)],
)
def test_the_service_manager_waits_longer_than_the_program_takes(unit: str, stops_within_s: float) -> None:
    [stop], [restart] = said(unit, "TimeoutStopSec"), said(unit, "Restart")
    assert float(stop) > stops_within_s
    assert restart == "on-failure"
    assert said(unit, "StartLimitBurst")
    assert said(unit, "StartLimitIntervalSec")
    assert said(unit, "Type") == ["notify"]


@pytest.mark.parametrize(
    ("unit", "state_dir"),
    [("parta-kit.service", KitSection().state_dir), ("parta-relay.service", RelaySection().state_dir)],
)
def test_the_program_writes_where_its_unit_lets_it(unit: str, state_dir: str) -> None:
    [name], [user] = said(unit, "StateDirectory"), said(unit, "User")
    assert f"/var/lib/{name}" == state_dir
    assert said(unit, "WorkingDirectory") == [f"%S/{name}"], "lgpio makes a pipe in its working directory"
    accounts = (UNITS / unit.replace(".service", ".sysusers")).read_text(encoding="utf-8")
    assert re.search(rf"^u {user} ", accounts, re.MULTILINE), "the unit's user is one that the system is told to make"


def test_the_kit_asks_for_power_where_somebody_watches() -> None:
    [folder] = said("parta-kit.service", "RuntimeDirectory")
    assert FOLDER == "RUNTIME_DIRECTORY"  # where systemd tells the kit of it
    assert said("parta-power@.path", "PathExists") == [f"/run/{folder}/%i"]
    assert said("parta-kit.service", "RuntimeDirectoryPreserve") == ["yes"], "the request outlives the kit that asks"
    assert "parta-power@poweroff.path parta-power@reboot.path" in said("parta-kit.service", "Wants")


def test_the_cards_file_is_taken_over_before_the_network_and_the_kit() -> None:
    before = said("parta-boot-file.service", "Before")[0].split()
    assert {"NetworkManager.service", "network-pre.target", "systemd-timesyncd.service", "parta-kit.service"} <= set(
        before
    )
    assert any("parta-boot-file.service" in wants for wants in said("parta-kit.service", "Wants"))
    assert not said("parta-kit.service", "Requires"), "a mistake on the card does not keep the kit from starting"
    assert said("parta-boot-file.service", "RequiresMountsFor") == [str(BOOT_FILE.parent)]
