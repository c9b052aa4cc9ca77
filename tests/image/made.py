"""Which emulation image ``make`` has made for the tests, and where: amd64's, or with ``ARCH=arm64`` that one's.

Read from the environment that ``make`` gives to ``scripts/image.sh`` as well. Used by the tests beside it.
"""

from __future__ import annotations

import os
from pathlib import Path

from scripts.image.emulation import USUAL, read_differences

ARCHITECTURE = os.environ.get("IMAGE_ARCH", USUAL)
#: What its updates are made for.
FAMILY = read_differences(ARCHITECTURE).own.family
FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "image"
if ARCHITECTURE != USUAL:
    FOLDER = FOLDER.with_name(f"image-{ARCHITECTURE}")
