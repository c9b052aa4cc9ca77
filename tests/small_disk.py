"""A real disk that is small: a tmpfs of its own, for tests of a full or read-only card. Needs root; skips by name."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MOUNT_S = 10


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """A disk of so many KiB, mounted below ``folder``."""
    place = folder / "small disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=MOUNT_S)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here (it needs root): {error}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, capture_output=True, timeout=MOUNT_S)


def remount(place: Path, how: str) -> None:
    """Make it read-only (``ro``), or writable (``rw``)."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True, capture_output=True, timeout=MOUNT_S)
