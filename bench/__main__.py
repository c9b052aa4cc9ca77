"""``python -m bench``: run the benches and print the table."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from bench import machine
from bench.cost import processes, viewers
from bench.encoded import encoded
from bench.figures import Figure, table
from bench.flood import flooded
from bench.live import glass_to_glass, open_to_picture, press_to_picture
from bench.loss import loss
from bench.press_edge import press_edge
from bench.recording import recording
from bench.replay import replay
from bench.skew import picture_voice_skew
from bench.uplink import uplink
from tests.browser.chromium import chromium
from tests.running import FoundedSchool, running_school

TOGETHER = ("press", "open", "glass", "skew", "cpu", "viewers")  # in one school
BENCHES = (*TOGETHER, "edge", "encoded", "uplink", "loss", "recording", "replay", "flood")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"which to run (all): {', '.join(BENCHES)}")
    parser.add_argument("--runs", type=int, default=15, help="repetitions of press and open (15)")
    parser.add_argument("--seconds", type=float, default=20, help="length of each running measurement (20)")
    options = parser.parse_args()
    unknown = set(options.benches) - set(BENCHES)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    print(machine.describe(), flush=True)
    asyncio.run(_run(options.benches or list(BENCHES), options.runs, options.seconds))


async def _run(wanted: list[str], runs: int, seconds: float) -> None:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="parta-bench-") as folder:
        founded = FoundedSchool.found(Path(folder))
        if set(wanted) & set(TOGETHER):
            figures += await _at_school(Path(folder) / "run", founded, wanted, runs, seconds)
        if "edge" in wanted:
            async with chromium() as browser:
                figures += await press_edge(Path(folder) / "edge", founded, browser, runs)
        if "encoded" in wanted:
            figures += await encoded(Path(folder) / "encoded", founded, seconds)
        if "uplink" in wanted:
            figures += await uplink(Path(folder) / "uplink", founded)
        if "loss" in wanted:
            figures += await loss(Path(folder) / "loss", founded, seconds)
        if "recording" in wanted:
            figures += await recording(Path(folder) / "recording", founded, seconds)
        if "replay" in wanted:
            async with chromium() as browser:
                figures += await replay(Path(folder) / "replay", founded, browser)
        if "flood" in wanted:
            figures += await flooded(Path(folder) / "flood", founded, seconds)
    print(table(figures))


async def _at_school(
    folder: Path, founded: FoundedSchool, wanted: list[str], runs: int, seconds: float
) -> list[Figure]:
    figures: list[Figure] = []
    async with running_school(folder, founded) as school, chromium() as browser:
        if "press" in wanted:
            figures.append(await press_to_picture(school, browser, runs))
        await school.kit.press("start")
        await school.kit.until_state("live")
        if "open" in wanted:
            figures.append(await open_to_picture(school, browser, runs))
        if "glass" in wanted:
            figures.append(await glass_to_glass(school, browser, seconds))
        if "skew" in wanted:
            figures += await picture_voice_skew(school, browser, seconds)
        if "cpu" in wanted:
            figures += await processes(school, seconds)
        if "viewers" in wanted:
            figures += await viewers(school, seconds)
    return figures


if __name__ == "__main__":
    main()
