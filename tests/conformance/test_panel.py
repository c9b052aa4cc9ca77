"""What every panel of a kit keeps, whoever made it. A new adapter joins by a line in ``PANELS``."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import get_args

import aiohttp
import pytest

from appliance.capture.clock import LessonClock
from appliance.errors import PanelUnavailable
from appliance.hw.base import BUTTONS, Button, Cue, Edge, Face, Fault, LessonFace, Panel
from appliance.hw.gpio.panel import GpioPanel
from appliance.hw.health import Health
from appliance.hw.patterns import PATTERNS, Colour
from appliance.hw.simulated.server import SimulatedPanel
from appliance.settings import PanelSection, PinsSection
from tests.appliance.hw.mock_pins import mock_pins
from tests.running import free_port
from wire.messages import KitState, Tally

WITHIN_S = 5
RGB: dict[Colour | None, tuple[float, ...]] = {
    None: (0, 0, 0), "red": (1, 0, 0), "amber": (1, 0.35, 0), "white": (1, 1, 1)
}  # fmt: skip
LEDS: dict[Colour | None, tuple[float, ...]] = {
    None: (0, 0, 0), "red": (1, 0, 0), "amber": (0, 1, 0), "white": (0, 0, 1)
}  # fmt: skip


@dataclass
class Bench:
    """A panel to be opened, a hand at its buttons, and an eye on its tally lamp."""

    panel: Panel
    hand: Callable[[Button, bool], Awaitable[None]]
    eye: Callable[[], Awaitable[Colour | None]]
    occupy: Callable[[], AbstractAsyncContextManager[None]]
    edges: asyncio.Queue[Edge] = field(default_factory=asyncio.Queue)

    def take(self, edge: Edge) -> None:
        asyncio.get_running_loop()  # raises off the event loop
        self.edges.put_nowait(edge)

    async def edge(self) -> Edge:
        async with asyncio.timeout(WITHIN_S):
            return await self.edges.get()


@asynccontextmanager
async def simulated() -> AsyncIterator[Bench]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WITHIN_S)) as http:

        async def hand(button: Button, pressed: bool) -> None:
            async with http.post(f"{url}/panel/buttons/{button}/{'press' if pressed else 'release'}") as answer:
                assert answer.status == 204

        async def eye() -> Colour | None:
            async with http.get(f"{url}/status") as answer:
                first: Colour | None = (await answer.json())["lamp"]["beats"][0][0]
                return first

        @asynccontextmanager
        async def occupy() -> AsyncIterator[None]:
            server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
            async with server:
                yield

        yield Bench(SimulatedPanel("127.0.0.1", port), hand, eye, occupy)


@asynccontextmanager
async def gpio(settings: PanelSection, colours: dict[Colour | None, tuple[float, ...]]) -> AsyncIterator[Bench]:
    with mock_pins() as pins:

        async def hand(button: Button, pressed: bool) -> None:
            pin = getattr(settings.pins, button)
            await asyncio.to_thread(pins.press if pressed else pins.release, pin)  # as lgpio's thread would

        async def eye() -> Colour | None:
            levels = pins.levels(*settings.pins.tally)
            return next(colour for colour, shown in colours.items() if shown == levels)

        @asynccontextmanager
        async def occupy() -> AsyncIterator[None]:
            with pins.occupy(settings.pins.curtain):
                yield

        yield Bench(GpioPanel(settings), hand, eye, occupy)


PANELS: dict[str, Callable[[], AbstractAsyncContextManager[Bench]]] = {
    "simulated": simulated,
    "gpio, RGB LED": lambda: gpio(PanelSection(), RGB),
    "gpio, three LEDs without PWM": lambda: gpio(PanelSection(lamp="leds", pwm=False), LEDS),
    "gpio, everything": lambda: gpio(
        PanelSection(pins=PinsSection(start_light=24, curtain_light=25, still_light=12, buzzer=23)), RGB
    ),
}


@pytest.fixture(params=PANELS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with PANELS[request.param]() as made:
        yield made


async def test_a_press_and_a_release_of_every_button_come_as_edges_in_order(bench: Bench) -> None:
    wanted = [(button, pressed) for button in BUTTONS for pressed in (True, False)]
    came = []
    async with bench.panel.open(bench.take):
        for button, pressed in wanted:
            await bench.hand(button, pressed)
            came.append(await bench.edge())
    assert [(edge.button, edge.pressed) for edge in came] == wanted
    assert bench.edges.empty()


async def test_an_edge_is_dated_on_the_monotonic_clock_between_the_hand_and_the_telling(bench: Bench) -> None:
    async with bench.panel.open(bench.take):
        before_s = time.monotonic()
        await bench.hand("start", True)
        down = await bench.edge()
        between_s = time.monotonic()
        await bench.hand("start", False)
        up = await bench.edge()
    assert before_s <= down.at_s <= between_s <= up.at_s <= time.monotonic()


async def test_two_buttons_at_once_are_told_apart(bench: Bench) -> None:
    async with bench.panel.open(bench.take):
        await bench.hand("start", True)
        await bench.hand("curtain", True)
        came = [await bench.edge(), await bench.edge()]
    assert [(edge.button, edge.pressed) for edge in came] == [("start", True), ("curtain", True)]


@pytest.mark.parametrize("tally", get_args(Tally))
async def test_the_lamp_shows_the_tally_before_show_returns(bench: Bench, tally: Tally) -> None:
    async with bench.panel.open(bench.take) as panel:
        panel.show(Face(state="live", tally=tally))
        assert await bench.eye() == PATTERNS[tally].beats[0].colour


async def test_whatever_is_shown_is_taken(bench: Bench) -> None:
    lesson = LessonFace("ab" * 16, LessonClock.start())
    fault, health = Fault("camera_unavailable", "plug it in"), Health(temperature_c=99.0, free_mb=1)
    async with bench.panel.open(bench.take) as panel:
        for state, tally in itertools.product(get_args(KitState), get_args(Tally)):
            panel.show(Face(state=state, tally=tally, lesson=lesson, fault=fault, health=health))
            panel.show(Face(state=state, tally=tally, hold=0.5, hold_for="end"))
        panel.show(Face(state="live", tally="on_air"))
        assert await bench.eye() == "red"


async def test_its_voice_takes_every_cue(bench: Bench) -> None:
    async with bench.panel.open(bench.take) as panel:
        for cue in get_args(Cue):
            panel.buzzer.sound(cue)


async def test_it_opens_again_and_works(bench: Bench) -> None:
    async with bench.panel.open(bench.take):
        await bench.hand("start", True)
        await bench.edge()
        await bench.hand("start", False)
        await bench.edge()
    async with bench.panel.open(bench.take) as panel:
        assert await bench.eye() is None
        panel.show(Face(state="curtain", tally="curtain"))
        assert await bench.eye() == "white"
        await bench.hand("still", True)
        assert (await bench.edge()).button == "still"


async def test_a_panel_that_cannot_be_had_says_what_to_set(bench: Bench) -> None:
    async with bench.occupy():
        with pytest.raises(PanelUnavailable, match=r"panel\.\w+: .* set (another )?(panel\.\w+|in)"):
            async with bench.panel.open(bench.take):
                pytest.fail("it opened")
    async with bench.panel.open(bench.take):
        await bench.hand("start", True)
        assert (await bench.edge()).pressed
