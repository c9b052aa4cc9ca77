"""`make screenshots`: the README's pictures, taken from the running thing.

Starts the demo on ports and in a folder of its own, presses the start button as a person would, waits until the relay
confirms the lesson and the pupil's browser has watched it for a while, and takes the pictures.
"""

from __future__ import annotations

import asyncio
import io
import socket
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page

from scripts.children import ChildFailed
from scripts.demo import ROOT, CannotStart, Options, running_demo
from tests.browser.chromium import chromium

IMAGES = ROOT / "docs" / "images"
PUPIL_VIEW = {"width": 1120, "height": 720}
PANEL_VIEW = {"width": 960, "height": 740}
LESSON_S = 40  # by then the simulated teacher has written enough to look like a lesson
WAIT_S = 60


async def take() -> None:
    """Write both pictures. Raises ``CannotStart``, ``ChildFailed``, or Playwright's ``TimeoutError``."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
        options = Options(
            state=Path(folder), web_port=_free_port(tcp), panel_port=_free_port(tcp), media_port=_free_port(udp)
        )
        async with running_demo(options) as demo, chromium() as browser:
            panel = await _open(browser, demo.panel_url, PANEL_VIEW)
            pupil = await _open(browser, demo.class_url, PUPIL_VIEW)
            await panel.click("button[data-button=start]")
            await panel.wait_for_selector("body[data-tally=on_air]", timeout=WAIT_S * 1000)
            await pupil.wait_for_function(
                f"document.querySelector('video').currentTime > {LESSON_S}", timeout=(LESSON_S + WAIT_S) * 1000
            )
            await _save(panel, "panel.png")
            await _save(pupil, "pupil-page.png")


async def _open(browser: Browser, url: str, view: dict[str, int]) -> Page:
    width, height = view["width"], view["height"]
    context = await browser.new_context(
        locale="ru-RU",
        viewport={"width": width, "height": height},
        color_scheme="light",
        reduced_motion="reduce",
        bypass_csp=True,
    )
    page = await context.new_page()
    await page.goto(url)
    return page


async def _save(page: Page, name: str) -> None:
    picture = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
    picture.save(IMAGES / name, optimize=True)
    print(f"{(IMAGES / name).relative_to(ROOT)}: {(IMAGES / name).stat().st_size // 1024} kB")


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Take them; the exit code."""
    try:
        asyncio.run(take())
    except (CannotStart, ChildFailed) as error:
        print(f"screenshots: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
