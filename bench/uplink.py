"""The kit's way up through a narrow link: 4 Mb/s, then 700 kb/s, then 4 Mb/s again; and a wireless link that loses.

Real programs behind ``tests/lossy_link.py``; the viewer reaches the relay past the link, so what it lacks was lost on
the kit's way up. Settling down: from the step until the encoder's target is below what the link carries for good and
the voice is no longer late. Settling up: until the target is back at nine tenths of the most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Figure
from tests.lossy_link import Impairment, LossyLink, Narrow, share
from tests.relay.engines.raw_peer import AUDIO
from tests.running import FoundedSchool, RunningKit, running_school
from tests.whep_viewer import WhepViewer, longest_gap_s, whep_viewer

WIDE_BPS, NARROW_BPS = 4_000_000, 700_000
PATH_S = 0.02  # each way
BEFORE_S, NARROW_S, AFTER_S, LOSSY_S = 10.0, 15.0, 12.0, 20.0
LATE_S = 0.1  # what a browser's jitter buffer takes without a word
MOST_KBPS = 1700


@dataclass
class Watch:
    """What the kit says of its link, noted as it comes."""

    kit: RunningKit
    noted: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    async def run(self) -> None:
        """Note, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.noted.append((loop.time(), (await self.kit.status())["link"]))
            await asyncio.sleep(0.1)

    def first_s(self, since_s: float, holds: Callable[[float], bool]) -> float:
        """How long after ``since_s`` the target first held."""
        held = (at_s for at_s, link in self.noted if at_s >= since_s and holds(link["target_kbps"] or 0))
        return next(held, float("inf")) - since_s

    def lowest(self, since_s: float, name: str) -> float:
        """The smallest figure of this name from ``since_s`` on."""
        return min(float(link[name] or 0) for at_s, link in self.noted if at_s >= since_s)


async def uplink(folder: Path, founded: FoundedSchool) -> list[Figure]:
    """All figures, from one lesson."""
    async with LossyLink(delay_s=PATH_S) as link:
        link.impair(_carrying(WIDE_BPS), Impairment(delay_s=PATH_S))
        async with running_school(folder, founded, advertise=(link.advertised,)) as school:
            link.target = ("127.0.0.1", school.relay.media_port)
            whep = school.class_url.replace("/c/", "/whep/")
            async with whep_viewer(school.relay.http, whep, school.relay.media_port) as viewer:
                await school.kit.press("start")
                await school.kit.until(lambda status: status["link"]["publisher"] == "up")
                watch = Watch(school.kit)
                watching = asyncio.create_task(watch.run(), name="watch")
                try:
                    return await _steps(link, watch, viewer)
                finally:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)


def _carrying(rate_bps: float) -> Impairment:
    return Impairment(delay_s=PATH_S, narrow=Narrow(rate_bps=rate_bps))


async def _steps(link: LossyLink, watch: Watch, viewer: WhepViewer) -> list[Figure]:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(BEFORE_S)
    narrow_s = loop.time()
    link.impair(_carrying(NARROW_BPS), Impairment(delay_s=PATH_S))
    await asyncio.sleep(NARROW_S)
    wide_s = loop.time()
    link.impair(_carrying(WIDE_BPS), Impairment(delay_s=PATH_S))
    await asyncio.sleep(AFTER_S)
    lossy_s = loop.time()
    link.impair(Impairment(delay_s=PATH_S, drop=share(0.02)), Impairment(delay_s=PATH_S))
    await asyncio.sleep(LOSSY_S)
    lowest_kbps = watch.lowest(lossy_s, "target_kbps")
    found = _narrowed(watch, viewer, narrow_s, wide_s, lossy_s)  # only now: this loop is the link's, too
    return [*found, Figure("2 % random loss: lowest target", "kb/s", (lowest_kbps,))]


def _prompt_again_s(delays: list[tuple[float, float]], since_s: float) -> float:
    """After the first late voice packet, how long from ``since_s`` until none was late for a second."""
    late_s = sorted(at_s for at_s, delay_s in delays if delay_s > LATE_S)
    last_s = since_s
    for at_s in late_s:
        if at_s > last_s + 1 and last_s > since_s:
            break
        last_s = at_s
    return last_s - since_s


def _narrowed(watch: Watch, viewer: WhepViewer, narrow_s: float, wide_s: float, end_s: float) -> list[Figure]:
    received = viewer.received
    shown_s = [picture.at_s for picture in received.shown() if narrow_s - 1 <= picture.at_s < end_s]
    delays = [(at_s, delay_s) for at_s, delay_s in received.voice_delays_s() if narrow_s <= at_s < end_s]
    last = max(number for number, packet in received.packets[AUDIO].items() if packet.at_s < end_s)
    never = [number for number in received.missing(AUDIO) if number < last]  # not those of the link that loses
    target_s = watch.first_s(narrow_s, lambda kbps: kbps * 1000 < NARROW_BPS)
    return [
        Figure("4 Mb/s → 700 kb/s: target below the link", "s", (target_s,)),
        Figure("4 Mb/s → 700 kb/s: settled", "s", (max(target_s, _prompt_again_s(delays, narrow_s)),), 5),
        Figure("700 kb/s → 4 Mb/s: settled", "s", (watch.first_s(wide_s, lambda kbps: kbps >= 0.9 * MOST_KBPS),), 5),
        Figure("longest freeze", "s", (longest_gap_s(shown_s),), 1),
        Figure("lowest frame rate asked for", "1/s", (watch.lowest(narrow_s, "fps"),)),
        Figure("voice: packets that never came", "", (len(never),), 0),
        Figure("voice: not sent", "ms", (received.unspoken_ms(),), 0),
        Figure("voice: later than the promptest", "ms", tuple(1000 * delay_s for _, delay_s in delays)),
    ]
