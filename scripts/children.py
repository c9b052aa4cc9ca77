"""A child program of ours: started, watched, and stopped within a bound. Who uses it: ``scripts/demo.py``.

Not here: which programs, and what they are told.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
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

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.returncode is None

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


async def stop_all(children: Sequence[Child], head_start_s: float, within_s: float) -> list[Child]:
    """Ask the children to stop, in order, each with a head start on the next; kill and return those that are late."""
    deadline = asyncio.get_running_loop().time() + within_s
    asked: list[asyncio.Task[int]] = []
    for child in children:
        if child.running():
            assert child.process is not None
            child.process.send_signal(signal.SIGTERM)
            asked.append(asyncio.create_task(child.ended(), name=f"end of {child.name}"))
            await asyncio.wait(asked[-1:], timeout=head_start_s)
    if asked:
        await asyncio.wait(asked, timeout=deadline - asyncio.get_running_loop().time())
    late = [child for child in children if child.running()]
    for child in late:
        assert child.process is not None
        child.process.kill()
    await asyncio.gather(*asked)
    return late


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
