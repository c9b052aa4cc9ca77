"""What the lesson costs: CPU of each process, and of the relay per viewer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

from bench.fanout.load import Load, load
from bench.figures import Figure
from tests.running import RunningSchool, cpu_seconds

VIEWERS = 50
SLICES = 5  # samples per measurement, so that noise shows as spread


async def processes(school: RunningSchool, length_s: float) -> list[Figure]:
    """CPU and memory of kit and relay in a lesson that nobody watches."""
    kit, relay = school.kit.program.pid, school.relay.program.pid
    used = await cpu_shares([kit, relay], length_s)
    return [
        Figure("kit: CPU (draws, encodes, publishes)", "% of a core", tuple(used[kit])),
        Figure("relay: CPU, no viewer", "% of a core", tuple(used[relay])),
        Figure("kit: memory", "MB", (psutil.Process(kit).memory_info().rss / 1e6,)),
        Figure("relay: memory", "MB", (psutil.Process(relay).memory_info().rss / 1e6,)),
    ]


async def viewers(school: RunningSchool, length_s: float) -> list[Figure]:
    """The relay's CPU per viewer, with viewers that are alive but undemanding; what they were sent is checked."""
    relay = school.relay.program.pid
    idle = Figure("", "", tuple((await cpu_shares([relay], length_s))[relay])).median
    memory = psutil.Process(relay).memory_info().rss
    async with crowd(school, VIEWERS) as seen:
        await seen.ask("begin")
        used = (await cpu_shares([relay], length_s))[relay]
        grown = psutil.Process(relay).memory_info().rss - memory
        delivered = await seen.ask("count")
    return [
        Figure(f"relay: CPU per viewer ({VIEWERS} viewers)", "% of a core", tuple((u - idle) / VIEWERS for u in used)),
        Figure("relay: memory per viewer", "kB", (grown / VIEWERS / 1000,)),
        Figure("viewers: packets not delivered", "%", (100 * delivered["gaps"] / delivered["packets"],)),
        Figure("viewers: packets delivered", "", (delivered["packets"],)),
    ]


async def cpu_shares(pids: list[int], length_s: float) -> dict[int, list[float]]:
    """CPU of each process in ``SLICES`` consecutive slices, in percent of a core."""
    loop = asyncio.get_running_loop()
    shares: dict[int, list[float]] = {pid: [] for pid in pids}
    for _ in range(SLICES):
        before, begun_s = {pid: cpu_seconds(pid) for pid in pids}, loop.time()
        await asyncio.sleep(length_s / SLICES)
        passed_s = loop.time() - begun_s
        for pid in pids:
            shares[pid].append(100 * (cpu_seconds(pid) - before[pid]) / passed_s)
    return shares


@asynccontextmanager
async def crowd(school: RunningSchool, count: int) -> AsyncIterator[Load]:
    """So many undemanding viewers of the lesson, from when all of them receive."""
    async with load("parta", "127.0.0.1", school.class_url.replace("/c/", "/whep/")) as viewers:
        await viewers.ask(f"open {count}")
        yield viewers
