"""Runs shell commands for the test, one after the other: a line of JSON in, a line of JSON out.

In: ``{"run": "…", "within_s": 5}``. Out: ``{"code": 0, "said": "…"}``; ``code`` is null when it took too long. Runs as
root in the emulated kit; the test's end is ``tests/emulation/machine_agent.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def answer(asked: dict[str, str | float]) -> dict[str, str | int | None]:
    """Run it; standard output and error together."""
    command = ["/bin/sh", "-c", str(asked["run"])]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=float(asked["within_s"]), check=False
        )
    except subprocess.TimeoutExpired as late:
        return {"code": None, "said": (late.stdout or b"").decode(errors="replace")}
    return {"code": done.returncode, "said": done.stdout.decode(errors="replace")}


def main(port: Path) -> None:
    """Serve until the machine goes down."""
    with port.open("r+b", buffering=0) as line:
        while asked := line.readline():
            line.write(json.dumps(answer(json.loads(asked))).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
