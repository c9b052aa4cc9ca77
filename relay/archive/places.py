"""Where recordings are kept, as ``relay.toml`` says. Used by ``relay/app.py`` and by the commands."""

from __future__ import annotations

from pathlib import Path

from relay.archive.bucket import Bucket, BucketFiles
from relay.archive.files import FileStore
from relay.archive.local import LocalFiles
from relay.errors import ArchiveUnavailable
from relay.settings import RelaySettings


def files_of(settings: RelaySettings) -> FileStore:
    """The place for recordings; nothing is opened or made yet. Raises ``ArchiveUnavailable``."""
    archive = settings.archive
    if archive.store:
        key_id, secret = _credentials(archive.credentials_file)
        bucket = Bucket(
            url=archive.store,
            endpoint=archive.endpoint,
            region=archive.region,
            access_key_id=key_id,
            secret_access_key=secret,
        )
        return BucketFiles(bucket)
    keep_free_bytes = settings.archive.keep_free_mb * 1024 * 1024
    return LocalFiles(Path(settings.relay.state_dir) / "recordings", keep_free_bytes)


def _credentials(file: str) -> tuple[str, str]:
    try:
        lines = Path(file).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ArchiveUnavailable(f"archive.credentials_file: {file} cannot be read: {error}") from error
    if len(lines) != 2:
        raise ArchiveUnavailable(
            f"archive.credentials_file: {file} needs two lines: the access key's id and its secret"
        )
    return lines[0], lines[1]
