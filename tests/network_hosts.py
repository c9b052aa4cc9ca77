"""Several hosts with multicast, on this machine: network namespaces with veth pairs on one bridge.

Made and removed by the test that uses them; ``missing()`` says why they are not to be had here. A program on a host
runs in its namespace (``ip netns exec``), so its sockets, addresses and multicast are that host's own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

COMMAND_S = 20.0
END_S = 20.0


@cache
def missing() -> str:
    """Why hosts cannot be made here; empty when they can."""
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    if shutil.which("ip") is None:
        return "needs iproute2 (apt-get install iproute2)"
    probe = f"parta-{os.getpid()}-probe"
    try:
        ip("netns", "add", probe)
        try:
            ip("-n", probe, "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b")
        finally:
            ip("netns", "del", probe)
    except subprocess.CalledProcessError as error:
        return f"this machine makes no network namespaces with veth pairs: {error.stderr.strip()}"
    return ""


@dataclass(frozen=True)
class Host:
    """A host on the bridge; ``name`` is its namespace."""

    name: str

    def address(self, verb: str, address: str) -> None:
        """``add`` or ``del`` an address, as DHCP would."""
        ip("-n", self.name, "address", verb, f"{address}/24", "dev", "eth0")

    def command(self, *arguments: str) -> list[str]:
        """``python -m ARGUMENTS`` on this host, as an argument list."""
        return ["ip", "netns", "exec", self.name, sys.executable, "-m", *arguments]

    async def run(self, *arguments: str) -> str:
        """Run a program to its end; what it printed."""
        output = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*self.command(*arguments), stdout=output, stderr=output)
        told, errors = await asyncio.wait_for(process.communicate(), END_S)
        assert process.returncode == 0, errors.decode()
        return told.decode()

    @asynccontextmanager
    async def running(self, *arguments: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
        """A program that runs as long as the context is open; stdout is a pipe, stderr goes to ``log``."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *self.command(*arguments), stdout=asyncio.subprocess.PIPE, stderr=errors
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


@contextmanager
def hosts(addresses: Sequence[str]) -> Iterator[list[Host]]:
    """One host for each address, all on one network, and nothing else on it."""
    made: list[str] = []

    def namespace(name: str) -> str:
        full = f"parta-{os.getpid()}-{name}"
        ip("netns", "add", full)
        made.append(full)
        ip("-n", full, "link", "set", "lo", "up")
        return full

    try:
        switch = namespace("switch")
        # Multicast snooping learns from queries that nobody here sends; a plain switch floods.
        ip("-n", switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        ip("-n", switch, "link", "set", "br0", "up")
        found = []
        for number, address in enumerate(addresses):
            host = Host(namespace(f"host{number}"))
            port = f"port{number}"
            veth = ("type", "veth", "peer", "name", "eth0", "netns", host.name)
            ip("-n", switch, "link", "add", port, *veth)
            ip("-n", switch, "link", "set", port, "master", "br0", "up")
            ip("-n", host.name, "link", "set", "eth0", "up")
            host.address("add", address)
            found.append(host)
        yield found
    finally:
        for name in made:
            ip("netns", "del", name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=COMMAND_S)
