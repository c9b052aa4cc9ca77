"""An engine on a free port of this machine's loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from relay.engines.embedded import EmbeddedEngine


@pytest.fixture
async def engine() -> AsyncIterator[EmbeddedEngine]:
    """Running; closed afterwards. Whatever raised inside the loop's callbacks meanwhile fails the test."""
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    made = EmbeddedEngine(port=0, advertise=("127.0.0.1",))
    await made.start()
    yield made
    await made.close()
    assert not raised
