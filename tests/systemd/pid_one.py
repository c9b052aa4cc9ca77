"""Plays the service manager and its journal for one program: real sockets, of the test's own.

The program is the real one, with the real systemd-python. ``NOTIFY_SOCKET`` is ours by name; the journal's address is
fixed (/run/systemd/journal/socket), so the program gets a mount namespace in which our folder lies there.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.running import Program

WITHIN_S = 30.0  # a cold interpreter on a busy two-core machine
_UNSHARE = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
_OVER_THE_JOURNAL = (
    'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal && exec "$@"'
)

Entry = dict[str, str]


def can_play() -> bool:
    """Whether this machine gives a process a mount namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_UNSHARE, "mount", "-t", "tmpfs", "none", "/run"], capture_output=True).returncode == 0


class PidOne:
    """What a program has told: ``said`` in order, and the ``journal``'s entries."""

    def __init__(self, program: Program, folder: Path, watchdog_s: float) -> None:
        self.program = program
        self.watchdog_s = watchdog_s
        self.said: list[str] = []
        self.journal: list[Entry] = []
        self._heard = asyncio.Condition()
        self._name = f"parta-test-{secrets.token_hex(8)}"
        self._folder = folder

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[PidOne]:
        """Listen, and have the program told where."""
        program = self.program
        program.log.touch()
        log = program.log.stat()
        program.under = (*_UNSHARE, "sh", "-ec", _OVER_THE_JOURNAL, str(self._folder))
        program.environment = {
            "NOTIFY_SOCKET": f"@{self._name}",
            "WATCHDOG_USEC": str(round(self.watchdog_s * 1e6)),
            "JOURNAL_STREAM": f"{log.st_dev}:{log.st_ino}",
            "PYTHONFAULTHANDLER": "1",  # as the units have it
        }
        with _socket(f"\0{self._name}") as told, _socket(str(self._folder / "socket")) as written:
            tasks = [
                asyncio.create_task(self._hear(told, self._was_told), name="notify socket"),
                asyncio.create_task(self._hear(written, self._was_written), name="journal socket"),
            ]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Until it holds of what was told and written. Fails with both when that takes too long."""
        try:
            async with asyncio.timeout(WITHIN_S), self._heard:
                await self._heard.wait_for(holds)
        except TimeoutError:
            journal = "\n".join(entry.get("MESSAGE", "") for entry in self.journal[-20:])
            raise AssertionError(f"it never came; told: {self.said[-20:]}\n{journal}\n{self.program.tail()}") from None

    async def hear(self, said: str, after: int = 0) -> int:
        """Until this is said, for the first time ``after`` so many others; how many were said by then."""
        await self.until(lambda: said in self.said[after:])
        return self.said.index(said, after) + 1

    async def watchdog_runs_out(self) -> None:
        """Until the program gave no sign of life for as long as it may. Fails when it goes on giving them."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while await self._is_fed():
                    pass
        except TimeoutError:
            raise AssertionError(f"it lives on; told: {self.said[-5:]}\n{self.program.tail()}") from None

    async def _is_fed(self) -> bool:
        fed = self.said.count("WATCHDOG=1")
        async with self._heard:
            try:
                async with asyncio.timeout(self.watchdog_s):
                    return await self._heard.wait_for(lambda: self.said.count("WATCHDOG=1") > fed)
            except TimeoutError:
                return False

    async def abort(self) -> int:
        """What is done to a program whose watchdog has run out; its exit code."""
        process = self.program.process
        assert process is not None
        process.send_signal(signal.SIGABRT)
        process.send_signal(signal.SIGCONT)
        return await asyncio.wait_for(process.wait(), WITHIN_S)

    async def _hear(self, from_socket: socket.socket, take: Callable[[bytes], None]) -> None:
        while True:
            datagram = await asyncio.get_running_loop().sock_recv(from_socket, 1 << 20)
            async with self._heard:
                take(datagram)
                self._heard.notify_all()

    def _was_told(self, datagram: bytes) -> None:
        self.said += datagram.decode().splitlines()

    def _was_written(self, datagram: bytes) -> None:
        self.journal.append(entry_of(datagram))


def entry_of(datagram: bytes) -> Entry:
    """A journal entry in the journal's native protocol: FIELD=value lines, or FIELD, a length, and that many bytes."""
    entry: Entry = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, is_text, value = line.partition(b"=")
        if not is_text:
            (length,) = struct.unpack_from("<Q", datagram)
            value, datagram = datagram[8 : 8 + length], datagram[8 + length + 1 :]
        entry[name.decode()] = value.decode()
    return entry


@asynccontextmanager
async def pid_one(program: Program, watchdog_s: float = 4.0) -> AsyncIterator[PidOne]:
    """A service manager for the program, which the caller starts."""
    with tempfile.TemporaryDirectory(prefix="parta-") as folder:  # a socket's path is short
        async with PidOne(program, Path(folder), watchdog_s).listening() as listening:
            yield listening


def _socket(address: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind(address)
    return made
