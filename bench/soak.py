"""``make soak``: one long lesson, in which nothing may grow: memory, file descriptors, threads, skew, latency.

Kit and relay run as programs; silent viewers come and go in crowds the whole time. A browser measures picture–voice
skew and glass-to-glass latency at the beginning and at the end. What is judged is the growth over the lesson's second
half, when caches are full: the median slope between all pairs of samples (Theil 1950, Sen 1968), which a spike leaves
alone, times that half's length. Used by nobody; prints a table, and exits with 1 when something grew.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import psutil
from playwright.async_api import Browser

from bench import machine
from bench.cost import crowd
from bench.figures import Figure, table
from bench.live import glass_to_glass
from bench.replayed import replayed
from bench.skew import picture_voice_skew
from tests.browser.chromium import chromium
from tests.running import FoundedSchool, RunningSchool, running_school

SAMPLE_EVERY_S = 5.0
TELL_EVERY_S = 60.0
CROWD = 10  # viewers
CROWD_STAYS_S = 45.0  # some forty crowds in half an hour: a leak per session would show as hundreds of kB
LOOK_S = 20.0  # how long skew and latency are measured, each time
MEMORY_GROWTH = 0.02  # of its level, over the second half: allocators breathe that much
HANDLES_GROWTH = 0.5  # file descriptors and threads are whole numbers: none, that is
LATENCY_GROWTH_MS = 20.0  # of the median: half a frame and the noise of a busy machine
SKEW_MS = 40.0  # DESIGN.md

Sample = tuple[float, float]  # seconds since the start, value


@dataclass
class Watched:
    """One program's samples."""

    name: str
    process: psutil.Process
    memory_mb: list[Sample] = field(default_factory=list)
    descriptors: list[Sample] = field(default_factory=list)
    threads: list[Sample] = field(default_factory=list)

    def sample(self, at_s: float) -> None:
        """Look once."""
        self.memory_mb.append((at_s, self.process.memory_info().rss / 1e6))
        self.descriptors.append((at_s, float(self.process.num_fds())))
        self.threads.append((at_s, float(self.process.num_threads())))

    def figures(self) -> list[Figure]:
        """How each has grown, beside how much it may."""
        level_mb = statistics.median(value for _, value in self.memory_mb)
        return [
            Figure(f"{self.name}: memory", "MB", tuple(value for _, value in self.memory_mb)),
            _growth(f"{self.name}: memory, growth", "MB", self.memory_mb, level_mb * MEMORY_GROWTH),
            _growth(f"{self.name}: file descriptors, growth", "", self.descriptors, HANDLES_GROWTH),
            _growth(f"{self.name}: threads, growth", "", self.threads, HANDLES_GROWTH),
        ]


def growth(samples: Sequence[Sample]) -> float:
    """How much the value rose over the second half of the samples; negative where it fell. Needs four samples."""
    later = samples[len(samples) // 2 :]
    slopes = [(second - first) / (until_s - from_s) for (from_s, first), (until_s, second) in combinations(later, 2)]
    return statistics.median(slopes) * (later[-1][0] - later[0][0])


def _growth(name: str, unit: str, samples: Sequence[Sample], at_most: float) -> Figure:
    return Figure(name, unit, (growth(samples),), median_at_most=at_most)


async def soak(folder: Path, founded: FoundedSchool, minutes: float) -> list[Figure]:
    """Run the lesson and judge it."""
    async with running_school(folder, founded) as school, chromium() as browser:
        await school.kit.press("start")
        await school.kit.until_state("live")
        first = await _look(school, browser)
        watched = [
            Watched("kit", psutil.Process(school.kit.program.pid)),
            Watched("relay", psutil.Process(school.relay.program.pid)),
        ]
        crowds = asyncio.create_task(_crowds(school), name="crowds")
        try:
            await _watch(watched, crowds, minutes * 60)
        finally:
            crowds.cancel()
            await asyncio.wait([crowds])
        last = await _look(school, browser)
        status = await school.kit.status()
        judged = await replayed(school)
    figures = [figure for program in watched for figure in program.figures()]
    figures.append(Figure("kit: times the link was lost", "", (status["link"]["reconnects"],), median_at_most=0))
    return figures + _compared(first, last) + judged


async def _watch(watched: list[Watched], crowds: asyncio.Task[None], length_s: float) -> None:
    loop = asyncio.get_running_loop()
    began_s, told_s = loop.time(), 0.0
    while (at_s := loop.time() - began_s) < length_s:
        for program in watched:
            program.sample(at_s)
        if at_s - told_s >= TELL_EVERY_S:
            told_s = at_s
            levels = ", ".join(f"{program.name} {program.memory_mb[-1][1]:.1f} MB" for program in watched)
            print(f"{at_s / 60:4.0f} of {length_s / 60:.0f} min: {levels}", flush=True)
        done, _ = await asyncio.wait([crowds], timeout=SAMPLE_EVERY_S)
        for task in done:
            task.result()  # a crowd that could not watch is the end of the soak, with its reason


async def _crowds(school: RunningSchool) -> None:
    """Viewers who come and go, one crowd after another."""
    while True:
        async with crowd(school, CROWD):
            await asyncio.sleep(CROWD_STAYS_S)


async def _look(school: RunningSchool, browser: Browser) -> dict[str, Figure]:
    found = [await glass_to_glass(school, browser, LOOK_S), *await picture_voice_skew(school, browser, LOOK_S)]
    return {figure.name: figure for figure in found}


def _compared(first: dict[str, Figure], last: dict[str, Figure]) -> list[Figure]:
    """What a browser saw at the start and at the end."""
    figures = []
    for name, before in first.items():
        after = last[name]
        skew = "skew" in name
        most = SKEW_MS if skew else before.median + LATENCY_GROWTH_MS
        figures.append(Figure(f"{name}, at the start", before.unit, before.samples))
        figures.append(Figure(f"{name}, at the end", after.unit, after.samples, median_at_most=most))
    return figures


def main() -> int:
    """Read the command line, run, print the table. 1 when something grew."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="length of the lesson (30)")
    options = parser.parse_args()
    print(machine.describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="parta-soak-") as folder:
        founded = FoundedSchool.found(Path(folder))
        figures = asyncio.run(soak(Path(folder) / "run", founded, options.minutes))
    print(table(figures))
    return 1 if any(figure.verdict == "missed" for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
