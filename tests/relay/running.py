"""``parta-relay`` as people run it: the real program in a child process, with a configuration file of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
