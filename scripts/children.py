"""A child program of ours: started, watched, and stopped within a bound. Who uses it: ``scripts/demo.py``.

Not here: which programs, and what they are told.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

POLL_S = 0.05  # a start takes about a second; nobody notices a twentieth of it


class ChildFailed(Exception):
    """A child that could not do its work; the text is one line for a person."""


@dataclass
class Child:
    """One of our programs, ``python -m ARGUMENTS``, printing to ``log``.

    It has a process group of its own, so that a terminal's Ctrl-C reaches only the parent, which then stops its
    children in order. Should the parent be killed, the kernel ends the child too.
    """

    name: str
    arguments: tuple[str, ...]
    log: Path
    process: asyncio.subprocess.Process | None = field(default=None, init=False)

    async def start(self) -> None:
        """Start it. ``log`` begins anew."""
        with self.log.open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                *_dying_with_parent(),
                sys.executable,
                "-m",
                *self.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def ended(self) -> int:
        """Wait until it has ended; its exit code."""
        assert self.process is not None
        return await self.process.wait()

    async def stop(self, within_s: float) -> bool:
        """Ask it to stop, and wait; ``False`` if it had to be killed."""
        if self.process is None or self.process.returncode is not None:
            return True
        self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), within_s)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return False
        return True

    def last_line(self) -> str:
        """What it said last: for a failed start, the one line that names the remedy."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"

    def failure(self, code: int) -> ChildFailed:
        """How to tell a person that it ended by itself with ``code``."""
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return ChildFailed(f"the {self.name} {how}: {self.last_line()}  (all of it: {self.log})")

    async def until(self, holds: Callable[[], Awaitable[bool]], within_s: float, what: str) -> None:
        """Poll until ``await holds()``. Raises ``ChildFailed`` when it ends first, or takes too long."""
        assert self.process is not None
        try:
            async with asyncio.timeout(within_s):
                while not await holds():
                    if self.process.returncode is not None:
                        raise self.failure(self.process.returncode)
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            late = (
                f"the {self.name} did not {what} within {within_s:.0f} s: {self.last_line()}  (all of it: {self.log})"
            )
            raise ChildFailed(late) from None


async def output_of(arguments: tuple[str, ...], within_s: float) -> str:
    """Run one of our commands to its end; what it printed. Raises ``ChildFailed`` with its own last words."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), within_s)
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        said = errors.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise ChildFailed(f"`{' '.join(arguments)}` failed: {said[-1]}")
    return output.decode()


def _dying_with_parent() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")  # in util-linux, which Debian always has
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()
