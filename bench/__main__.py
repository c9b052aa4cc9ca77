"""``python -m bench``: run the benches, and print the table of each when it is done."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
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
    with tempfile.TemporaryDirectory(prefix="parta-bench-") as folder:
        founded = FoundedSchool.found(Path(folder))
        async for figures in _figures(Path(folder), founded, wanted, runs, seconds):
            print(table(figures), end="\n\n", flush=True)


async def _figures(
    folder: Path, founded: FoundedSchool, wanted: list[str], runs: int, seconds: float
) -> AsyncIterator[list[Figure]]:
    """Each bench's, as soon as they are there."""
    if set(wanted) & set(TOGETHER):
        async for figures in _at_school(folder / "run", founded, wanted, runs, seconds):
            yield figures
    if "edge" in wanted:
        async with chromium() as browser:
            yield await press_edge(folder / "edge", founded, browser, runs)
    if "encoded" in wanted:
        yield await encoded(folder / "encoded", founded, seconds)
    if "uplink" in wanted:
        yield await uplink(folder / "uplink", founded)
    if "loss" in wanted:
        yield await loss(folder / "loss", founded, seconds)
    if "recording" in wanted:
        yield await recording(folder / "recording", founded, seconds)
    if "replay" in wanted:
        async with chromium() as browser:
            yield await replay(folder / "replay", founded, browser)
    if "flood" in wanted:
        yield await flooded(folder / "flood", founded, seconds)


async def _at_school(
    folder: Path, founded: FoundedSchool, wanted: list[str], runs: int, seconds: float
) -> AsyncIterator[list[Figure]]:
    async with running_school(folder, founded) as school, chromium() as browser:
        if "press" in wanted:
            yield [await press_to_picture(school, browser, runs)]
        await school.kit.press("start")
        await school.kit.until_state("live")
        if "open" in wanted:
            yield [await open_to_picture(school, browser, runs)]
        if "glass" in wanted:
            yield [await glass_to_glass(school, browser, seconds)]
        if "skew" in wanted:
            yield await picture_voice_skew(school, browser, seconds)
        if "cpu" in wanted:
            yield await processes(school, seconds)
        if "viewers" in wanted:
            yield await viewers(school, seconds)


if __name__ == "__main__":
    main()
