"""A kit on the real camera libraries whose start button a bench presses: the child of ``press_edge.py``.

    python -m bench.press_edge_kit RELAY_URL ENROL_CODE stay_loaded|load_each_time

Runs in the root of ``scripts/emulation_root.sh``: picamera2 and libcamera with its virtual camera, in their worker; the
panel is gpiozero's, on its mock pins. Each line on standard input is ``press`` or ``end``. It prints lines of JSON:
``{"ready": true}``, ``{"pressed_unix_s": …, "edge_to_picture_s": …}``, ``{"ended": true}``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from typing import Any

from appliance.crew import SourceName
from appliance.director import Director
from appliance.errors import KitError
from appliance.kit import Kit
from appliance.lesson import Lesson
from appliance.settings import (
    CameraSection,
    KitSection,
    KitSettings,
    NetworkSection,
    PanelSection,
    RelaySection,
    SetupSection,
)
from tests.appliance.hw.mock_pins import MockPins, mock_pins

START = 17
WITHIN_S = 60.0


class Watched:
    """What the kit's director lets on: its lesson, and when the camera first gave something."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._director: Director | None = None
        self.gave_s = 0.0
        tells, shows = Director.source, Director.show

        def source(director: Director, name: SourceName, trouble: KitError | None) -> None:
            if name == "camera" and trouble is None:
                self.gave_s = time.perf_counter()
            tells(director, name, trouble)

        def show(director: Director) -> None:
            shows(director)
            self._director = director
            self._changed.set()

        patched: Any = Director
        patched.source, patched.show = source, show

    async def until(self, *phases: str) -> None:
        """Wait until the lesson is in one of ``phases``."""
        async with asyncio.timeout(WITHIN_S):
            while self._director is None or self._director.lesson.phase not in phases:
                self._changed.clear()
                await self._changed.wait()


async def serve(pins: MockPins, watched: Watched) -> None:
    """Do what the lines say, until there are no more."""
    await watched.until(Lesson().phase)
    await pins.until(lambda: pins.pin(START).function == "input", WITHIN_S)
    _say(ready=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if line == "press":
            await _press(pins, watched)
        else:
            await asyncio.to_thread(pins.press, START)
            await watched.until("idle")
            await asyncio.to_thread(pins.release, START)
            _say(ended=True)


async def _press(pins: MockPins, watched: Watched) -> None:
    pressed_unix_s, pressed_s = time.time(), time.perf_counter()
    await asyncio.to_thread(pins.press, START)
    await watched.until("starting", "live")  # a finger stays longer than a contact bounces
    await asyncio.to_thread(pins.release, START)
    await watched.until("live")
    _say(pressed_unix_s=pressed_unix_s, edge_to_picture_s=watched.gave_s - pressed_s)


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def settings(folder: str, relay_url: str, code: str, *, stay_loaded: bool) -> KitSettings:
    """A kit as a school has it, but for the pins."""
    return KitSettings(
        kit=KitSection(state_dir=folder),
        relay=RelaySection(url=relay_url, enrol_code=code),
        camera=CameraSection(kind="picamera2", stay_loaded=stay_loaded),
        panel=PanelSection(kind="gpio"),
        network=NetworkSection(announce=False),
        setup=SetupSection(enabled=False),
    )


async def main(relay_url: str, code: str, loading: str) -> None:
    """Run the kit until standard input ends."""
    watched, stop = Watched(), asyncio.Event()
    with tempfile.TemporaryDirectory() as folder, mock_pins() as pins:
        kit = Kit(settings(folder, relay_url, code, stay_loaded=loading == "stay_loaded"), software="bench")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kit.run(stop), name="kit")
            await serve(pins, watched)
            stop.set()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
