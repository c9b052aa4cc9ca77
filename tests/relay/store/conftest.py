"""A real SQLite file, brought up to date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay.store.database import Database, opened_database
from relay.store.office import Office
from relay.store.register import ensure_relay_id


@dataclass
class CountingTroubles:
    """Counts failures, as the metrics do."""

    failed: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def store_failed(self, what: str) -> None:
        self.failed.append(what)
        self._news.set()

    async def until(self, what: str, timeout_s: float = 10.0) -> None:
        """Wait for a failure of this kind."""
        async with asyncio.timeout(timeout_s):
            while what not in self.failed:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened_database("", tmp_path) as opened:
        await ensure_relay_id(opened)
        yield opened


@pytest.fixture
async def office(database: Database) -> Office:
    """The office of a school with a class."""
    made = Office(database)
    await made.add_school("Школа № 7")
    await made.add_class("7Б", None)
    return made


@pytest.fixture
async def troubles() -> CountingTroubles:
    return CountingTroubles()
