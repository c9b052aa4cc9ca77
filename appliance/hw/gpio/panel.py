"""``panel.kind = "gpio"``: a panel of real buttons and lamps. The one owner of its lines and timers.

Not here: the pins (``lines.py``), what is lit when (``lights.py``), bounces (``contacts.py``), what a press means
(``gestures.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal, TypeVar

from appliance.hw import contacts
from appliance.hw.base import BUTTONS, Button, Buzzer, Edge, Face, NoBuzzer
from appliance.hw.contacts import Contact
from appliance.hw.gpio.buzzer import LineBuzzer
from appliance.hw.gpio.lights import Lights, lights_at
from appliance.hw.gpio.lines import Lines, open_lines
from appliance.hw.patterns import until_change_ms
from appliance.hw.pins import NOT_THERE
from appliance.settings import PanelSection

TALLY = ("tally 1", "tally 2", "tally 3")


class GpioPanel:
    """A panel on the pins that ``settings`` name, off."""

    def __init__(self, settings: PanelSection) -> None:
        self._settings = settings

    @asynccontextmanager
    async def open(self, on_edge: Callable[[Edge], None]) -> AsyncIterator[OpenGpioPanel]:
        """Claim the pins. Raises ``PanelUnavailable``."""
        settings, pins = self._settings, self._settings.pins
        tally = dict(zip(TALLY, pins.tally, strict=True)) if settings.lamp != "none" else {}
        lamps = tally | {"start": pins.start_light, "curtain": pins.curtain_light, "still": pins.still_light}
        with open_lines(
            _there({name: getattr(pins, name) for name in BUTTONS}),
            _there(lamps),
            _there({"buzzer": pins.buzzer}),
            pwm=settings.pwm,
            lit_by_high=settings.lamp_lit_by == "high",
        ) as lines:
            panel = OpenGpioPanel(lines, settings, on_edge)
            try:
                yield panel
            finally:
                panel.close()


Name = TypeVar("Name", bound=str)


def _there(pins: Mapping[Name, int]) -> dict[Name, int]:
    return {name: pin for name, pin in pins.items() if pin != NOT_THERE}


class OpenGpioPanel:
    """A panel that is on. All methods are called on the event loop; only levels come from elsewhere."""

    def __init__(self, lines: Lines, settings: PanelSection, on_edge: Callable[[Edge], None]) -> None:
        self._lines = lines
        self._settings = settings
        self._on_edge = on_edge
        self._loop = asyncio.get_running_loop()
        self._face = Face()
        self._since_s = self._loop.time()
        self._timers: dict[Button | Literal["lamps"], asyncio.TimerHandle] = {}
        self._buzzer = LineBuzzer(partial(lines.light, "buzzer"))
        self.buzzer: Buzzer = NoBuzzer() if settings.pins.buzzer == NOT_THERE else self._buzzer
        # A button that is down as the kit starts was not pressed: it is stuck, or somebody leans on it.
        self._contacts = {button: Contact(lines.pressed(button)) for button in lines.buttons}
        self._light()
        lines.watch(self._level)

    def show(self, face: Face) -> None:
        """Play ``face`` from now on; a pattern that plays already goes on in step."""
        if face.tally != self._face.tally:
            self._since_s = self._loop.time()
        self._face = face
        self._light()

    def close(self) -> None:
        """Stop playing, and be dark and silent."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._buzzer.close()
        self._put(Lights())

    # ---- buttons ----

    def _level(self, button: Button, pressed: bool, at_s: float) -> None:
        """On gpiozero's thread."""
        self._loop.call_soon_threadsafe(self._moved, button, pressed, at_s)

    def _moved(self, button: Button, pressed: bool, at_s: float) -> None:
        self._turn(button, *contacts.changed(self._contacts[button], pressed, at_s))

    def _stood(self, button: Button) -> None:
        self._turn(button, *contacts.stood(self._contacts[button], self._loop.time()))

    def _turn(self, button: Button, contact: Contact, edge_s: float | None) -> None:
        before, self._contacts[button] = self._contacts[button], contact
        if contact.due_s is not None:
            self._at(button, contact.due_s, partial(self._stood, button))
        if edge_s is not None:
            self._on_edge(Edge(button, not before.pressed, edge_s))

    # ---- lamps ----

    def _light(self) -> None:
        at_ms = round((self._loop.time() - self._since_s) * 1000)
        has_light = self._settings.pins.start_light != NOT_THERE
        settings = self._settings
        self._put(lights_at(self._face, at_ms, settings.lamp, pwm=settings.pwm, start_has_light=has_light))
        left_ms = until_change_ms(self._face.pattern, at_ms)
        if left_ms is not None:
            self._at("lamps", self._since_s + (at_ms + left_ms) / 1000, self._light)
        else:
            self._never("lamps")

    def _put(self, lights: Lights) -> None:
        for name, brightness in zip(TALLY, lights.tally, strict=True):
            self._lines.light(name, brightness)
        self._lines.light("start", lights.start)
        self._lines.light("curtain", lights.curtain)
        self._lines.light("still", lights.still)

    def _at(self, name: Button | Literal["lamps"], when_s: float, call: Callable[[], None]) -> None:
        self._never(name)
        self._timers[name] = self._loop.call_at(when_s, call)

    def _never(self, name: Button | Literal["lamps"]) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
