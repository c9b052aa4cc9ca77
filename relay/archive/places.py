"""Where recordings are kept, as ``relay.toml`` says. Used by ``relay/app.py`` and by the commands."""

from __future__ import annotations

from pathlib import Path

from relay.archive.files import FileStore
from relay.archive.local import LocalFiles
from relay.settings import RelaySettings


def files_of(settings: RelaySettings) -> FileStore:
    """The place for recordings; nothing is opened or made yet."""
    keep_free_bytes = settings.archive.keep_free_mb * 1024 * 1024
    return LocalFiles(Path(settings.relay.state_dir) / "recordings", keep_free_bytes)
