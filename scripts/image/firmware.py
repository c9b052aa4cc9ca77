"""The Pi's firmware, played for QEMU: which slot starts, with which kernel, and again after each reboot.

Of a Pi's firmware it does what an update needs: ``autoboot.txt`` on the first partition, with ``[tryboot]`` honoured
once; ``config.txt`` of the partition chosen, with its ``[boot_partition=…]``; a start from the beginning after whatever
ended the machine but a power-off. What a Pi's kernel hands to it with ``reboot "0 tryboot"`` comes over a port here
(``tests/emulation/machine/firmware.sh``). Not here: what the machine is (``scripts/image.sh``, which runs this).

python -m scripts.image.firmware FOLDER TOOLS QEMU'S-WORDS …    FOLDER has the card, and is TOOLS/machine to QEMU
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

SECTOR_BYTES = 512
#: The boot partition's kernel and initrd; a Pi's are called otherwise, and are found in the same place.
KERNEL, INITRD = "vmlinuz", "initrd.img"
#: What the machine tells as it goes down; empty when it did not get so far.
ASKED = "asked"


class Unbootable(Exception):
    """A card that no firmware would start; the text says why."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What QEMU is given: a boot partition's number, and the kernel's command line."""

    partition: int
    command_line: str


def settings(text: str, *filters: str) -> dict[str, str]:
    """What a file in the form of ``config.txt`` sets where these filters hold; ``all`` always does."""
    holds, found = True, {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            holds = line[1:-1] in {"all", *filters}
        elif holds and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key] = value
    return found


def boot_partition(autoboot: str, *, tryboot: bool) -> int:
    """The partition that ``autoboot.txt`` names. Raises ``Unbootable``."""
    said = settings(autoboot, *(["tryboot"] if tryboot else []))
    if said.get("tryboot_a_b") != "1" or not said.get("boot_partition", "").isdecimal():
        raise Unbootable(f"autoboot.txt does not say which partition starts: {autoboot!r}")
    return int(said["boot_partition"])


def wants_tryboot(asked: str) -> bool:
    """Whether the machine went down with ``reboot "0 tryboot"``."""
    return asked.split() == ["reboot", "0", "tryboot"]


class Board:
    """One machine and its card, ``FOLDER/disk``."""

    def __init__(self, folder: Path, tools: Path, words: Sequence[str]) -> None:
        self._folder = folder
        self._tools = tools
        self._words = words
        self._qemu: subprocess.Popen[bytes] | None = None
        self._unplugged = False

    def run(self) -> int:
        """Start it again and again, until it is switched off or unplugged; QEMU's exit code."""
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self._unplug)
        asked = ""
        while True:
            boot = self._read_card(tryboot=wants_tryboot(asked))
            print(f"firmware: boot partition {boot.partition}", flush=True)
            code = self._start(boot)
            asked = (self._folder / ASKED).read_text() if (self._folder / ASKED).exists() else ""
            if self._unplugged or code != 0 or asked.startswith(("poweroff", "halt")):
                return code

    def _unplug(self, sign: int, _: FrameType | None) -> None:
        self._unplugged = True
        if self._qemu is not None:
            self._qemu.send_signal(sign)

    def _read_card(self, *, tryboot: bool) -> Boot:
        partitions = self._partitions()
        partition = boot_partition(self._read(partitions[1], "autoboot.txt"), tryboot=tryboot)
        filters = f"boot_partition={partition}"
        name = settings(self._read(partitions[partition], "config.txt"), filters).get("cmdline", "cmdline.txt")
        for file in (KERNEL, INITRD):
            self._tool("mcopy", "-n", "-o", "-i", partitions[partition], f"::{file}", f"/machine/{file}")
        return Boot(partition, self._read(partitions[partition], name).strip())

    def _partitions(self) -> dict[int, str]:
        table = json.loads(self._tool("sfdisk", "--json", "/machine/disk"))["partitiontable"]["partitions"]
        return {number: f"/machine/disk@@{each['start'] * SECTOR_BYTES}" for number, each in enumerate(table, start=1)}

    def _read(self, partition: str, name: str) -> str:
        return self._tool("mtype", "-i", partition, f"::{name}")

    def _tool(self, *words: str) -> str:
        command = ["chroot", str(self._tools), "env", "-i", "PATH=/usr/sbin:/usr/bin", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unbootable(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def _start(self, boot: Boot) -> int:
        for name in (ASKED, "agent"):
            (self._folder / name).unlink(missing_ok=True)
        # Whoever kills this program has pulled the plug: QEMU goes with it.
        command = ["setpriv", "--pdeathsig", "KILL", "chroot", str(self._tools)]
        command += ["env", "-i", "PATH=/usr/sbin:/usr/bin", "TMPDIR=/machine", *self._words]
        command += ["-kernel", f"/machine/{KERNEL}", "-initrd", f"/machine/{INITRD}", "-append", boot.command_line]
        command += ["-chardev", f"file,id=firmware,path=/machine/{ASKED}"]
        command += ["-device", "virtserialport,chardev=firmware,name=parta.firmware"]
        with subprocess.Popen(command) as self._qemu:
            if self._unplugged:
                self._qemu.kill()
            return self._qemu.wait()


def main(words: Sequence[str]) -> int:
    """Run the board. Raises nothing that a person could mend."""
    folder, tools, *qemu = words
    try:
        return Board(Path(folder), Path(tools), qemu).run()
    except Unbootable as error:
        print(f"firmware: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
