"""Pupils who rewind: ``python -m tests.recording.rewinding_crowd PLAYLIST COUNT``.

A process of its own, so that what it takes is not taken from whoever watches live beside it. Each pupil does what a
player does that is dragged back to the beginning, without its pauses: it reads all there is, again and again, until
standard input ends. It prints ``reading`` when each has read all once, and at the end how many bytes they had.
"""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import urljoin

import aiohttp


async def _read_all(http: aiohttp.ClientSession, main: str) -> int:
    """Every file of the playlist as it is now. Their size."""
    async with http.get(main) as response:
        response.raise_for_status()
        lines = (await response.text()).splitlines()
    init = next(line.split('"')[1] for line in lines if line.startswith("#EXT-X-MAP"))
    size = 0
    for name in [init, *(line for line in lines if not line.startswith("#"))]:
        async with http.get(urljoin(main, name)) as response:
            response.raise_for_status()
            size += len(await response.read())
    return size


async def main(playlist: str, count: int) -> None:
    """Read until standard input ends."""
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    main_url, total = urljoin(playlist, "main.m3u8"), 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        while not ended.done():
            sizes = await asyncio.gather(*(_read_all(http, main_url) for _ in range(count)))
            if total == 0:
                print("reading", flush=True)
            total += sum(sizes)
    print(total, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
