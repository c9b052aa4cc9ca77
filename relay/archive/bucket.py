"""An S3-compatible bucket as the place for recordings: ``<prefix>/<lesson>/<file>``. The one module that knows obstore.

A file is one PUT: it is there whole or not at all. Requests are tried again for a while by obstore itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from relay.archive.files import need_name
from relay.errors import ArchiveUnavailable

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

CONNECT_S, REQUEST_S = 5, 20  # 8 MiB to a store that is slow, and still sooner than the kit gives up
RETRIES, RETRY_S = 3, 15
_NO_BUCKET = "NoSuchBucket"  # obstore tells it as it tells a file that is not there
LISTED = 1000  # names asked for at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where the bucket is. ``url`` is ``s3://bucket`` or ``s3://bucket/prefix``; ``endpoint`` empty: Amazon's own."""

    url: str
    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str


class BucketFiles:
    """See the module."""

    def __init__(self, bucket: Bucket) -> None:
        """Asks the bucket nothing yet. Raises ``ArchiveUnavailable`` when obstore is missing, or the URL wrong."""
        self._store = _opened(bucket)

    async def put(self, name: str, body: bytes) -> None:
        """As in ``FileStore``."""
        import obstore

        need_name(name)
        async with _failures_named("written"):
            await obstore.put_async(self._store, name, body, use_multipart=False)

    async def get(self, name: str) -> bytes | None:
        """As in ``FileStore``."""
        import obstore

        need_name(name)
        async with _failures_named("read"):
            try:
                found = await obstore.get_async(self._store, name)
            except FileNotFoundError as error:
                if _NO_BUCKET in str(error):
                    raise
                return None
            return bytes(await found.bytes_async())

    async def forget(self, lesson_id: str) -> None:
        """As in ``FileStore``."""
        import obstore

        need_name(f"{lesson_id}/x")
        async with _failures_named("removed"):
            async for page in obstore.list(self._store, f"{lesson_id}/", chunk_size=LISTED):
                await obstore.delete_async(self._store, [item["path"] for item in page])


@asynccontextmanager
async def _failures_named(what: str) -> AsyncIterator[None]:
    """Turn obstore's errors into ``ArchiveUnavailable``."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        raise ArchiveUnavailable(f"a recording cannot be {what}: {_one_line(error)}") from error


def _opened(bucket: Bucket) -> S3Store:
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ImportError as error:
        raise ArchiveUnavailable("archive.store: obstore is missing; install parta[s3]") from error
    config: S3Config = {
        "region": bucket.region,
        "access_key_id": bucket.access_key_id,
        "secret_access_key": bucket.secret_access_key,
    }
    if bucket.endpoint:
        config["endpoint"] = bucket.endpoint
    try:
        return S3Store.from_url(
            bucket.url,
            config=config,
            client_options={
                "allow_http": bucket.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "timeout": timedelta(seconds=REQUEST_S),
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)},
        )
    except (BaseError, ValueError) as error:
        raise ArchiveUnavailable(f"archive.store: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
