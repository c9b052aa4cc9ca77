"""The emulation image, booted from a card as it would be flashed: what docs/image.md promises of it.

``make test-image`` makes the image and runs this; anywhere else it is skipped by name. One boot,
because it takes minutes under software emulation. Not here: the lesson (``tests/emulation/test_whole_kit.py``).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.emulation.running_machine import Machine, running_machine
from tests.emulation.test_whole_kit import BOOT_FILE, HOST
from tests.running import FoundedSchool, RunningRelay, running_relay

pytestmark = [
    pytest.mark.skipif("PARTA_IMAGE" not in os.environ, reason="boots the image in a virtual machine: make test-image"),
]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCRIPT = ROOT / "scripts" / "image.sh"
BOOT_S = 900.0  # 60 s by itself; READY comes when Python and its libraries are read, which shares two CPUs with others
LOOK_S = 180.0
#: What may listen: the setup page, multicast DNS, and DHCP's client, which answers to nobody it has not asked.
LISTENERS = {("tcp", "8091"), ("udp", "5353")}


@asynccontextmanager
async def booted(folder: Path, boot_file: str) -> AsyncIterator[Machine]:
    """The image on a new card with this parta.toml, ready; how long it took is printed."""
    started_s = time.monotonic()
    async with running_machine(folder, boot_file, SCRIPT) as machine:
        await machine.until("systemctl is-active --quiet parta-kit", BOOT_S)
        print(f"\n  QEMU's start to READY: {time.monotonic() - started_s:.0f} s", flush=True)
        yield machine


def expected(name: str) -> list[str]:
    """A list that is kept beside this file."""
    return [line for line in (HERE / name).read_text().splitlines() if line and not line.startswith("#")]


@pytest.fixture
async def relay(tmp_path: Path, founded_school: FoundedSchool) -> AsyncIterator[RunningRelay]:
    """On loopback, which is the machine's gateway."""
    async with running_relay(tmp_path / "relay", founded_school, advertise=("127.0.0.1", HOST)) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a machine keeps its card and its console."""
    made = tmp_path / "machine"
    made.mkdir()
    return made


async def test_a_flashed_card_with_its_file_becomes_a_kit_by_itself(
    folder: Path, relay: RunningRelay, founded_school: FoundedSchool
) -> None:
    boot_file = BOOT_FILE.format(host=HOST, port=relay.port, code=founded_school.enrol_code)
    async with booted(folder, boot_file) as machine:
        await machine.until_status("ready", LOOK_S)
        await machine.until('[ "$(systemctl show -P StatusText parta-kit)" = ready ]', LOOK_S)
        assert await machine.run("systemctl --failed --plain --no-legend --no-pager") == ""
        assert "ordering cycle" not in await machine.run("journalctl --no-pager -b -o cat _PID=1")
        card = await machine.run("ls /boot/firmware && cat /boot/firmware/parta.toml")
        assert founded_school.enrol_code not in card
        assert "parta-error.txt" not in card
        await only_what_is_kept_can_be_written(machine)
        await nothing_listens_but_the_setup_page_and_its_name(machine)
        await nobody_can_log_in(machine)
        await what_is_kept_fills_the_card(machine)
        await the_bill_names_what_is_in_it(machine)


async def only_what_is_kept_can_be_written(machine: Machine) -> None:
    """Of what lies on the card: the root refuses, and whatever can be written is on the persistent partition."""
    assert "Read-only file system" in await machine.run(
        "touch /written /etc/written /usr/written /opt/written 2>&1 || true"
    )
    mounts = json.loads(await machine.run("findmnt --json --list --output TARGET,SOURCE,FSTYPE,OPTIONS"))["filesystems"]
    on_the_card = [each for each in mounts if each["fstype"] in {"ext4", "vfat"}]
    writable = {each["target"] for each in on_the_card if "rw" in each["options"].split(",")}
    kept = re.findall(r"^Path=(.*)$", await machine.run("cat /etc/rpi-image-gen/slot-shared.d/*.conf"), re.MULTILINE)
    assert len(kept) > 0
    assert writable == {"/boot/firmware", "/persistent", "/var", "/etc/machine-id", *kept}


async def nothing_listens_but_the_setup_page_and_its_name(machine: Machine) -> None:
    """Beside this machine's own loopback; and the firewall is up before anything else could."""
    said = await machine.run("ss --listening --numeric --tcp --udp --no-header")
    lines = [line.split() for line in said.splitlines()]
    outside = {
        (kind, own.rpartition(":")[2]) for kind, _, _, _, own, *_ in lines if not own.startswith(("127.", "[::1]"))
    }
    assert outside - {("udp", "68"), ("udp", "546")} == LISTENERS
    assert "policy drop" in await machine.run("nft list chain inet parta input")
    assert await machine.run("systemctl list-units --plain --no-legend '*getty*' 'ssh*'") == ""


async def nobody_can_log_in(machine: Machine) -> None:
    """No password, no key, and no more programs that become root than the list in this folder."""
    assert await machine.run("awk -F: '$2 !~ /^[!*]/ {print $1}' /etc/shadow") == ""
    assert await machine.run("find / -xdev -name authorized_keys") == ""
    privileged = (await machine.run("find / -xdev -perm /6000 -type f")).splitlines()
    assert sorted(privileged) == expected("expected-setuid.txt")
    open_to_all = "find / /var -xdev -perm -0002 -not -type l -not -type c -not -path '*/systemd-private-*'"
    found = (await machine.run(open_to_all)).splitlines()
    assert sorted(found) == expected("expected-world-writable.txt")


async def what_is_kept_fills_the_card(machine: Machine) -> None:
    """The image keeps 256 MB; the card has 4 GB."""
    await machine.until("[ -e /persistent/common/grown ]", LOOK_S)
    [_, size] = (await machine.run("df --output=size --block-size=1M /persistent")).split()[-2:]
    assert int(size) > 1800


async def the_bill_names_what_is_in_it(machine: Machine) -> None:
    """Every package of Debian's and Python's, with its version."""
    [bill_file] = (ROOT / "dist").glob("parta-kit-*-amd64.cdx.json")
    purls = {each["purl"] for each in json.loads(bill_file.read_bytes())["components"]}
    asked = r"dpkg-query --show --showformat '${Package}@${Version}?arch=${Architecture}\n'"
    assert {f"pkg:deb/debian/{line}" for line in (await machine.run(asked)).splitlines()} <= {
        purl.replace("%2B", "+").replace("%3A", ":").replace("%7E", "~") for purl in purls
    }
    names = "import importlib.metadata as m; print(*sorted({d.name.lower() for d in m.distributions(path=[p for p in "
    names += "__import__('sys').path if '/opt/' in p])}))"
    found = (await machine.run(f'/opt/parta/bin/python -c "{names}"')).split()
    assert "parta" in found
    listed = {purl.partition("@")[0].removeprefix("pkg:pypi/") for purl in purls}
    assert {name.replace("_", "-") for name in found} <= listed
