"""gpiozero's own mock pins, for tests of the real panel: a finger on a button, and eyes on a lamp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gpiozero import Device, PinInvalidState
from gpiozero.pins.mock import MockFactory, MockPWMPin


class WatchedPin(MockPWMPin):  # type: ignore[misc]  # gpiozero has no types
    """A mock pin that tells of every change, may be held down from outside, and may be broken."""

    def __init__(self, factory: Any, info: Any) -> None:
        super().__init__(factory, info)
        self.held_down = self.broken = False

    def _change_state(self, value: float) -> bool:
        changed: bool = super()._change_state(value)
        if changed:
            for tell in tuple(self.factory.watchers):
                tell(self.info.name, float(value))
        return changed

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.held_down:
            self.drive_low()

    def _set_state(self, value: float) -> None:
        if self.broken:
            raise PinInvalidState("the line is gone")
        super()._set_state(value)


class MockPins:
    """The pins of a Pi that isn't there. Numbers are BCM's."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory
        self._factory.watchers = []

    def watch(self, tell: Callable[[str, float], None]) -> None:
        """Call ``tell`` with the name ("GPIO5") and level of every pin that changes, on the thread that changed it."""
        self._factory.watchers.append(tell)

    def pin(self, bcm: int) -> Any:
        """The pin itself."""
        return self._factory.pin(bcm)

    async def until(self, holds: Callable[[], bool], within_s: float = 5) -> None:
        """Wait for pins to change until this holds."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def tell(*_: object) -> None:
            loop.call_soon_threadsafe(changed.set)

        self.watch(tell)
        try:
            async with asyncio.timeout(within_s):
                while not holds():
                    await changed.wait()
                    changed.clear()
        finally:
            self._factory.watchers.remove(tell)

    def press(self, bcm: int) -> None:
        """Connect a button's pin to ground. Calls what gpiozero calls, on this thread."""
        self._factory.pin(bcm).drive_low()

    def release(self, bcm: int) -> None:
        """Let go."""
        self._factory.pin(bcm).drive_high()

    def level(self, bcm: int) -> float:
        """What a pin puts out; a pin that is nobody's output puts out nothing."""
        pin = self._factory.pin(bcm)
        return float(pin.state) if pin.function == "output" else 0.0

    def levels(self, *bcm: int) -> tuple[float, ...]:
        """Of several pins."""
        return tuple(self.level(pin) for pin in bcm)

    def history(self, bcm: int) -> list[float]:
        """Every level that a pin had, oldest first."""
        return [float(state.state) for state in self._factory.pin(bcm).states]

    def forget(self, bcm: int) -> None:
        """Begin its history anew."""
        self._factory.pin(bcm).clear_states()

    def occupy(self, bcm: int) -> Any:
        """Somebody else has this pin; close what is returned."""
        from gpiozero import DigitalOutputDevice

        return DigitalOutputDevice(bcm, pin_factory=self._factory)


@contextmanager
def mock_pins() -> Iterator[MockPins]:
    """Make gpiozero work on mock pins, as ``appliance/hw/gpio/lines.py`` will find them."""
    factory = MockFactory(pin_class=WatchedPin)
    Device.pin_factory = factory
    try:
        yield MockPins(factory)
    finally:
        Device.pin_factory = None
        factory.reset()
