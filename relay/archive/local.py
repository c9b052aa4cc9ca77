"""A folder on this machine as the place for recordings: ``<folder>/<lesson>/<file>``.

A file is there whole or not at all, whatever is killed when (``relay/durable.py``). Calls run in threads.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from pathlib import Path

from relay.archive.files import need_name
from relay.durable import sync_folder, write_durably
from relay.errors import ArchiveFull, ArchiveUnavailable

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


class LocalFiles:
    """See the module. ``keep_free_bytes`` of the file system are left to the database and the rest of the machine."""

    def __init__(self, folder: Path, keep_free_bytes: int = 0) -> None:
        self._folder = folder
        self._keep_free_bytes = keep_free_bytes

    async def put(self, name: str, body: bytes) -> None:
        """As in ``FileStore``."""
        try:
            await asyncio.to_thread(self._put, self._path(name), body)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise ArchiveFull("the relay's disk is full; lessons wait on their kits") from error
            raise ArchiveUnavailable(f"a recording cannot be written: {error.strerror}") from error

    async def get(self, name: str) -> bytes | None:
        """As in ``FileStore``."""
        try:
            return await asyncio.to_thread(self._path(name).read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArchiveUnavailable(f"a recording cannot be read: {error.strerror}") from error

    async def forget(self, lesson_id: str) -> None:
        """As in ``FileStore``."""
        try:
            await asyncio.to_thread(_remove, self._path(f"{lesson_id}/x").parent)
        except OSError as error:
            raise ArchiveUnavailable(f"a recording cannot be removed: {error.strerror}") from error

    def _path(self, name: str) -> Path:
        need_name(name)
        return self._folder / name

    def _put(self, path: Path, body: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free < self._keep_free_bytes + len(body):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_durably(path, body)


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
        sync_folder(folder.parent)
