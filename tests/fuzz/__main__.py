"""``python -m tests.fuzz TARGET [--seconds N]``: look for bytes that break the relay, guided by what they reach.

Needs atheris (``make fuzz`` installs it; it has wheels for Linux on x86-64). Starts from the kept corpus and writes
what it finds into ``--found``; a crash is written there, too, and named. What is worth keeping is copied by hand,
small.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

CORPUS = Path(__file__).with_name("corpus")
LONGEST_BYTES = 16 * 1024
SLOWEST_S = 10  # for one input: longer is a find
MOST_MB = 1024  # of memory: more is a find, such as a leak


def main() -> None:
    """Read the command line and fuzz."""
    with atheris.instrument_imports(include=["relay", "aioice"]):
        from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=600, help="how long (600)")
    parser.add_argument("--found", type=Path, default=Path(".cache/fuzz"), help="where finds go (.cache/fuzz)")
    options = parser.parse_args()
    found = options.found / options.target
    found.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        str(found),
        str(CORPUS / options.target),
        f"-max_total_time={options.seconds}",
        f"-max_len={LONGEST_BYTES}",
        f"-timeout={SLOWEST_S}",
        f"-rss_limit_mb={MOST_MB}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
