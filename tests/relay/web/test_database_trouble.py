"""The database is locked by somebody while lessons run: live goes on, and whoever needs the database is told."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.store import database as database_module
from relay.store import lesson_log
from tests.relay.web.recording_engine import OFFER
from tests.relay.web.served import LESSON, WAIT_S, Served, lesson_status, public_key, say, served, welcomed

SDP = {"Content-Type": "application/sdp"}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process's transaction that does not end."""
    raw = sqlite3.connect(path, isolation_level=None)
    try:
        raw.execute("BEGIN EXCLUSIVE")
        yield
        raw.execute("ROLLBACK")
    finally:
        raw.close()


@pytest.fixture
async def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A relay that waits for a lock only for a moment."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(lesson_log, "RETRY_S", (0.01, 0.05))
    async with served(tmp_path) as running:
        yield running


async def test_a_lesson_begins_reaches_pupils_and_is_written_down_later(impatient: Served, tmp_path: Path) -> None:
    relay = impatient
    kit = await relay.kit()
    with locked(tmp_path / "relay.sqlite3"):
        async with welcomed(relay, kit) as socket:
            await say(socket, lesson_status())
            headers = kit.bearer("POST", "/whip") | SDP
            async with relay.http.post(f"{relay.url}/whip", data=OFFER, headers=headers) as published:
                assert published.status == 201
        async with relay.http.post(f"{relay.url}/whep/{relay.link}", data=OFFER, headers=SDP) as watched:
            assert watched.status == 201
        async with relay.http.get(f"{relay.url}/c/{relay.link}/events") as page:
            await page.content.readline()
            assert b'"state": "live"' in await page.content.readline()
        async with asyncio.timeout(WAIT_S):
            while 'parta_store_failures_total{what="write"} 0.0' in await relay.text("/metrics"):
                pass
        assert relay.log.waiting == 1
    await asyncio.wait_for(relay.log.flushed(), WAIT_S)
    assert [lesson.lesson_id for lesson in await relay.office.lessons(limit=5)] == [LESSON]


async def test_who_enrols_meanwhile_is_asked_to_come_again(impatient: Served, tmp_path: Path) -> None:
    relay = impatient
    body = {"code": await relay.code(), "public_key": public_key(Ed25519PrivateKey.generate())}
    with locked(tmp_path / "relay.sqlite3"):
        async with relay.http.post(f"{relay.url}/api/enrol", json=body) as response:
            assert response.status == 503
            assert "Retry-After" in response.headers
            assert await response.json() == {
                "error": "store_unavailable",
                "reason": "the database cannot be written: database is locked",
            }
    async with relay.http.post(f"{relay.url}/api/enrol", json=body) as response:
        assert response.status == 201, "the code was not used up by the failure"
