"""Two builds of one commit are one image, bit for bit; and where they are not, what makes the difference is named.

``PARTA_IMAGE_TWICE=1 make test-image ARGS='-k made_twice'`` makes the image, and then this makes it again, from
nothing, in another folder; anywhere else it is skipped by name. One package snapshot: both are made of what Debian's
mirror has now; set DEBIAN_MIRROR to a frozen one to compare on another day. Not here: the boards' own images, which
rpi-image-gen makes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.image.bill import STATUS
from scripts.image.same import differences
from tests.image.made import FOLDER as FIRST

pytestmark = pytest.mark.skipif(
    "PARTA_IMAGE_TWICE" not in os.environ, reason="makes the image once more: PARTA_IMAGE_TWICE=1 make test-image"
)

ROOT = Path(__file__).resolve().parents[2]
AGAIN = FIRST.with_name(f"{FIRST.name}-again")
IMAGE = "parta-kit.img"
#: What makes the image, and is none of it; and the key whose updates it takes, which is drawn by lot.
TOOLS = ("tools", "tools.made-of", "update")
SHOWN = 40


@pytest.fixture(scope="module")
def again() -> Path:
    """The second build's folder; the first was made by ``make``."""
    shutil.rmtree(AGAIN, ignore_errors=True)
    AGAIN.mkdir(parents=True)
    for name in TOOLS:
        subprocess.run(["cp", "-a", "--reflink=auto", FIRST / name, AGAIN / name], check=True)
    folders = {"IMAGE_CACHE": str(AGAIN.relative_to(ROOT)), "IMAGE_OUT": str((AGAIN / "dist").relative_to(ROOT))}
    environment = {**os.environ, "VENV": str(Path(sys.executable).parents[1]), **folders}
    subprocess.run([ROOT / "scripts" / "image.sh", "emulated"], cwd=ROOT, env=environment, check=True)
    return AGAIN


def test_what_lies_in_them_is_the_same(again: Path) -> None:
    first = (FIRST / "root" / STATUS).read_bytes()
    assert first == (again / "root" / STATUS).read_bytes(), "the mirror's packages changed in between: make both anew"
    told = list(differences(FIRST / "root", again / "root"))
    assert told == [], f"{len(told)} paths differ:\n" + "\n".join(told[:SHOWN])


def test_the_images_are_the_same_to_the_bit(again: Path) -> None:
    assert sum_of(FIRST / IMAGE) == sum_of(again / IMAGE)


def sum_of(path: Path) -> str:
    """SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
