"""Files that a power cut leaves whole: old or new, never half.

Used for everything that a kit keeps. Blocks on the disk: call it in a thread.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_durably(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Put ``content`` at ``path``, in folders made as needed. On return it is on the disk. Raises ``OSError``.

    Readable by its owner alone. Without ``replace``, what is there already, or comes there meanwhile, stays.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def link_durably(path: Path, target: str) -> None:
    """Make ``path`` a symbolic link to ``target``, whatever it was. On return it is on the disk. Raises ``OSError``."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.symlink_to(target)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Remove ``path``, which need not exist. On return it is gone from the disk. Raises ``OSError``."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk (fsync(2): a file's own fsync does not)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
