"""What an archive needs of a place for its files: a small protocol, and the names. ``local.py`` is one."""

from __future__ import annotations

import re
from typing import Protocol


class FileStore(Protocol):
    """Small files by name, written whole or not at all; names are ``<lesson>/<file>``.

    Methods raise ``ArchiveUnavailable``, and ``put`` also ``ArchiveFull``.
    """

    async def put(self, name: str, body: bytes) -> None:
        """Keep a file for good; one of that name is replaced."""
        ...

    async def get(self, name: str) -> bytes | None:
        """A file, or ``None``."""
        ...

    async def forget(self, lesson_id: str) -> None:
        """Remove everything of a lesson, also what was never finished. Nothing to remove is no error."""
        ...


_NAME = re.compile(r"[0-9a-f]{32}/[A-Za-z0-9_-]+(\.[A-Za-z0-9]+)?")


def need_name(name: str) -> None:
    """Raise ``ValueError`` unless this is a file's name: it becomes a path or an address, so trust nobody with it."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a recording's file: {name}")


def init_name(lesson_id: str, number: int) -> str:
    """Where an init is."""
    return f"{lesson_id}/init-{number}.mp4"


def segment_name(lesson_id: str, number: int) -> str:
    """Where a segment is."""
    return f"{lesson_id}/{number}.m4s"
