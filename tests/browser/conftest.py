"""Fixtures of the browser tests: a running school, and a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.chromium import chromium
from tests.running import FoundedSchool, RunningSchool, running_school


@pytest.fixture
async def school(tmp_path: Path, founded_school: FoundedSchool) -> AsyncIterator[RunningSchool]:
    """A relay and an enrolled kit with a simulated classroom, as real programs."""
    async with running_school(tmp_path, founded_school) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with chromium() as running:
        yield running
