"""The kit as a whole with a real panel, on gpiozero's mock pins: a finger on a pin, and a lesson on the lamp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance import kit as kit_module
from appliance.capture.simulated.camera import SimulatedCamera
from appliance.hw.health import BoardHealth, Health
from appliance.kit import Kit
from appliance.settings import CameraSection, KitSection, KitSettings, NetworkSection, PanelSection, RelaySection
from tests.appliance.hw.mock_pins import MockPins, mock_pins
from tests.running import free_port

WITHIN_S = 15
START, CURTAIN, RED, GREEN, BLUE = 17, 27, 5, 6, 13
OFF, AMBER, RED_ALONE, WHITE = (0, 0, 0), (1, 0.35, 0), (1, 0, 0), (1, 1, 1)


@pytest.fixture
def pins() -> Iterator[MockPins]:
    with mock_pins() as made:
        yield made


@asynccontextmanager
async def running_kit(folder: Path) -> AsyncIterator[asyncio.Event]:
    """A kit whose relay is not there: the button needs nobody."""
    stop = asyncio.Event()
    settings = KitSettings(
        kit=KitSection(state_dir=str(folder)),
        relay=RelaySection(url=f"http://127.0.0.1:{free_port()}"),
        camera=CameraSection(width=320, height=240, fps=10),
        panel=PanelSection(kind="gpio"),
        network=NetworkSection(announce=False),
    )
    task = asyncio.create_task(Kit(settings, software="test").run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, WITHIN_S)


async def test_a_finger_on_the_pin_begins_a_lesson_and_a_hold_ends_it(
    pins: MockPins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lit_when_opened: list[tuple[float, ...]] = []
    camera_opens = SimulatedCamera.open

    def watched(camera: SimulatedCamera, *args: object) -> object:
        lit_when_opened.append(pins.levels(RED, GREEN, BLUE))
        return camera_opens(camera, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(SimulatedCamera, "open", watched)
    async with running_kit(tmp_path):
        await pins.until(lambda: pins.pin(START).function == "input" and pins.pin(START).pull == "up", WITHIN_S)
        await asyncio.to_thread(pins.press, START)
        await pins.until(lambda: pins.levels(RED, GREEN, BLUE) == AMBER, WITHIN_S)
        await asyncio.to_thread(pins.release, START)
        await pins.until(lambda: bool(lit_when_opened), WITHIN_S)
        assert lit_when_opened == [AMBER], "the tally is lit before the camera opens"
        await asyncio.to_thread(pins.press, CURTAIN)
        await asyncio.to_thread(pins.release, CURTAIN)
        await asyncio.to_thread(pins.press, CURTAIN)
        await pins.until(lambda: pins.levels(RED, GREEN, BLUE) == WHITE, WITHIN_S)
        await asyncio.to_thread(pins.press, START)
        await pins.until(lambda: pins.levels(RED, GREEN, BLUE) == OFF, WITHIN_S)  # after a hold of 1 s
        await asyncio.to_thread(pins.release, START)
    assert pins.levels(RED, GREEN, BLUE) == OFF


async def test_a_kit_that_stops_in_a_lesson_leaves_no_lamp_lit(pins: MockPins, tmp_path: Path) -> None:
    async with running_kit(tmp_path) as stop:
        await pins.until(lambda: pins.pin(START).function == "input" and pins.pin(START).pull == "up", WITHIN_S)
        await asyncio.to_thread(pins.press, START)
        await pins.until(lambda: pins.level(RED) == 1, WITHIN_S)
        stop.set()
    assert [pins.history(pin)[-1] for pin in (RED, GREEN, BLUE)] == [0, 0, 0]


async def test_the_board_is_looked_at_again_and_again_and_what_is_new_is_logged_once(
    pins: MockPins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    readings = [Health(), Health(temperature_c=90.0), Health(temperature_c=91.0)]
    looked, loop = asyncio.Event(), asyncio.get_running_loop()

    def read(_: BoardHealth) -> Health:
        if not readings:
            loop.call_soon_threadsafe(looked.set)
            return Health()
        return readings.pop(0)

    monkeypatch.setattr(BoardHealth, "read", read)
    monkeypatch.setattr(kit_module, "HEALTH_EVERY_S", 0.001)
    async with running_kit(tmp_path), asyncio.timeout(WITHIN_S):
        await looked.wait()
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("health: ")]
    assert told == ["health: the board is too hot: give it air or a heat sink, and keep it out of the sun"]
