"""Files that a power cut leaves whole: there, or not at all. What the relay keeps beside its database. A leaf.

Blocks on the disk: call it in a thread. Used by ``archive/local.py`` and ``store/stills.py``. The kit has its own
(``appliance/durable.py``): the two programs share no code but ``wire/``, ``config/`` and ``service/``.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_BESIDE = "."  # how names begin that are not finished


def write_durably(path: Path, body: bytes) -> None:
    """Put ``body`` at ``path``, whose folder is there. On return it is on the disk. Raises ``OSError``."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_BESIDE, delete=False) as beside:
        try:
            beside.write(body)
            beside.flush()
            os.fsync(beside.fileno())
            Path(beside.name).rename(path)
        except BaseException:
            Path(beside.name).unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """On return, which names are in ``folder`` is on the disk. Raises ``OSError``."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
