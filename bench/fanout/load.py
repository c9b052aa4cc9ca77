"""The load as whoever measures sees it: a process of undemanding viewers (``viewers.py``) that does what it is told.

A process of its own, so that the viewers' cost is not the server's. Used by the duel, and by all that needs a crowd
(``bench/cost.py``, ``bench/soak.py``).
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ANSWER_S = 180.0  # two hundred handshakes on half a core


class Load:
    """The viewers' process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def ask(self, words: str) -> dict[str, int]:
        """Have it do something; what it counts now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{words}\n".encode())
        line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_S)
        assert line, "the viewers' process ended; its last words are above"
        counted: dict[str, int] = json.loads(line)
        return counted


@asynccontextmanager
async def load(server: str, host: str, url: str) -> AsyncIterator[Load]:
    """Viewers for a server of this kind (``parta``, ``janus``) at ``url``, from this machine's address ``host``; none
    yet."""
    arguments = ("-m", "bench.fanout.viewers", server, host, url)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=PIPE, stdout=PIPE)
    try:
        yield Load(process)
    finally:
        if process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), ANSWER_S)
            except TimeoutError:
                process.kill()
                await process.wait()
