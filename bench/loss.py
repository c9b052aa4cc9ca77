"""A pupil on a bad network: Chromium behind a link that loses, delays, or carries too little. Only the pupil's way is
bad.

Frozen is what Chromium calls frozen (W3C webrtc-stats, ``totalFreezesDuration``); concealed is the share of the voice
that its jitter buffer made up.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from bench.figures import Figure
from tests.browser.chromium import chromium, frames, pupil_behind, until_new_frames, until_true
from tests.lossy_link import Impairment, LossyLink, Narrow, share
from tests.running import FoundedSchool, RunningSchool, running_school

#: Share lost and round trip (s). The first is the measure of what this machine can show at all.
WEATHERS = ((0.0, 0.1), *((lost, round_trip_s) for round_trip_s in (0.1, 0.3) for lost in (0.02, 0.05, 0.1)))
CAMERA = (
    'kind = "simulated"\nwidth = 640\nheight = 360'  # the full rate, for a machine that draws, shows and measures it
)
CAP_BPS = 300_000
CAP_PATH_S = 0.02  # each way
#: What stands in the line's queue from before the cap delays the voice behind it; then the same again, to play it.
QUEUE_LASTS_S = 2 * 8 * Narrow(rate_bps=CAP_BPS).queue_octets / CAP_BPS
SETTLE_S = 6.0
BEFORE_S = 8.0
BACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page has received so far, and the lesson's start for what it shows."""

    at_s: float
    frozen_s: float
    concealed: float
    samples: float
    waited_s: float
    emitted: float

    @classmethod
    async def now(cls, page: Page) -> Seen:
        """By the page's own statistics."""
        picture: dict[str, Any] = await page.evaluate("lessonProbe.inbound('video')")
        voice: dict[str, Any] = await page.evaluate("lessonProbe.inbound('audio')")
        return cls(
            at_s=time.time(),
            frozen_s=picture["totalFreezesDuration"],
            concealed=voice["concealedSamples"],
            samples=voice["totalSamplesReceived"],
            waited_s=voice["jitterBufferDelay"],
            emitted=voice["jitterBufferEmittedCount"],
        )


async def loss(folder: Path, founded: FoundedSchool, length_s: float) -> list[Figure]:
    """All figures, from one lesson and a pupil for each kind of weather."""
    figures: list[Figure] = []
    async with running_school(folder, founded, camera=CAMERA) as school, chromium() as browser:
        await school.kit.press("start")
        await school.kit.until_state("live")
        for lost, round_trip_s in WEATHERS:
            figures += await _scattered(school, browser, lost, round_trip_s, length_s)
        figures += await _capped(school, browser, length_s)
    return figures


async def _scattered(
    school: RunningSchool, browser: Browser, lost: float, round_trip_s: float, length_s: float
) -> list[Figure]:
    name = f"{100 * lost:.0f} % lost, {1000 * round_trip_s:.0f} ms"
    async with LossyLink(drop=share(lost), delay_s=round_trip_s / 2) as link:
        page = await pupil_behind(browser, school.class_url, link, school.relay.media_port)
        await until_new_frames(page, 10)
        await asyncio.sleep(SETTLE_S)
        before = await Seen.now(page)
        await asyncio.sleep(length_s)
        after = await Seen.now(page)
        frozen = 100 * (after.frozen_s - before.frozen_s) / (after.at_s - before.at_s)
        promised = 2.0 if (lost, round_trip_s) == (0.05, 0.1) else None
        figures = [
            Figure(f"{name}: frozen", "% of the time", (frozen,), promised),
            *_voice(name, before, after),
            await _age(name, school, page, before, after),
        ]
        await page.context.close()
        return figures


def _voice(name: str, before: Seen, after: Seen) -> list[Figure]:
    concealed = 100 * (after.concealed - before.concealed) / (after.samples - before.samples)
    waited_ms = 1000 * (after.waited_s - before.waited_s) / (after.emitted - before.emitted)
    return [
        Figure(f"{name}: voice concealed", "%", (concealed,)),
        Figure(f"{name}: voice waits in the browser", "ms", (waited_ms,)),
    ]


async def _age(name: str, school: RunningSchool, page: Page, before: Seen, after: Seen) -> Figure:
    started_ms = (await school.kit.status())["lesson"]["started_unix_us"] / 1000
    origin_ms: float = await page.evaluate("performance.timeOrigin")
    samples = [
        origin_ms + picture["shown_ms"] - (started_ms + picture["capture_us"] / 1000)
        for picture in await frames(page)
        if picture["capture_us"] is not None and before.at_s < picture["at_unix_ms"] / 1000 < after.at_s
    ]
    return Figure(f"{name}: glass to glass", "ms", tuple(samples))


async def _capped(school: RunningSchool, browser: Browser, length_s: float) -> list[Figure]:
    """A wide line that shrinks to ``CAP_BPS`` and widens again."""
    name = f"a cap of {CAP_BPS // 1000} kb/s"
    calm = Impairment(delay_s=CAP_PATH_S)
    narrow = Impairment(delay_s=CAP_PATH_S, narrow=Narrow(rate_bps=CAP_BPS))
    async with LossyLink(delay_s=CAP_PATH_S) as link:
        page = await pupil_behind(browser, school.class_url, link, school.relay.media_port)
        await until_new_frames(page, 10)
        await asyncio.sleep(BEFORE_S)
        capped = await Seen.now(page)
        link.impair(calm, narrow)
        await _until_picture(page, "slow")
        told_s = time.time() - capped.at_s
        await asyncio.sleep(QUEUE_LASTS_S)
        settled = await Seen.now(page)
        await asyncio.sleep(length_s)
        after = await Seen.now(page)
        link.impair(calm)
        await _until_picture(page, "full")
        back_s = time.time() - after.at_s
        shown_s = [frame["at_unix_ms"] / 1000 for frame in await frames(page)]
        gaps = [later - earlier for earlier, later in pairwise(shown_s) if settled.at_s < later < after.at_s]
        figures = [
            Figure(f"{name}: the page tells", "s", (told_s,)),
            Figure(f"{name}: between two pictures", "s", tuple(gaps), p95_at_most=4),
            Figure(f"{name}: longest between two", "s", (max(gaps),), 4),
            *_voice(f"{name}, the step", capped, settled),
            *_voice(name, settled, after),
            await _age(name, school, page, settled, after),
            Figure(f"{name}: full again after it", "s", (back_s,)),
        ]
        await page.context.close()
        return figures


async def _until_picture(page: Page, picture: str) -> None:
    await until_true(page, "(wanted) => document.documentElement.dataset.picture === wanted", picture, BACK_S)
