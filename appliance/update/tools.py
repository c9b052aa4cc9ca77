"""The system's own programs that an update is made of (rauc, systemctl, curl), run and listened to. Blocks.

The only module of the update that starts programs. What is run is named in the modules beside it; what a person or a
server said is only ever one of its arguments, and no shell reads it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended. ``code`` is ``None`` when there is no such program, or it took too long."""

    code: int | None
    said: str
    complained: str


def run(words: Sequence[str], within_s: float) -> Done:
    """Run it to its end."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=within_s, check=False)  # noqa: S603
    except FileNotFoundError:
        return Done(None, "", f"there is no program {words[0]}")
    except subprocess.TimeoutExpired:
        return Done(None, "", f"{words[0]} has not answered within {within_s:.0f} s")
    return Done(done.returncode, done.stdout.strip(), done.stderr.strip())


def follow(words: Sequence[str], told: Callable[[str], None]) -> int:
    """Run it, and pass on each line that it says, whether it complains or not; its exit code."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        for line in process.stdout or ():
            told(line.strip())
    return process.returncode


def run_unless(words: Sequence[str], stop: Callable[[], bool], look_every_s: float) -> Done | None:
    """Run it to its end, or to the moment when ``stop`` wants it ended; then ``None``."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        while True:
            try:
                _, complaint = process.communicate(timeout=look_every_s)
            except subprocess.TimeoutExpired:
                if stop():
                    process.terminate()
                    process.communicate()
                    return None
            else:
                return Done(process.returncode, "", complaint.strip())
