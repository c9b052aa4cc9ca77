"""``parta-relay`` as people run it: the real program in a child process, with a configuration file of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from relay.settings import load_settings
from relay.store.database import opened_database
from relay.store.office import Office
from relay.store.register import ensure_relay_id

END_S = 20.0


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """What ``--json`` printed."""
        assert self.code == 0, self.errors
        return json.loads(self.output)


@dataclass(frozen=True)
class Configured:
    """A configuration file, and commands on it."""

    config: Path

    async def run(self, *arguments: str) -> Ended:
        """Run ``parta-relay ARGUMENTS --config FILE`` to its end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "relay",
            *arguments,
            "--config",
            str(self.config),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), END_S)
        assert process.returncode is not None
        return Ended(process.returncode, output.decode(), errors.decode())

    async def ask(self, *arguments: str) -> Any:
        """Run a command with ``--json``; what it answers."""
        return (await self.run(*arguments, "--json")).json

    @asynccontextmanager
    async def office(self) -> AsyncIterator[Office]:
        """What the commands work with, without an interpreter for each."""
        state_dir = Path(load_settings(self.config).relay.state_dir)
        async with opened_database("", state_dir) as database:
            await ensure_relay_id(database)
            yield Office(database)


def configured(folder: Path, *, web_port: int = 0, media_port: int = 0, more: str = "") -> Configured:
    """A configuration in ``folder``; free ports where none are given."""
    folder.mkdir(exist_ok=True)
    config = folder / "relay.toml"
    web_port = web_port or free_port(socket.SOCK_STREAM)
    media_port = media_port or free_port(socket.SOCK_DGRAM)
    config.write_text(
        f'[relay]\nstate_dir = "{folder / "state"}"\n'
        f'[web]\nport = {web_port}\npublic_url = "http://127.0.0.1:{web_port}"\n'
        f'[media]\nport = {media_port}\nadvertise = ["127.0.0.1"]\n{more}'
    )
    return Configured(config)


def free_port(kind: socket.SocketKind) -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Serving:
    """``parta-relay serve`` in a child process."""

    at: Configured
    http: aiohttp.ClientSession
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return load_settings(self.at.config).web.public_url

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with (self.at.config.parent / "relay.log").open("ab") as log:
            arguments = ("-m", "relay", "serve", "--config", str(self.at.config))
            self.process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=log, stderr=log)
        async with asyncio.timeout(END_S):
            while not await self._ready():
                assert self.process.returncode is None, self.log()
                await asyncio.sleep(0.05)

    async def end(self, how: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), END_S)

    def log(self) -> str:
        """What it logged."""
        return (self.at.config.parent / "relay.log").read_text()

    async def _ready(self) -> bool:
        try:
            async with self.http.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Serving]:
    """A relay that serves; whatever became of it, it is ended."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=END_S)) as http:
        relay = Serving(configured(folder), http)
        try:
            await relay.start()
            yield relay
        finally:
            await relay.end(signal.SIGKILL)
