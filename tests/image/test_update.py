"""The emulation image updated: to a good version, to one whose service fails, and by a bundle that somebody changed.

``make test-image`` makes the image, and runs this; anywhere else it is skipped by name. A boot takes minutes under
software emulation: a test has a card of its own, and two or three starts of it. The versions are the image's own root
with another name, and one with a unit that ends at once.
Not here: what the firmware reads (``test_slots.py``), the command's words (``tests/appliance/test_update.py``), cuts of
the power (``test_power_cuts_of_updates.py``).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.emulation.running_machine import Machine, running_machine
from tests.emulation.test_whole_kit import BOOT_FILE, HOST
from tests.image.made import FAMILY
from tests.image.made import FOLDER as IMAGE
from tests.image.test_booted_image import BOOT_S, LOOK_S, SCRIPT, folder, relay
from tests.running import FoundedSchool, RunningRelay

__all__ = ["folder", "relay"]  # fixtures

pytestmark = [
    pytest.mark.skipif("PARTA_IMAGE" not in os.environ, reason="boots the image in a virtual machine: make test-image"),
]

BROKEN = "/etc/systemd/system/parta-kit.service.d/zz-broken.conf"
INSTALL_S = 900.0  # 430 MB are checked, and 2 GB written, by a software processor
UPDATE = "PYTHONPATH=/opt/machine/shims:/opt/site /opt/parta/bin/parta-kit update"
#: All that a kit keeps, but for what its running changes.
KEPT = "cd /var/lib/parta-kit && find . -type f -not -name '.*' | sort | xargs sha256sum"
LESSON = "/var/lib/parta-kit/lessons-of-the-test"


def version_of(folder: Path, version: str, **files: str) -> Path:
    """A bundle of the image's root, with this version's name and these files."""
    system = folder / "system.img"
    subprocess.run(["cp", "--reflink=auto", "--sparse=always", IMAGE / "system.img", system], check=True)
    commands = ["rm /usr/lib/parta/build"]
    for number, (path, text) in enumerate({"/usr/lib/parta/build": f"{version} 1\n", **files}.items()):
        (folder / str(number)).write_text(text)
        commands.append(f"write {folder / str(number)} {path}")
    (folder / "commands").write_text("\n".join(commands))
    subprocess.run(["/usr/sbin/debugfs", "-w", "-f", folder / "commands", system], check=True, capture_output=True)
    bundle = folder / f"{version}.raucb"
    words: list[str | Path] = [SCRIPT, "bundle", system, IMAGE / "boot.img", FAMILY, version, bundle]
    subprocess.run(words, check=True, env={**os.environ, "ZSTD_LEVEL": "1"})
    system.unlink()
    return bundle


def teachers_stick(folder: Path, bundle: Path) -> None:
    """A USB stick as it is bought, FAT, with this on it."""
    shared = IMAGE / "tools" / "tmp" / folder.parent.name
    shared.mkdir(parents=True)
    try:
        bundle.rename(shared / bundle.name)
        size_kb = (shared / bundle.name).stat().st_size // 1024 + 50_000
        inside = f"/tmp/{shared.name}"
        for words in (
            ["mkfs.vfat", "-F", "32", "-C", f"{inside}/stick", str(size_kb)],
            ["mcopy", "-i", f"{inside}/stick", f"{inside}/{bundle.name}", "::"],
        ):
            subprocess.run(["chroot", IMAGE / "tools", *words], check=True, capture_output=True)
        shutil.copyfile(shared / "stick", folder / "stick")
    finally:
        shutil.rmtree(shared)


def other_stick(folder: Path, bundle: Path) -> None:
    """A stick whose file system a kit does not look at by itself."""
    files = bundle.parent / "files"
    files.mkdir()
    bundle.rename(files / bundle.name)
    size_mb = (files / bundle.name).stat().st_size // (1 << 20) + 100
    made: list[str | Path] = [
        "/usr/sbin/mke2fs",
        "-q",
        "-t",
        "ext4",
        "-L",
        "other",
        "-d",
        files,
        folder / "stick-other",
    ]
    subprocess.run([*made, f"{size_mb}M"], check=True)


async def plug_in_other(machine: Machine) -> None:
    """At /run/stick."""
    await machine.plug_in("stick-other")
    await machine.until("mkdir -p /run/stick && mount -o ro LABEL=other /run/stick 2>/dev/null", LOOK_S)


async def begins_to_install(machine: Machine, bundle: str) -> None:
    """Somebody with a shell: the install goes on by itself, and ends with a restart."""
    await machine.run(f"systemd-run --quiet --collect --unit=updating /bin/sh -c '{UPDATE} install {bundle}'")


async def told(machine: Machine) -> dict[str, object]:
    """``parta-kit update status``."""
    said: dict[str, object] = json.loads(await machine.run(f"{UPDATE} status --json", LOOK_S))
    return said


async def written(machine: Machine, slot: str) -> str:
    """How many sectors were ever written to a slot's two partitions since the start."""
    block = f"/sys/class/block/$(basename $(readlink -f /dev/disk/by-partlabel/${{part}}_{slot}))"
    return await machine.run(f"for part in boot system; do awk '{{print $7}}' {block}/stat; done")


@asynccontextmanager
async def teaching(folder: Path, relay: RunningRelay, school: FoundedSchool) -> AsyncIterator[tuple[Machine, str]]:
    """A kit that is enrolled, reaches its relay and has a lesson; and what it keeps, as sums."""
    boot_file = BOOT_FILE.format(host=HOST, port=relay.port, code=school.enrol_code)
    async with running_machine(folder, boot_file, SCRIPT) as machine:
        await machine.until_up(BOOT_S)
        await machine.until_ready(LOOK_S)
        await machine.run(f"mkdir {LESSON} && head -c 1000000 /dev/urandom >{LESSON}/segment && sync")
        yield machine, await machine.run(KEPT)


async def test_a_good_version_on_a_stick_stays(
    folder: Path, relay: RunningRelay, founded_school: FoundedSchool, tmp_path: Path
) -> None:
    teachers_stick(folder, version_of(tmp_path, "0.2.0"))
    async with teaching(folder, relay, founded_school) as (machine, kept):
        assert await told(machine) == {
            "version": await machine.run("cut -d' ' -f1 /usr/lib/parta/build | tr -d '\\n'"),
            "slot": "A", "on_trial": False, "last_update": None, "other": "",
        }  # fmt: skip
        await a_good_version_on_a_stick_stays(machine, kept)


async def test_a_version_that_is_none_or_whose_service_fails_leaves_the_old_one(
    folder: Path, relay: RunningRelay, founded_school: FoundedSchool, tmp_path: Path
) -> None:
    broken = {BROKEN: "[Service]\nExecStart=\nExecStart=/bin/false\nExecStopPost=\n"}
    other_stick(folder, version_of(tmp_path, "0.3.0", **broken))
    async with teaching(folder, relay, founded_school) as (machine, kept):
        await plug_in_other(machine)
        await a_changed_bundle_is_refused_before_a_byte_is_written(machine)
        await a_version_whose_service_fails_is_given_up(machine, kept)


async def a_good_version_on_a_stick_stays(machine: Machine, kept: str) -> None:
    """The stick is plugged in, and nothing else is done."""
    await machine.plug_in("stick")
    await machine.restarted(INSTALL_S)
    await machine.until("grep -q good /var/lib/parta-update/trial.json", BOOT_S)
    now = await told(machine)
    assert (now["version"], now["slot"], now["on_trial"]) == ("0.2.0", "B", False)
    assert json.loads(await machine.run("cat /var/lib/parta-update/trial.json")) == {
        "slot": "B", "version": "0.2.0", "camera": True, "relay": True, "outcome": "good", "why": "",
        "cuts": 0,
    }  # fmt: skip
    assert await machine.run(KEPT) == kept
    assert await machine.run("systemctl --failed --plain --no-legend --no-pager") == ""
    assert re.search(r"\[all\]\n.*\nboot_partition=3\n", await machine.run("cat /bootfs/autoboot.txt"))


async def a_changed_bundle_is_refused_before_a_byte_is_written(machine: Machine) -> None:
    """One byte in the middle."""
    await machine.run("cp /run/stick/0.3.0.raucb /persistent/changed.raucb", INSTALL_S)
    await machine.run("printf x | dd of=/persistent/changed.raucb bs=1 seek=200000000 conv=notrunc status=none && sync")
    assert await written(machine, "b") == "0\n0\n"
    said = await machine.run(f"{UPDATE} install /persistent/changed.raucb 2>&1 || echo ended with $?", INSTALL_S)
    assert "ended with 2" in said
    assert "the update was not taken" in said
    assert "signature" in said
    assert await written(machine, "b") == "0\n0\n"
    await machine.run("rm /persistent/changed.raucb")
    assert (await told(machine))["last_update"] is None


async def a_version_whose_service_fails_is_given_up(machine: Machine, kept: str) -> None:
    """By itself: into slot B and back to A."""
    here = (await told(machine))["version"]
    await begins_to_install(machine, "/run/stick/0.3.0.raucb")
    await machine.restarted(INSTALL_S)
    await machine.restarted(BOOT_S)
    await machine.until_up(BOOT_S)
    now = await told(machine)
    assert (now["version"], now["slot"], now["on_trial"]) == (here, "A", False)
    last = now["last_update"]
    assert isinstance(last, dict)
    assert (last["version"], last["outcome"]) == ("0.3.0", "given_up")
    assert "parta-kit.service does not start" in last["why"]
    assert "went back: parta-kit.service" in await machine.run(f"{UPDATE} status", LOOK_S)
    await machine.until_ready(LOOK_S)
    assert await machine.run(KEPT) == kept
