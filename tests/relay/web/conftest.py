"""A served relay, and a kit that is enrolled in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.relay.web.served import Served, TokenKit, served


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


@pytest.fixture
async def kit(relay: Served) -> TokenKit:
    return await relay.kit()
