"""Whether two folders are one: what there is, and each file's bytes, kind, mode, owner, time and where it leads.

Reads both, and changes nothing. Used by ``tests/image/test_made_twice.py`` on the roots of two builds, to name what
made their images differ; and on anything else through ``python -m scripts.image same A B``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One path. ``content``: a file's SHA-256, where a link leads, or a device's number; ``time_ns`` is its mtime."""

    kind: str
    mode: str
    owner: str
    time_ns: int
    content: str


def differences(one: Path, other: Path) -> Iterator[str]:
    """A line for each path that is not the same in both, with what is not."""
    here, there = entries(one), entries(other)
    for path in sorted(here.keys() | there.keys()):
        if path not in here or path not in there:
            yield f"/{path}: is only in {one if path in here else other}"
        elif here[path] != there[path]:
            yield f"/{path}: {', '.join(_differing(here[path], there[path]))}"


def entries(top: Path) -> Mapping[str, Entry]:
    """Everything below, by its path from there."""
    found = {}
    for folder, names, files in os.walk(top):
        for name in (*names, *files):
            path = Path(folder, name)
            found[str(path.relative_to(top))] = _entry(path)
    return found


def _entry(path: Path) -> Entry:
    status = path.lstat()
    kind = stat.filemode(status.st_mode)[0]
    return Entry(
        kind=kind,
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        owner=f"{status.st_uid}:{status.st_gid}",
        time_ns=status.st_mtime_ns,
        content=_content(path, kind, status),
    )


def _content(path: Path, kind: str, status: os.stat_result) -> str:
    if kind == "l":
        return str(path.readlink())
    if kind == "-":
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return str(status.st_rdev) if kind in "bc" else ""


def _differing(one: Entry, other: Entry) -> Iterator[str]:
    theirs = asdict(other)
    for what, value in asdict(one).items():
        if value != theirs[what]:
            yield f"{what} {value} and {theirs[what]}"
