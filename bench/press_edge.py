"""From the edge on the start button's pin to the first picture, on the libraries that a Pi has.

The kit runs in the root of ``scripts/emulation_root.sh`` (``press_edge_kit.py``): gpiozero with its debouncing on mock
pins, picamera2 on the real libcamera with its virtual camera, the software encoder, aiortc. The relay and the waiting
pupil are the real ones. Twice: with the camera's worker kept loaded between lessons, as by default, and without.
Not here: a sensor's start and the kernel's GPIO, which only a Pi and an emulated machine have.
"""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Page

from bench.figures import Figure
from bench.live import first_picture_s
from tests.browser.chromium import pupil, until_state
from tests.running import FoundedSchool, running_relay

SCRIPT = Path(__file__).parents[1] / "scripts" / "emulation_root.sh"
MADE = SCRIPT.parents[1] / ".cache" / "emulation-root" / "opt" / "kit.made-of"
ANSWER_S = 90.0
END_S = 20.0
Loading = Literal["stay_loaded", "load_each_time"]
WHAT: dict[Loading, str] = {"stay_loaded": "worker kept loaded", "load_each_time": "worker loaded each time"}


async def press_edge(folder: Path, founded: FoundedSchool, browser: Browser, runs: int) -> list[Figure]:
    """The figures; none where the root is not there, which is said."""
    if not MADE.exists() or os.geteuid() != 0:
        print("press edge: left out; it needs root, and scripts/emulation_root.sh kit", flush=True)
        return []
    figures: list[Figure] = []
    for loading in WHAT:
        figures += await _runs(folder / loading, founded, browser, runs, loading)
    return figures


async def _runs(
    folder: Path, founded: FoundedSchool, browser: Browser, runs: int, loading: Loading
) -> list[Figure]:  # fmt: skip
    edges, pictures = [], []
    async with running_relay(folder, founded) as relay, _kit(relay.url, founded.enrol_code, loading) as kit:
        page = await pupil(browser, f"{relay.url}{founded.class_path}")
        for _ in range(runs):
            edge_s, picture_s = await _run(kit, page)
            edges.append(1000 * edge_s)
            pictures.append(1000 * picture_s)
        await page.context.close()
    what = WHAT[loading]
    return [
        Figure(f"press edge → first picture encoded, picamera2, {what}", "ms", tuple(edges)),
        Figure(f"press edge → first picture at a pupil, picamera2, {what}", "ms", tuple(pictures)),
    ]


async def _run(kit: Process, page: Page) -> tuple[float, float]:
    """One lesson: from the edge to the first picture at the kit, and at the pupil, in seconds."""
    pressed = await _ask(kit, "press")
    shown_s = await first_picture_s(page, pressed["pressed_unix_s"])
    await _ask(kit, "end")
    await until_state(page, "over")
    return pressed["edge_to_picture_s"], shown_s - pressed["pressed_unix_s"]


@asynccontextmanager
async def _kit(relay_url: str, code: str, loading: Loading) -> AsyncIterator[Process]:
    command = (SCRIPT, "run", "python3", "-m", "bench.press_edge_kit", relay_url, code, loading)
    kit = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        await _answer(kit)
        yield kit
        assert kit.stdin is not None
        kit.stdin.close()
        await asyncio.wait_for(kit.wait(), END_S)
    finally:
        if kit.returncode is None:
            kit.kill()
            await kit.wait()


async def _ask(kit: Process, what: str) -> dict[str, Any]:
    assert kit.stdin is not None
    kit.stdin.write(f"{what}\n".encode())
    return await _answer(kit)


async def _answer(kit: Process) -> dict[str, Any]:
    assert kit.stdout is not None
    line = await asyncio.wait_for(kit.stdout.readline(), ANSWER_S)
    assert line, "the kit ended; its last words are above"
    answer: dict[str, Any] = json.loads(line)
    return answer
