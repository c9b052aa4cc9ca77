"""Which slot starts: our script that RAUC asks, and the firmware that reads what it wrote, after every kind of restart.

The script is the one of the image. The firmware is the one that plays a Pi's for QEMU (``scripts/image/firmware.py``):
what both make of ``autoboot.txt`` has to be the same. Not here: RAUC itself (``test_update.py``).
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.image.firmware import Unbootable, boot_partition, settings, wants_tryboot
from scripts.image.layer import LAYERS

SLOTS = LAYERS / "parta-slots.d" / "files" / "usr" / "lib" / "parta" / "slots"
FRESH = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
PARTITIONS = {2: "A", 3: "B"}


@dataclass
class Kit:
    """A card, what the next reboot will say, and the slot that runs."""

    folder: Path
    running: str = "A"

    @property
    def autoboot(self) -> Path:
        return self.folder / "autoboot.txt"

    def slots(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Ask the script."""
        told = {"BOOTFS": str(self.folder), "REBOOT_PARAM": str(self.folder / "run/param"), "BOOTED": self.running}
        return subprocess.run(
            [SLOTS, *words], env={"PATH": "/usr/bin:/bin", **told}, capture_output=True, text=True, check=False
        )

    def said(self, *words: str) -> str:
        done = self.slots(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def restarts(self) -> str:
        """In order, with the argument that systemd gives to reboot(2); the slot that the firmware starts."""
        param = self.folder / "run/param"
        return self._starts(f"reboot {param.read_text() if param.exists() else ''}\n")

    def loses_power(self) -> str:
        """The kernel had no time to tell the firmware anything."""
        return self._starts("")

    def _starts(self, asked: str) -> str:
        (self.folder / "run/param").unlink(missing_ok=True)  # /run is memory
        number = boot_partition(self.autoboot.read_text(), tryboot=wants_tryboot(asked))
        self.running = PARTITIONS[number]
        return self.running


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    """As its card was written."""
    (tmp_path / "autoboot.txt").write_text(FRESH)
    return Kit(tmp_path)


def test_a_new_card_starts_its_first_slot_again_and_again(kit: Kit) -> None:
    assert (kit.said("get-current"), kit.said("get-primary")) == ("A", "A")
    assert (kit.said("get-state", "A"), kit.said("get-state", "B")) == ("good", "bad")
    assert [kit.restarts(), kit.loses_power(), kit.restarts()] == ["A", "A", "A"]


def test_a_version_that_is_marked_good_starts_by_itself_from_then_on(kit: Kit) -> None:
    kit.said("set-state", "B", "bad")  # RAUC, before it writes
    kit.said("set-primary", "B")
    assert kit.said("get-primary") == "B"
    assert kit.restarts() == "B"
    assert kit.said("get-state", "B") == "bad"  # on trial
    kit.said("set-state", "B", "good")
    assert (kit.said("get-primary"), kit.said("get-state", "B"), kit.said("get-state", "A")) == ("B", "good", "bad")
    assert [kit.restarts(), kit.loses_power()] == ["B", "B"]


@pytest.mark.parametrize("how", ["restarts", "loses_power"])
def test_a_version_that_is_not_marked_good_is_started_once(kit: Kit, how: str) -> None:
    kit.said("set-primary", "B")
    assert kit.restarts() == "B"
    assert getattr(kit, how)() == "A"
    assert (kit.said("get-primary"), kit.restarts()) == ("A", "A")


def test_power_that_is_gone_before_the_trial_leaves_the_old_version(kit: Kit) -> None:
    kit.said("set-primary", "B")
    assert kit.loses_power() == "A"
    assert kit.said("get-primary") == "A"


def test_going_back_is_a_trial_too(kit: Kit) -> None:
    kit.said("set-primary", "B")
    kit.restarts()
    kit.said("set-state", "B", "good")
    kit.said("set-primary", "A")
    assert kit.restarts() == "A"
    assert kit.loses_power() == "B"


def test_what_the_kit_falls_back_to_cannot_be_marked_bad_or_be_written_over(kit: Kit) -> None:
    kit.said("set-primary", "B")
    kit.restarts()
    refused = kit.slots("set-state", "A", "bad")  # what RAUC says first when it is to install during a trial
    assert refused.returncode == 1
    assert "stays as it is" in refused.stderr
    assert kit.loses_power() == "A"


def test_a_slot_that_never_ran_is_not_marked_good(kit: Kit) -> None:
    refused = kit.slots("set-state", "B", "good")
    assert refused.returncode == 1
    assert kit.autoboot.read_text() == FRESH


def test_a_trial_is_called_off_by_choosing_what_runs(kit: Kit) -> None:
    kit.said("set-primary", "B")
    kit.said("set-primary", "A")
    assert kit.restarts() == "A"


def test_what_the_firmware_reads_is_written_in_its_place_and_keeps_its_length(kit: Kit) -> None:
    """So that it is never half written: it is one sector, and no other sector changes with it."""
    inode = kit.autoboot.stat().st_ino
    kit.said("set-primary", "B")
    kit.restarts()
    kit.said("set-state", "B", "good")
    assert (kit.autoboot.stat().st_ino, kit.autoboot.stat().st_size) == (inode, len(FRESH))
    assert kit.autoboot.read_text() == FRESH.replace("=2", "=x").replace("=3", "=2").replace("=x", "=3")


@pytest.mark.parametrize(
    "words",
    [(), ("get-state",), ("get-state", "C"), ("set-primary", "../A"), ("set-state", "A"), ("set-state", "A", "so-so")],
)
def test_a_question_that_makes_no_sense_is_refused_and_changes_nothing(kit: Kit, words: tuple[str, ...]) -> None:
    done = kit.slots(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("slots: ")
    assert kit.autoboot.read_text() == FRESH
    assert not (kit.folder / "run").exists()


@pytest.mark.parametrize("text", ["", "[all]\nboot_partition=\n", "[all]\ntryboot_a_b=1\nboot_partition=7\n"])
def test_a_spoilt_card_is_told_and_not_guessed_at(kit: Kit, text: str) -> None:
    kit.autoboot.write_text(text)
    done = kit.slots("get-primary")
    assert done.returncode == 1
    assert "autoboot.txt does not say which slot starts" in done.stderr


@pytest.mark.parametrize("text", ["", "[all]\nboot_partition=2\n", "[tryboot]\ntryboot_a_b=1\nboot_partition=3\n"])
def test_the_firmware_starts_no_partition_that_it_is_not_told(text: str) -> None:
    with pytest.raises(Unbootable):
        boot_partition(text, tryboot=False)


def test_each_slot_is_told_which_it_is_by_where_it_was_found() -> None:
    text = "arm_64bit=1\n[boot_partition=2]\ncmdline=cmdline-a.txt\n[boot_partition=3]\ncmdline=cmdline-b.txt\n[all]\n"
    assert settings(text, "boot_partition=3") == {"arm_64bit": "1", "cmdline": "cmdline-b.txt"}


@pytest.mark.parametrize(
    ("asked", "tries"),
    [("reboot 0 tryboot\n", True), ("reboot \n", False), ("", False), ("poweroff 0 tryboot\n", False)],
)
def test_only_a_reboot_that_says_so_is_a_trial(asked: str, tries: bool) -> None:
    assert wants_tryboot(asked) is tries
