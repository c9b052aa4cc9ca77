"""``make image`` where a Pi's image cannot be made: one line says what is missing and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.running import free_port

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 60


def said(*words: str, **environment: str) -> str:
    """What scripts/image.sh says as it refuses."""
    done = subprocess.run(
        [ROOT / "scripts" / "image.sh", *words],
        env={**os.environ, "VENV": str(Path(sys.executable).parents[1]), **environment},
        capture_output=True, text=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    [line] = done.stderr.splitlines()
    return line


def test_a_family_that_is_none_is_told_with_those_that_are() -> None:
    assert said("pi", "pi2") == "image: pi2 is no family of boards; known: pi4 pi5 cm4 cm5 pi3 zero2w"


def test_an_archive_out_of_reach_is_told_with_what_can_be_done() -> None:
    nobody = f"http://127.0.0.1:{free_port()}/debian"
    line = said("pi", "pi4", PI_ARCHIVE=nobody)
    assert f"Raspberry Pi's archive cannot be reached ({nobody})" in line
    assert "make image-emulated" in line
