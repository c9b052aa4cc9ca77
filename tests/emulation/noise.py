"""Draws what the virtual camera sees: eight pictures of coarse noise, which no encoder makes small.

python -m tests.emulation.noise FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES, WIDTH, HEIGHT, GRAIN = 8, 1280, 720, 8


def draw(folder: Path) -> None:
    """Write them as JPEG files."""
    random = np.random.default_rng(seed=1)
    for number in range(PICTURES):
        grains = random.integers(0, 256, (HEIGHT // GRAIN, WIDTH // GRAIN, 3), dtype=np.uint8)
        Image.fromarray(grains.repeat(GRAIN, axis=0).repeat(GRAIN, axis=1)).save(folder / f"{number:02}.jpg")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
