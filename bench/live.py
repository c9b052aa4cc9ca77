"""The live path as a pupil meets it: press → picture, open → picture, glass to glass."""

from __future__ import annotations

import asyncio
import time

from playwright.async_api import Browser, Page

from bench.figures import Figure
from tests.browser.chromium import blank_page, frames, pupil, until_new_frames, until_state, until_true
from tests.running import RunningSchool

SETTLE_S = 5.0  # the browser's jitter buffer needs a few seconds to find its level


async def press_to_picture(school: RunningSchool, browser: Browser, runs: int) -> Figure:
    """From the press on the panel to the first picture at a pupil who waits on the page."""
    page = await pupil(browser, school.class_url)
    await until_state(page, "waiting")
    await page.wait_for_selector('html[data-link="up"]', state="attached")
    samples = []
    for _ in range(runs):
        pressed_s = await school.kit.press("start")
        samples.append(await _first_picture_of_lesson_s(page, pressed_s) - pressed_s)
        await school.kit.until_state("live")
        await school.kit.hold_to_end()
        await until_state(page, "over")
        await school.kit.until_state("idle")
    await page.context.close()
    return Figure("press → first picture", "ms", tuple(1000 * sample for sample in samples), median_at_most=700)


async def open_to_picture(school: RunningSchool, browser: Browser, runs: int) -> Figure:
    """From opening the class link of a running lesson to the first picture; the page's own loading included."""
    samples = []
    for _ in range(runs):
        page = await blank_page(browser)
        opened_s = time.time()
        await page.goto(school.class_url)
        samples.append(await first_picture_s(page, opened_s) - opened_s)
        await page.context.close()
    return Figure("open → first picture", "ms", tuple(1000 * sample for sample in samples), median_at_most=500)


async def glass_to_glass(school: RunningSchool, browser: Browser, length_s: float) -> Figure:
    """From the (simulated) light on the sensor to the display, by the time code in the picture itself."""
    page = await pupil(browser, school.class_url)
    await until_new_frames(page, 10)
    await asyncio.sleep(SETTLE_S)
    started_ms = (await school.kit.status())["lesson"]["started_unix_us"] / 1000
    begun_ms = time.time() * 1000
    await asyncio.sleep(length_s)
    origin_ms: float = await page.evaluate("performance.timeOrigin")
    samples = [
        origin_ms + picture["shown_ms"] - (started_ms + picture["capture_us"] / 1000)
        for picture in await frames(page)
        if picture["capture_us"] is not None and picture["at_unix_ms"] > begun_ms
    ]
    await page.context.close()
    return Figure("glass to glass", "ms", tuple(samples), median_at_most=150, p95_at_most=250)


async def first_picture_s(page: Page, after_s: float) -> float:
    """The wall time (s) of the first picture that the page showed after ``after_s``."""
    shown = "lessonProbe.frames.find((f) => f.at_unix_ms > after)"
    await until_true(page, f"(after) => {shown} !== undefined", after_s * 1000)
    return float(await page.evaluate(f"(after) => {shown}.at_unix_ms", after_s * 1000)) / 1000


async def _first_picture_of_lesson_s(page: Page, pressed_s: float) -> float:
    """The first picture that was captured after the press: one of the lesson before may still be on its way."""
    shown = (
        "lessonProbe.frames.find((f) => f.capture_us !== null"
        " && f.at_unix_ms > pressed && f.capture_us / 1000 <= f.at_unix_ms - pressed)"
    )
    await until_true(page, f"(pressed) => {shown} !== undefined", pressed_s * 1000)
    return float(await page.evaluate(f"(pressed) => {shown}.at_unix_ms", pressed_s * 1000)) / 1000
