"""The emulation image whose power is cut at moments drawn by lot: in its start, and in a lesson that it records.

``make test-power-cuts`` makes the image and runs this; anywhere else it is skipped by name. One card for all cuts, as a
school would have it: each start finds what the cut before it left. Alone, without a relay: what is recorded is all
there is of the lesson. Not here: cuts of an update (``test_power_cuts_of_updates.py``).
"""

from __future__ import annotations

import json
import os
import random
from itertools import pairwise
from pathlib import Path

import pytest

from tests.emulation.running_machine import Machine, running_machine
from tests.emulation.test_whole_kit import HOST
from tests.image.test_booted_image import BOOT_S, LOOK_S, RECORDING, SCRIPT, folder
from tests.running import FoundedSchool, running_relay

__all__ = ["folder"]  # a fixture

pytestmark = [
    pytest.mark.skipif(
        "PARTA_POWER_CUTS" not in os.environ, reason="two hours of virtual machines: make test-power-cuts"
    ),
]

#: The same moments in each run that draws by the same lot; what the machine does at them differs anyway.
LOT = os.environ.get("PARTA_POWER_CUTS_LOT", "1126")
IN_A_LESSON_OF = 3, 5  # cuts
START_S = 5.0, 60.0  # QEMU's start to READY takes 80 s
LESSON_S = 0.0, 6.0  # three segments
NEW_SEGMENTS = 2
#: What is recorded: of each lesson, each segment that its index has, and whether its bytes are those of its sum.
RECORDED = """
import hashlib, json, pathlib
found = {}
for index in sorted(pathlib.Path("/var/lib/parta-kit/recordings").glob("*/index.jsonl")):
    lines = [json.loads(line) for line in index.read_text().splitlines(keepends=True) if line.endswith("\\n")]
    sums = [hashlib.sha256((index.parent / f"{line['n']}.m4s").read_bytes()).hexdigest() for line in lines]
    found[index.parent.name] = [[line["n"], line["sha256"], line["sha256"] == sum] for line, sum in zip(lines, sums)]
print(json.dumps(found))
"""
Recorded = dict[str, list[tuple[int, str, bool]]]


async def test_power_may_be_cut_at_any_moment_of_a_start_and_of_a_lesson(
    folder: Path, tmp_path: Path, founded_school: FoundedSchool
) -> None:
    lot = random.Random(LOT)
    cuts, kept = int(os.environ["PARTA_POWER_CUTS"]), await enrolled(folder, tmp_path / "relay", founded_school)
    for number in range(cuts):
        some, of = IN_A_LESSON_OF
        if number % of < some:
            async with running_machine(folder, None, SCRIPT) as machine:
                await starts_with_all_that_was_recorded(machine, kept)
                kept = await a_lesson_goes_on(machine, lot.uniform(*LESSON_S))
            told = {lesson[:4]: len(segments) for lesson, segments in kept.items()}
            print(f"  cut {number + 1} of {cuts}, in a lesson; segments: {told}", flush=True)
        else:
            moment_s = lot.uniform(*START_S)
            async with running_machine(folder, None, SCRIPT) as machine:
                await machine.goes_on(moment_s)
            print(f"  cut {number + 1} of {cuts}, {moment_s:.0f} s after QEMU's start", flush=True)
    async with running_machine(folder, None, SCRIPT) as machine:
        await starts_with_all_that_was_recorded(machine, kept)
        assert await machine.run("systemctl --failed --plain --no-legend --no-pager") == ""


async def enrolled(folder: Path, home: Path, school: FoundedSchool) -> Recorded:
    """Set up by its card's file, with a relay that is then gone; nothing is recorded yet."""
    async with running_relay(home, school, advertise=("127.0.0.1", HOST)) as relay:
        boot_file = RECORDING.format(host=HOST, port=relay.port, code=school.enrol_code)
        async with running_machine(folder, boot_file, SCRIPT) as machine:
            await machine.until_up(BOOT_S)
            await machine.until_ready(LOOK_S)
            found = await recorded(machine)
            await machine.run("sync")
    (folder / "parta.toml").unlink()  # from now on the card is as the kit leaves it
    return found


async def starts_with_all_that_was_recorded(machine: Machine, kept: Recorded) -> None:
    """READY; whole is every segment that was there when somebody last looked, and nothing else was lost for it than
    the one in the making."""
    await machine.until_up(BOOT_S)
    found = await recorded(machine)
    for lesson, segments in kept.items():
        assert found[lesson][: len(segments)] == segments
    for segments in found.values():
        assert all(whole for _, _, whole in segments)
        assert all(after - before in {1, 2} for (before, *_), (after, *_) in pairwise(segments))


async def a_lesson_goes_on(machine: Machine, for_s: float) -> Recorded:
    """The one that the cut broke off, or a new one, for some segments and so long; what is recorded then."""
    before = sum(map(len, (await recorded(machine)).values()))
    if (await machine.run("systemctl show -P StatusText parta-kit")).startswith("ready"):
        await machine.press()  # else it has gone on by itself: it was cut off less than two minutes ago
    count = "cat /var/lib/parta-kit/recordings/*/index.jsonl 2>/dev/null | wc -l"
    await machine.until(f"[ $({count}) -ge {before + NEW_SEGMENTS} ]", LOOK_S)
    await machine.goes_on(for_s)
    return await recorded(machine)


async def recorded(machine: Machine) -> Recorded:
    """By the card."""
    said = await machine.run(f"python3 - <<'END'\n{RECORDED}\nEND", LOOK_S)
    return {lesson: [(n, sum_, whole) for n, sum_, whole in found] for lesson, found in json.loads(said).items()}
