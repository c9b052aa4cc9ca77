"""Runs the Raspberry Pi's camera code on the real libcamera and picamera2, in the Debian 13 root made for it.

That root is another Debian, with another Python: the tests run in there (``test_picamera2.py``, and the conformance
suite of all cameras), and this says how they ended. ``make test`` makes the root where it can, ``make test-libcamera``
runs the same by itself; where there is none, this is skipped by name.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ROOT_SCRIPT = PROJECT / "scripts" / "emulation_root.sh"
MADE = PROJECT / ".cache" / "emulation-root.made-of"
LONGEST_S = 300.0  # half a minute on an idle machine


@pytest.mark.skipif(not MADE.exists(), reason="the root with libcamera is not here: make test-libcamera makes it")
@pytest.mark.skipif(os.geteuid() != 0, reason="the root with libcamera can be entered by root alone")
def test_the_camera_of_a_pi_keeps_what_every_camera_keeps_on_the_real_libcamera() -> None:
    run = subprocess.run(
        [ROOT_SCRIPT, "test"], cwd=PROJECT, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )  # fmt: skip
    told = f"{run.stdout}\n{run.stderr}"
    assert run.returncode == 0, told
    summary = run.stdout.splitlines()[-1]
    assert re.search(r"\b\d+ passed\b", summary), told
    assert "skipped" not in summary, f"something was left out where all of it can run:\n{told}"
