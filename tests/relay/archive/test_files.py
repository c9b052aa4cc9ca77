"""What every place for recordings has to do, on each that there is; one whose server is not here is skipped by name."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay.archive.bucket import Bucket, BucketFiles
from relay.archive.files import FileStore, init_name, segment_name
from relay.archive.local import LocalFiles
from relay.errors import ArchiveUnavailable
from tests.relay.archive.footage import FPS, footage, read_footage
from tests.relay.archive.s3_server import BUCKET, S3Server, s3_program, s3_server
from wire.recording import MAX_SEGMENT_BYTES

LESSON, OTHER = "1e" * 16, "2f" * 16
needs_s3 = pytest.mark.skipif(s3_program() is None, reason="no S3 server is here; `make test-bucket` installs one")


@pytest.fixture
async def s3(tmp_path: Path) -> AsyncIterator[S3Server]:
    async with s3_server(tmp_path) as server:
        yield server


def _bucket(server: S3Server) -> Bucket:
    return Bucket(
        url=f"s3://{BUCKET}/parta",
        endpoint=server.endpoint,
        region="us-east-1",
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
    )


@pytest.fixture(params=["folder", pytest.param("bucket", marks=needs_s3)])
async def files(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FileStore]:
    if request.param == "folder":
        yield LocalFiles(tmp_path / "recordings")
    else:
        async with s3_server(tmp_path) as server:
            yield BucketFiles(_bucket(server))


async def test_what_was_put_is_there_and_may_be_replaced(files: FileStore) -> None:
    assert await files.get(segment_name(LESSON, 0)) is None
    for body in (b"one", b"another", bytes(range(256)) * (MAX_SEGMENT_BYTES // 256)):
        await files.put(segment_name(LESSON, 0), body)
        assert await files.get(segment_name(LESSON, 0)) == body


async def test_many_at_once_are_all_there(files: FileStore) -> None:
    bodies = {segment_name(LESSON, number): hashlib.sha256(b"%d" % number).digest() * 999 for number in range(40)}
    await asyncio.gather(*(files.put(name, body) for name, body in bodies.items()))
    assert await asyncio.gather(*(files.get(name) for name in bodies)) == list(bodies.values())


async def test_a_lesson_is_forgotten_whole_and_no_other(files: FileStore) -> None:
    names = [init_name(LESSON, 0), *(segment_name(LESSON, number) for number in range(25))]
    for name in (*names, segment_name(OTHER, 0)):
        await files.put(name, b"x")
    await files.forget(LESSON)
    assert {await files.get(name) for name in names} == {None}
    assert await files.get(segment_name(OTHER, 0)) == b"x"
    await files.forget(LESSON)


@pytest.mark.parametrize("name", ["x", "../x", f"{LESSON}/../x", f"{LESSON}/.x", f"{LESSON}/", "A" * 32 + "/x", ""])
async def test_a_name_that_is_none_leads_nowhere(tmp_path: Path, name: str) -> None:
    nowhere = Bucket(
        url="s3://lessons", endpoint="http://127.0.0.1:9", region="", access_key_id="", secret_access_key=""
    )
    for files in (LocalFiles(tmp_path), BucketFiles(nowhere)):
        for ask in (files.put(name, b"x"), files.get(name)):
            with pytest.raises(ValueError, match="not a recording's file"):
                await ask


async def test_footage_plays_from_where_it_was_put(files: FileStore) -> None:
    lesson = footage(2)
    await files.put(init_name(LESSON, 0), lesson.inits[0])
    for number, piece in enumerate(lesson.pieces):
        await files.put(segment_name(LESSON, number), piece.body)
    names = [init_name(LESSON, 0), segment_name(LESSON, 0), segment_name(LESSON, 1)]
    parts = [await files.get(name) for name in names]
    assert read_footage(*(part for part in parts if part is not None)).numbers == list(range(2 * 2 * FPS))


@needs_s3
async def test_a_bucket_that_refuses_or_is_gone_is_unavailable_in_one_line(s3: S3Server) -> None:
    right = _bucket(s3)
    wrong_key = replace(right, secret_access_key="another")
    no_bucket = replace(right, url="s3://nosuchbucket")
    for bucket in (wrong_key, no_bucket):
        files = BucketFiles(bucket)
        for ask in (files.put(segment_name(LESSON, 0), b"x"), files.get(segment_name(LESSON, 0)), files.forget(LESSON)):
            with pytest.raises(ArchiveUnavailable) as caught:
                await ask
            assert str(caught.value).startswith("a recording cannot be ")
            assert "\n" not in str(caught.value)
            assert "another" not in str(caught.value)
    assert not list(s3.folder.rglob("*.m4s"))


async def test_a_bucket_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.archive.bucket.RETRIES", 0)
    gone = Bucket(
        url="s3://lessons", endpoint="http://127.0.0.1:9", region="", access_key_id="a", secret_access_key="b"
    )
    files = BucketFiles(gone)
    for ask in (files.put(segment_name(LESSON, 0), b"x"), files.get(segment_name(LESSON, 0)), files.forget(LESSON)):
        with pytest.raises(ArchiveUnavailable):
            await ask
