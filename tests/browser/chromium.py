"""Debian's Chromium, headless, as a pupil's browser. Used by the browser tests, ``bench`` and ``scripts``."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, Route, async_playwright

from tests.lossy_link import LossyLink

PROBE = Path(__file__).with_name("lesson_probe.js")
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
QUIET = (  # a headless Chromium that talks to nobody but the page under test
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_path() -> str:
    """Where Debian's Chromium is. Raises ``FileNotFoundError`` with the remedy."""
    path = shutil.which("chromium")
    if path is None:
        raise FileNotFoundError("chromium is not installed; run `make test`, or install Debian's chromium")
    return path


@asynccontextmanager
async def chromium(*flags: str, path: str | None = None) -> AsyncIterator[Browser]:
    """A browser for the length of the context. Sound stays blocked until a gesture, as on a real machine.

    ``path``: another program that runs Chromium, such as in a network namespace.
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path or chromium_path(), args=[*QUIET, *flags])
        try:
            yield browser
        finally:
            await browser.close()


async def blank_page(browser: Browser, *, language: str = "ru-RU", **context: Any) -> Page:
    """A page in a context of its own, with the lesson probe in whatever it will open."""
    opened = await browser.new_context(locale=language, viewport=context.pop("viewport", DESKTOP), **context)
    page = await opened.new_page()
    await page.add_init_script(path=PROBE)
    return page


async def pupil(browser: Browser, url: str, *, language: str = "ru-RU", **context: Any) -> Page:
    """A pupil who opens ``url``."""
    page = await blank_page(browser, language=language, **context)
    await page.goto(url)
    return page


async def pupil_behind(browser: Browser, url: str, link: LossyLink, media_port: int, **context: Any) -> Page:
    """A pupil whose picture and voice come through ``link``; nobody else's do. As a NAT would, it changes the port that
    the relay told."""
    page = await blank_page(browser, **context)
    link.target = ("127.0.0.1", media_port)

    async def answer(route: Route) -> None:
        response = await route.fetch()
        told = await response.text()
        await route.fulfill(response=response, body=re.sub(f" {media_port} typ", f" {link.address[1]} typ", told))

    await page.route("**/whep/*", answer)
    await page.goto(url)
    return page


async def until_state(page: Page, state: str, timeout_s: float = 30) -> None:
    """Wait until the page shows the class in ``state``."""
    await page.wait_for_selector(f'html[data-state="{state}"]', state="attached", timeout=timeout_s * 1000)


async def frames(page: Page) -> list[dict[str, Any]]:
    """Every frame the page has shown: ``at_unix_ms``, ``shown_ms``, ``capture_us`` (or ``None``), its size."""
    found: list[dict[str, Any]] = await page.evaluate("lessonProbe.frames")
    return found


async def until_true(page: Page, condition: str, argument: Any = None, timeout_s: float = 30) -> None:
    """Wait until the JavaScript function ``condition(argument)`` is true, looking ten times a second.

    Each look is a timer's: a page that asks for animation frames draws sixty a second only for that. Not Playwright's
    ``wait_for_function``: that one needs ``eval``, which the page's own policy forbids.
    """
    script = (
        "async (argument) => { const holds = " + condition + ";"
        "while (!(await holds(argument))) await new Promise((resolve) => setTimeout(resolve, 100)); }"
    )
    try:
        async with asyncio.timeout(timeout_s):
            await page.evaluate(script, argument)
    except TimeoutError:
        seen = await page.evaluate("({ ...document.documentElement.dataset, frames: lessonProbe.frames.length })")
        raise AssertionError(f"{condition} was not true within {timeout_s} s; the page: {seen}") from None


async def until_new_frames(page: Page, count: int = 10, timeout_s: float = 30) -> list[dict[str, Any]]:
    """Wait until ``count`` pictures with a readable time code are shown after now; those pictures."""
    before = await page.evaluate("performance.timeOrigin + performance.now()")
    readable = "lessonProbe.frames.filter((f) => f.at_unix_ms > before && f.capture_us !== null)"
    await until_true(page, f"([before, count]) => {readable}.length >= count", [before, count], timeout_s)
    shown: list[dict[str, Any]] = await page.evaluate(f"(before) => {readable}", before)
    return shown


async def until_voice(page: Page, energy: float) -> None:
    """Wait until sound of this much more energy has reached the page's speaker (WebRTC's ``totalAudioEnergy``)."""
    heard = await page.evaluate("lessonProbe.voiceEnergy()")
    await until_true(page, "async (enough) => (await lessonProbe.voiceEnergy()) > enough", heard + energy)
