"""A page's port is taken whole or not at all, whenever the kit stops."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from appliance.page_port import take_port

TURNS = 12  # of the loop; taking a port needs fewer


@pytest.mark.parametrize("turns", range(TURNS))
async def test_a_kit_that_stops_while_its_page_takes_the_port_lets_go_of_it(turns: int) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    taking = asyncio.ensure_future(take_port(runner, "127.0.0.1", port))
    for _ in range(turns):
        await asyncio.sleep(0)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await runner.cleanup()
    with socket.create_server(("127.0.0.1", port)) as had:
        assert had.getsockname()[1] == port


async def test_a_port_that_is_taken_is_told() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    try:
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
            await take_port(runner, "127.0.0.1", taken.getsockname()[1])
    finally:
        await runner.cleanup()
