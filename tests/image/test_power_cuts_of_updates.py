"""The emulation image whose power is cut five times in one update: whatever is cut off, what ran before starts again.

``make test-power-cuts`` makes the image and runs this; anywhere else it is skipped by name. One card for all cuts, as a
school would have it: each start finds what the cut before it left. In the end a stick is put in again, nobody cuts off
what comes of it, and the update stays. What the kit keeps is looked at after each start. Not here: cuts of a start and
of a lesson (``test_power_cuts.py``), and updates that nobody cuts off (``test_update.py``).
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
from pathlib import Path

import pytest

from appliance.update.source import INCOMING
from appliance.update.trial import FOLDER, RECORD, SILENT
from tests.emulation.running_machine import LOOK_EVERY_S, Machine, running_machine
from tests.image.test_booted_image import BOOT_S, LOOK_S, SCRIPT, folder, relay
from tests.image.test_power_cuts import LOT
from tests.image.test_update import (
    INSTALL_S,
    KEPT,
    UPDATE,
    begins_to_install,
    other_stick,
    plug_in_other,
    teachers_stick,
    teaching,
    told,
    version_of,
)
from tests.running import FoundedSchool, RunningRelay

__all__ = ["folder", "relay"]  # fixtures

pytestmark = [
    pytest.mark.skipif(
        "PARTA_POWER_CUTS" not in os.environ, reason="two hours of virtual machines: make test-power-cuts"
    ),
]

NEW = "0.2.0"
BUNDLE = f"/run/stick/{NEW}.raucb"
#: Of a slot's two partitions, as the image makes them: ``image_root_part_size`` and ``image_boot_part_size``.
SECTORS = (1536 + 256) * 2048
#: How many of them were written since the start.
WRITTEN = (
    "cat $(for part in boot_b system_b; do echo /sys/class/block/$(basename $(readlink -f "
    "/dev/disk/by-partlabel/$part))/stat; done) | awk '{n += $7} END {print n}'"
)
#: What RAUC says that it does, such as ``(isi) 20 "Verifying signature" 2``.
DOING = "busctl get-property de.pengutronix.rauc / de.pengutronix.rauc.Installer Progress"
#: How much of the bundle RAUC has read, in kB: it maps the file, and a page counts when it was looked at.
READ = "awk '/^RssFile/ {print $2}' /proc/$(systemctl show -P MainPID rauc)/status 2>/dev/null || echo 0"
#: What part of it, when the plug is pulled; the rest is for the look at what was written by then.
CHECKED = 0.05, 0.5
REST_S = 0.0, 10.0
#: It has begun when the trial's record says so, and goes on for as long as the relay is away.
TRIAL_S = 0.0, 20.0


async def test_power_may_be_cut_at_any_moment_of_an_update(
    folder: Path, relay: RunningRelay, founded_school: FoundedSchool, tmp_path: Path
) -> None:
    bundle, copy = version_of(tmp_path, NEW), tmp_path / "copy" / f"{NEW}.raucb"
    copy.parent.mkdir()
    shutil.copyfile(bundle, copy)
    other_stick(folder, bundle)
    teachers_stick(folder, copy)
    lot = random.Random(LOT)
    async with teaching(folder, relay, founded_school) as (machine, kept):
        await plug_in_other(machine)
        await as_it_is_checked(machine, lot)
    (folder / "parta.toml").unlink()  # from now on the card is as the kit leaves it
    for _ in range(2):
        async with running_machine(folder, None, SCRIPT) as machine:
            await starts_as_before(machine, kept)
            await plug_in_other(machine)
            await as_it_is_written(machine, lot)
    async with running_machine(folder, None, SCRIPT) as machine:
        await starts_as_before(machine, kept)
        await a_slot_that_is_not_whole_is_not_started(machine)
        await plug_in_other(machine)
        await when_it_is_whole(machine, lot)
    async with running_machine(folder, None, SCRIPT) as machine:
        await starts_as_before(machine, kept, cuts=1)
        await on_trial(machine, lot, relay)
    await relay.start()
    async with running_machine(folder, None, SCRIPT) as machine:
        await starts_as_before(machine, kept, cuts=2)
        await nobody_cuts_it_off(machine, kept)


async def starts_as_before(machine: Machine, kept: str, *, cuts: int = 0) -> None:
    """From slot A, with all that it keeps, known to its relay, and without what the update had in work."""
    await machine.until_up(BOOT_S)
    await machine.until_ready(LOOK_S)
    now = await told(machine)
    assert (now["slot"], now["on_trial"]) == ("A", False)
    assert now["last_update"] == ({"version": NEW, "outcome": "cut_off", "why": SILENT} if cuts else None)
    assert not cuts or f"was cut off ({cuts} of " in await machine.run(f"{UPDATE} status", LOOK_S)
    assert await machine.run(KEPT) == kept
    assert await machine.run(f"ls {FOLDER}/{INCOMING} 2>/dev/null || true") == ""
    assert await machine.run("systemctl --failed --plain --no-legend --no-pager") == ""


async def as_it_is_checked(machine: Machine, lot: random.Random) -> None:
    """RAUC reads the bundle, and has written nothing."""
    part_kb = int(int(await machine.run(f"stat -c %s {BUNDLE}")) / 1024 * lot.uniform(*CHECKED))
    await begins_to_install(machine, BUNDLE)
    await machine.run(f"until [ $({READ}) -ge {part_kb} ]; do sleep {LOOK_EVERY_S}; done", INSTALL_S)
    await tell(machine, f"checked: {part_kb >> 10} MB were drawn")
    assert "signature" in await machine.run(DOING)
    assert int(await machine.run(WRITTEN)) == 0


async def as_it_is_written(machine: Machine, lot: random.Random) -> None:
    """After so many sectors."""
    sectors = lot.randrange(1, SECTORS)
    await begins_to_install(machine, BUNDLE)
    await machine.until(f"[ $({WRITTEN}) -ge {sectors} ]", INSTALL_S)
    await tell(machine, f"written: {sectors} of {SECTORS} sectors were drawn")


async def a_slot_that_is_not_whole_is_not_started(machine: Machine) -> None:
    """Nor by a person who asks for it."""
    said = await machine.run(f"{UPDATE} rollback 2>&1 || echo ended with $?", LOOK_S)
    assert "the other slot holds no whole version" in said
    assert "ended with 2" in said


async def when_it_is_whole(machine: Machine, lot: random.Random) -> None:
    """The next restart would try it."""
    said = await machine.run(f"{UPDATE} install {BUNDLE} --no-restart", INSTALL_S)
    assert f"{NEW} is installed." in said
    await machine.goes_on(lot.uniform(*REST_S))
    await tell(machine, "whole, and not restarted")


async def on_trial(machine: Machine, lot: random.Random, relay: RunningRelay) -> None:
    """Slot B runs, and has not proved itself: it waits for the relay, which the version before reached.

    What was installed before is whole, and needs no second writing: a person has it tried once more.
    """
    assert f"Going back to {NEW}." in await machine.run(f"{UPDATE} rollback --no-restart", LOOK_S)
    await relay.program.end(signal.SIGTERM)
    await machine.run("systemctl --no-block reboot")
    await machine.restarted(LOOK_S)
    await machine.until(f"grep -q started {FOLDER}/{RECORD}", BOOT_S)
    await machine.goes_on(lot.uniform(*TRIAL_S))
    await tell(machine, "on trial")
    assert "started" in await machine.run(f"cat {FOLDER}/{RECORD}")


async def nobody_cuts_it_off(machine: Machine, kept: str) -> None:
    """The teacher's stick is put in, and nothing else is done: it is written anew, proves itself, and stays."""
    await machine.plug_in("stick")
    await machine.restarted(INSTALL_S)
    await machine.until(f"grep -q good {FOLDER}/{RECORD}", BOOT_S)
    await machine.until_ready(LOOK_S)
    now = await told(machine)
    assert (now["version"], now["slot"], now["on_trial"]) == (NEW, "B", False)
    assert now["last_update"] == {"version": NEW, "outcome": "good", "why": ""}
    assert await machine.run(KEPT) == kept
    assert await machine.run("systemctl --failed --plain --no-legend --no-pager") == ""
    assert re.search(r"\[all\]\n.*\nboot_partition=3\n", await machine.run("cat /bootfs/autoboot.txt"))


async def tell(machine: Machine, when: str) -> None:
    """What is about to be cut off, for whoever looks on."""
    print(f"  cut in an update, {when}; RAUC: {(await machine.run(DOING)).strip()}", flush=True)
