"""The record path as a pupil meets it: a lesson's end → its replay plays; and the lesson where no UDP gets through."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.async_api import Browser, Page

from bench.figures import Figure
from bench.live import first_picture_s
from tests.browser.chromium import blank_page, frames, pupil, until_new_frames, until_state, until_true
from tests.browser.test_replay import PLAYS_RECORDING, shut_udp, until_recorded_s, until_watching
from tests.running import FoundedSchool, RunningSchool, running_school

TAUGHT_S = 12  # there is a recording to replay, and a live edge to be behind of
HLS_WITHIN_S = 3.0
PUPILS = 5
BEHIND_FRAMES = 240  # eight seconds


async def replay(folder: Path, founded: FoundedSchool, browser: Browser) -> list[Figure]:
    """All figures, from two lessons."""
    async with running_school(folder / "replay", founded) as school:
        replayed_s = await _end_to_replay_s(school, browser)
    async with running_school(folder / "delayed", founded) as school:
        opened_s, behind_s = await _without_udp(school, browser)
    return [
        Figure("lesson's end → its replay plays", "s", (replayed_s,), 3),
        Figure("no UDP: page opened → picture", "s", opened_s, HLS_WITHIN_S),
        Figure("no UDP: behind live", "s", behind_s, 6),
    ]


async def _end_to_replay_s(school: RunningSchool, browser: Browser) -> float:
    page = await pupil(browser, school.class_url)
    await school.kit.press("start")
    await until_new_frames(page)
    await until_recorded_s(page, TAUGHT_S)
    await school.kit.hold_to_end()
    ended_s = time.monotonic()
    await until_state(page, "over")
    await page.locator("#replays-list .watch").click()
    await until_true(page, PLAYS_RECORDING)
    replayed_s = time.monotonic() - ended_s
    await page.context.close()
    return replayed_s


async def _without_udp(school: RunningSchool, browser: Browser) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of several pupils, one after the other, in seconds: how long from opening the page to a picture; how far behind
    live the newest pictures are."""
    await school.kit.press("start")
    status = await school.kit.until_state("live")
    watcher = await pupil(browser, school.class_url)
    await until_recorded_s(watcher, TAUGHT_S)
    await watcher.context.close()
    shown_s: list[float] = []
    behind_s: list[float] = []
    for _ in range(PUPILS):
        page = await blank_page(browser)
        await shut_udp(page, school.relay)
        opened_s = time.time()
        await page.goto(school.class_url)
        shown_s.append(await first_picture_s(page, opened_s) - opened_s)
        await until_watching(page, "delayed")
        behind_s += await _behind_s(page, status["lesson"]["started_unix_us"])
        await page.context.close()
    return tuple(shown_s), tuple(behind_s)


async def _behind_s(page: Page, started_unix_us: int) -> tuple[float, ...]:
    await until_new_frames(page, BEHIND_FRAMES, timeout_s=60)
    newest = [picture for picture in await frames(page) if picture["capture_us"] is not None][-BEHIND_FRAMES:]
    return tuple(picture["at_unix_ms"] / 1000 - (started_unix_us + picture["capture_us"]) / 1e6 for picture in newest)
