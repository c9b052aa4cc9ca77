"""``python -m bench.fanout.duel``: the duel, in a namespace with the address that is given it (see the package).

Prints CPU per viewer-second of Parta and of Janus (both ways of running it), their ratios, memory, how the cost grows
with the number of viewers, and what was delivered to every one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import machine
from bench.fanout import janus as janus_server
from bench.fanout.load import Load, load
from bench.fanout.parta import parta
from bench.fanout.server import LOAD_CORE, Server
from bench.fanout.stream import Timed, kbps, lesson
from bench.figures import Figure, table
from relay.engines.embedded.timeline import RING
from tests.running import FoundedSchool, cpu_seconds

SETTLE_S = 2.0
VIEWERS = (10, 50, 100, 200)
#: With one event loop, and as it comes: a thread for each viewer, who beyond 100 fill this machine's one core.
JANUS: tuple[tuple[int | None, tuple[int, ...]], ...] = ((1, VIEWERS), (None, VIEWERS[:3]))
AT_MOST = (0.5, 0.3)  # of each of them
JOINS, JOINS_AT_ONCE = 1000, 50
#: The lesson's recent past, which a relay keeps, grows by some 3 MB until then: it is the lesson's, and no join's.
PAST_IS_FULL_S = 0.02 * RING["audio"] + 1


@dataclass(frozen=True)
class Measured:
    """One server with so many viewers. ``cpu_us`` of CPU per viewer and second: the median of each round's slices."""

    viewers: int
    cpu_us: tuple[float, ...]
    bytes_each: float
    packets: int
    gaps: int
    ended: int

    def and_(self, later: Measured) -> Measured:
        """With another round of the same."""
        return Measured(
            self.viewers,
            self.cpu_us + later.cpu_us,
            max(self.bytes_each, later.bytes_each),
            self.packets + later.packets,
            self.gaps + later.gaps,
            self.ended + later.ended,
        )


def viewers_of(server: Server, host: str) -> AbstractAsyncContextManager[Load]:
    """The load for this server, however it is run."""
    return load(server.name.split(",")[0], host, server.url)


async def measure(server: Server, host: str, counts: tuple[int, ...], slice_s: float, slices: int) -> list[Measured]:
    """The server with each number of viewers, growing."""
    found: list[Measured] = []
    async with server.fed(), viewers_of(server, host) as viewers:
        await asyncio.sleep(SETTLE_S)
        idle = await _cpu(server, slice_s, slices)
        empty_bytes, here = _memory(server), 0
        for count in counts:
            await viewers.ask(f"open {count - here}")
            here = count
            await asyncio.sleep(SETTLE_S)
            await viewers.ask("begin")
            used = await _cpu(server, slice_s, slices)
            counted = await viewers.ask("count")
            cpu_us = (_median(used) - _median(idle)) / count * 1e6
            each = (_memory(server) - empty_bytes) / count
            found.append(Measured(count, (cpu_us,), each, counted["packets"], counted["gaps"], counted["ended"]))
    return found


async def come_and_go(server: Server, host: str) -> list[float]:
    """Megabytes of the server after each tenth of ``JOINS`` viewers have come and gone."""
    sizes = []
    async with server.fed(), viewers_of(server, host) as viewers:
        await asyncio.sleep(PAST_IS_FULL_S)
        for number in range(JOINS // JOINS_AT_ONCE):
            await viewers.ask(f"open {JOINS_AT_ONCE}")
            await viewers.ask("leave")
            if (number + 1) % (JOINS // JOINS_AT_ONCE // 10) == 0:
                sizes.append(_memory(server) / 1e6)
    return sizes


async def _cpu(server: Server, slice_s: float, slices: int) -> list[float]:
    """CPU seconds per second, of each slice."""
    loop, shares = asyncio.get_running_loop(), []
    for _ in range(slices):
        before, begun_s = cpu_seconds(server.pid), loop.time()
        await asyncio.sleep(slice_s)
        shares.append((cpu_seconds(server.pid) - before) / (loop.time() - begun_s))
    return shares


def _memory(server: Server) -> float:
    return float(psutil.Process(server.pid).memory_info().rss)


def _median(samples: list[float] | tuple[float, ...]) -> float:
    return Figure("", "", tuple(samples)).median


def figures(name: str, found: list[Measured]) -> list[Figure]:
    """What one server's measurement comes to."""
    rows = [Figure(f"{name}: CPU per viewer-second, {each.viewers} viewers", "µs", each.cpu_us) for each in found]
    most = found[-1]
    rows.append(Figure(f"{name}: viewers a core, from {most.viewers}", "", (1e6 / _median(most.cpu_us),)))
    rows.append(Figure(f"{name}: memory per viewer, {most.viewers} viewers", "kB", (most.bytes_each / 1000,)))
    lost = sum(each.gaps for each in found)
    rows.append(Figure(f"{name}: packets lacking, of {sum(each.packets for each in found):,}", "", (lost,)))
    return rows


def ratios(ours: list[Measured], theirs: list[Measured], name: str, at_most: float) -> list[Figure]:
    """Parta's cost over the other's of the same round, at each number of viewers that both had."""
    by_count = {each.viewers: each for each in theirs}
    pairs = [(each, by_count[each.viewers]) for each in ours if each.viewers in by_count]
    return [
        Figure(
            f"Parta / {name}, {mine.viewers} viewers",
            "×",
            tuple(one / another for one, another in zip(mine.cpu_us, other.cpu_us, strict=True)),
            at_most if (mine, other) == pairs[-1] else None,
        )
        for mine, other in pairs
    ]


async def duel(folder: Path, host: str, slice_s: float, slices: int, rounds: int) -> list[Figure]:
    """All of it: the servers take turns, because what a core is worth here changes within minutes."""
    os.sched_setaffinity(0, {LOAD_CORE})  # the feeder's, and the viewers', which are its children
    packets = lesson(folder)
    founded = FoundedSchool.found(folder)
    found: dict[str, list[Measured]] = {}
    for number in range(rounds):
        for context, counts in _servers(folder / f"round-{number}", founded, host, packets):
            async with context as server:
                measured = await measure(server, host, counts, slice_s, slices)
            before = found.get(server.name)
            found[server.name] = measured if before is None else [*map(Measured.and_, before, measured)]
    async with parta(folder / "parta-joins", founded, host, packets) as server:
        sizes = await come_and_go(server, host)
    grown = 100 * (sizes[-1] / sizes[0] - 1)
    (_, ours), *others = found.items()
    rows = [
        Figure("the lesson's payloads", "kb/s", (kbps(packets),)),
        *figures("Parta", ours),
        Figure(f"Parta: memory grown from join {JOINS // 10} to {JOINS}", "%", (grown,), 2),
    ]
    for (name, theirs), at_most in zip(others, AT_MOST, strict=False):
        rows += [*figures(name, theirs), *ratios(ours, theirs, name, at_most)]
    if not others:
        print("janus is not installed: no duel", flush=True)
    return rows


def _servers(
    folder: Path, founded: FoundedSchool, host: str, packets: list[Timed]
) -> Iterator[tuple[AbstractAsyncContextManager[Server], tuple[int, ...]]]:
    """Each, and with how many viewers it is measured; Parta is the first."""
    yield parta(folder / "parta", founded, host, packets), VIEWERS
    if janus_server.installed():
        for loops, counts in JANUS:
            yield janus_server.janus(folder / f"janus-{loops}", host, packets, loops), counts


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.fanout.duel", description=__doc__)
    parser.add_argument("host", help="this machine's address that is not loopback")
    parser.add_argument("--slice", type=float, default=2.0, help="length of each slice of a measurement, in s (2)")
    parser.add_argument("--slices", type=int, default=3, help="slices of each measurement (3)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each server has its turn (3)")
    options = parser.parse_args()
    print(machine.describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="parta-fanout-") as folder:
        print(table(asyncio.run(duel(Path(folder), options.host, options.slice, options.slices, options.rounds))))


if __name__ == "__main__":
    main()
