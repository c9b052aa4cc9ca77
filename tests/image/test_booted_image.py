"""The emulation image, booted from a card as it would be flashed: what docs/image.md promises of it.

``make test-image`` makes the image and runs this; anywhere else it is skipped by name. Two boots, because each takes
minutes under software emulation: a card with its file, and one that is given wrong files first. Not here: the lesson's
ups and downs (``tests/emulation/test_whole_kit.py``).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.boot.file import FILE_NAME
from appliance.boot.imager import FILES as IMAGER_FILES
from appliance.boot.imager import FIRST_RUN, NETWORK, USER_DATA
from tests.appliance.boot.test_imager import CLOUD, NETWORKS
from tests.appliance.boot.test_imager import SCRIPT as IMAGER_1
from tests.emulation.running_machine import Machine, running_machine
from tests.emulation.test_whole_kit import BOOT_FILE, HOST
from tests.image.made import ARCHITECTURE
from tests.image.visitor import REACH_DESK, Visitor, new_key
from tests.running import FoundedSchool, RunningRelay, running_relay

pytestmark = [
    pytest.mark.skipif("PARTA_IMAGE" not in os.environ, reason="boots the image in a virtual machine: make test-image"),
]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCRIPT = ROOT / "scripts" / "image.sh"
BOOT_S = 900.0  # 60 s by itself; READY comes when Python and its libraries are read, which shares two CPUs with others
LOOK_S = 180.0
LESSON_S = 600  # of the machine's clock
MORE_MEMORY_KB = 1024  # what the RAM file systems may take more after it
#: What may listen: the setup page, multicast DNS, and DHCP's client, which answers to nobody it has not asked.
LISTENERS = {("tcp", "8091"), ("udp", "5353")}
SSH = ("tcp", "22")
RECORDING = BOOT_FILE.replace("[recording]\nenabled = false\n", "")
NAMED = (
    RECORDING.replace("[kit]\n", '[kit]\nhost_name = "kit-12"\ntime_zone = "Asia/Yekaterinburg"\n')
    + '[ssh]\nauthorized_keys = ["{key}"]\n'
)
WRONG = {
    "TOML": ("[relay\n", "parta.toml: not valid TOML"),
    "unknown key": ('[wifi]\nsid = "School"\n', "parta.toml: wifi.sid: unknown key; did you mean ssid?"),
    "Wi-Fi": ('[wifi]\nssid = "School"\npsk = "short"\n', "parta.toml: wifi.psk: must be a password of 8 to 63"),
}


@asynccontextmanager
async def booted(folder: Path, boot_file: str | None) -> AsyncIterator[Machine]:
    """The image on a new card with this parta.toml, or without any, READY; how long it took is printed."""
    started_s = time.monotonic()
    async with running_machine(folder, boot_file, SCRIPT) as machine:
        await machine.until_up(BOOT_S)
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
    own, public = new_key()
    boot_file = NAMED.format(host=HOST, port=relay.port, code=founded_school.enrol_code, key=public)
    async with booted(folder, boot_file) as machine:
        await machine.until_status("ready", LOOK_S)
        await machine.until_ready(LOOK_S)
        assert await machine.run("systemctl --failed --plain --no-legend --no-pager") == ""
        assert "ordering cycle" not in await machine.run("journalctl --no-pager -b -o cat _PID=1")
        card = await machine.run("ls /bootfs && cat /bootfs/parta.toml")
        assert founded_school.enrol_code not in card
        assert "parta-error.txt" not in card
        await only_what_is_kept_can_be_written(machine)
        await it_has_the_name_and_the_time_zone_of_its_file(machine)
        await nothing_listens_but_the_setup_page_and_its_name(machine, and_also={SSH})
        await whoever_has_the_key_sees_the_logs_and_nobody_else_does(machine, own)
        await nobody_has_a_password(machine)
        await what_is_kept_fills_the_card(machine)
        assert await machine.run("stat -c %u /var/lib/parta-kit /var/lib/parta-kit/kit.key") == "880\n880\n"
        await the_bill_names_what_is_in_it(machine)
        await a_lesson_writes_on_what_is_kept_and_nowhere_else(machine)


async def test_a_card_without_a_file_waits_and_each_wrong_file_tells_its_reason(
    folder: Path, relay: RunningRelay, founded_school: FoundedSchool
) -> None:
    async with booted(folder, None) as machine:
        await machine.until_status("not enrolled", LOOK_S)
        await the_setup_page_is_open(machine)
        assert "parta-error.txt" not in await machine.run("ls /bootfs")
        assert (await machine.run("hostname")).strip() == "parta-kit"
        await nothing_listens_but_the_setup_page_and_its_name(machine)
        assert "dport 22 " not in await machine.run("nft list ruleset")
        for text, reason in WRONG.values():
            assert not await taken_over(machine, {FILE_NAME: text})
            assert reason in await machine.run("cat /bootfs/parta-error.txt")
            await machine.until_status(reason, LOOK_S)
            await machine.until_any_lamp()
            await the_setup_page_is_open(machine)
        await what_imager_set_is_taken_over(machine)
        right = BOOT_FILE.format(host=HOST, port=relay.port, code=founded_school.enrol_code)
        assert await taken_over(machine, {FILE_NAME: right})
        assert "parta-error.txt" not in await machine.run("ls /bootfs")
        await machine.until_ready(LOOK_S)


async def what_imager_set_is_taken_over(machine: Machine) -> None:
    """Its Wi-Fi is one that NetworkManager reads; and what Imager 1 has the kernel start is not started."""
    await machine.run(f"rm /bootfs/{FILE_NAME}")
    assert await taken_over(machine, {USER_DATA: CLOUD, NETWORK: NETWORKS, FIRST_RUN: IMAGER_1})
    left = (await machine.run("ls /bootfs")).split()
    assert not {*IMAGER_FILES, "parta-error.txt"} & {*left}
    await machine.run("systemctl restart parta-host-name nftables && nmcli connection reload")
    assert (await machine.run("hostname")).strip() == "kit-12"
    assert "dport 22 " in await machine.run("nft list ruleset")
    said = await machine.run(
        "nmcli --get-values 802-11-wireless.ssid,802-11-wireless.hidden connection show parta-wifi"
    )
    assert said.splitlines() == ['Школа "7"', "yes"]
    assert (await machine.run("systemctl show -P Id kernel-command-line.target")).strip() == "multi-user.target"
    assert await machine.run("ls /run/systemd/generator*/ | grep -E 'kernel-command-line|ssh' || true") == ""


async def taken_over(machine: Machine, files: dict[str, str]) -> bool:
    """Put these files on the card, and do what a start does: take them over, and then start the kit."""
    for name, text in files.items():
        await machine.run(f"cat >/bootfs/{name} <<'END OF {name}'\n{text}\nEND OF {name}\n")
    await machine.run("systemctl stop parta-kit", LOOK_S)
    result = await machine.run("systemctl start parta-boot-file; systemctl show -P Result parta-boot-file", LOOK_S)
    await machine.run("systemctl reset-failed parta-boot-file; systemctl start parta-kit", LOOK_S)
    return result.split()[-1] == "success"


async def the_setup_page_is_open(machine: Machine) -> None:
    """It answers."""
    ask = "import urllib.request as web; print(web.urlopen('http://127.0.0.1:8091/', timeout=30).status)"
    await machine.until(f'[ "$(python3 -c "{ask}" 2>/dev/null)" = 200 ]', LOOK_S)


async def it_has_the_name_and_the_time_zone_of_its_file(machine: Machine) -> None:
    """From the first start; and the name is what NetworkManager tells a DHCP server."""
    assert (await machine.run("hostname; hostnamectl --static; nmcli general hostname")).split() == ["kit-12"] * 3
    assert (await machine.run("date +%z")).strip() == "+0500"
    assert "+05:00 kit-12 " in await machine.run("journalctl --no-pager -o short-iso -n 1 -u parta-kit")


async def whoever_has_the_key_sees_the_logs_and_nobody_else_does(machine: Machine, own: str) -> None:
    """Over a cable, through the firewall."""
    async with Visitor(machine) as visitor:
        assert await visitor.logs_in("parta", own, "id -un; journalctl -q -n 1 -u parta-kit | wc -l") == "parta\n1\n"
        assert await visitor.logs_in("parta", own, "ls /dev/snd /dev/video0 /dev/media0 /var/lib/parta-kit; :") == (
            "ls: cannot access '/dev/snd': No such file or directory\n"
            "ls: cannot access '/dev/video0': No such file or directory\n"
            "ls: cannot access '/dev/media0': No such file or directory\n"
            "ls: cannot open directory '/var/lib/parta-kit': Permission denied\n"
        )
        assert "Connection refused" in await visitor.logs_in("parta", own, REACH_DESK), "the kit itself reaches it"
        stranger, _ = new_key()
        for name, key in (("root", own), ("parta-kit", own), ("parta", stranger)):
            assert "Permission denied (publickey)" in await visitor.logs_in(name, key, "id")


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
    assert writable == {"/bootfs", "/persistent", "/var", "/var/log/journal", "/etc/machine-id", *kept}


async def nothing_listens_but_the_setup_page_and_its_name(
    machine: Machine, *, and_also: Collection[tuple[str, str]] = ()
) -> None:
    """Beside this machine's own loopback; and the firewall is up before anything else could."""
    said = await machine.run("ss --listening --numeric --tcp --udp --no-header")
    lines = [line.split() for line in said.splitlines()]
    outside = {
        (kind, own.rpartition(":")[2]) for kind, _, _, _, own, *_ in lines if not own.startswith(("127.", "[::1]"))
    }
    assert outside - {("udp", "68"), ("udp", "546")} == LISTENERS | {*and_also}
    assert "policy drop" in await machine.run("nft list chain inet parta input")
    assert await machine.run("systemctl list-units --plain --no-legend '*getty*' 'ssh*'") == ""


async def nobody_has_a_password(machine: Machine) -> None:
    """No key but the card's, and no more programs that become root than the list in this folder."""
    assert await machine.run("awk -F: '$2 !~ /^[!*]/ {print $1}' /etc/shadow") == ""
    assert await machine.run("find / /etc/parta /persistent -xdev -name 'authorized_keys*'") == (
        "/etc/parta/ssh/authorized_keys\n/persistent/shared/etc/parta/ssh/authorized_keys\n"
    )
    privileged = (await machine.run("find / -xdev -perm /6000 -type f")).splitlines()
    assert sorted(privileged) == expected("expected-setuid.txt")
    open_to_all = "find / /var -xdev -perm -0002 -not -type l -not -type c -not -path '*/systemd-private-*'"
    found = (await machine.run(open_to_all)).splitlines()
    assert sorted(found) == expected("expected-world-writable.txt")


async def what_is_kept_fills_the_card(machine: Machine) -> None:
    """The image keeps 256 MB; the card has 8 GB, and two slots."""
    await machine.until("[ -e /persistent/common/grown ]", LOOK_S)
    [_, size] = (await machine.run("df --output=size --block-size=1M /persistent")).split()[-2:]
    assert int(size) > 1800


async def a_lesson_writes_on_what_is_kept_and_nowhere_else(machine: Machine) -> None:
    """Not a sector of another partition; and nothing grows in memory, which would fill it in the end.

    The last step: the lesson goes on until the plug is pulled.
    """
    await machine.press()
    await machine.until_status_is_not("ready")
    sectors, memory_kb = await written_sectors(machine), await memory_taken_kb(machine)
    end_s = int(await machine.run("cut -d. -f1 /proc/uptime")) + LESSON_S
    await machine.until(f'[ "$(cut -d. -f1 /proc/uptime)" -ge {end_s} ]', 2 * LESSON_S)
    await machine.until_status_is_not("ready")
    after, taken_kb = await written_sectors(machine), await memory_taken_kb(machine) - memory_kb
    [kept] = (await machine.run("basename $(findmnt -nro SOURCE --mountpoint /persistent)")).split()
    print(f"\n  {LESSON_S} s of lesson: {after[kept] - sectors[kept]} sectors on {kept}, {taken_kb} KB more in memory")
    assert after.pop(kept) > sectors.pop(kept), "a lesson is recorded"
    assert after == sectors
    assert taken_kb <= MORE_MEMORY_KB


async def written_sectors(machine: Machine) -> dict[str, int]:
    """Of each partition, since the start (Documentation/block/stat.rst, the seventh field)."""
    lines = await machine.run("cd /sys/class/block && awk '{print FILENAME, $7}' vda?*/stat")
    return {path.partition("/")[0]: int(count) for path, count in map(str.split, lines.splitlines())}


async def memory_taken_kb(machine: Machine) -> int:
    """By all file systems that live there."""
    return sum(int(used) for used in (await machine.run("df --output=used -t tmpfs | tail -n +2")).split())


async def the_bill_names_what_is_in_it(machine: Machine) -> None:
    """Every package of Debian's and Python's, with its version."""
    [bill_file] = (ROOT / "dist").glob(f"parta-kit-*-{ARCHITECTURE}.cdx.json")
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
