"""The pins themselves, through gpiozero on lgpio: the only module that knows them. Owned by ``panel.py``.

Levels of buttons come on a thread of each (``edges.py``). Not here: what they mean, and what a lamp shows.

The kernel gives a line back when its process is gone, however it went, but Raspberry Pi's kernels leave the level as it
was unless ``dtparam=strict_gpiod`` is set (docs/wiring.md): after a crash, ``parta-kit lamps-off`` darkens them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from appliance.errors import PanelUnavailable
from appliance.hw.base import Button
from appliance.hw.gpio.edges import LineEdges

if TYPE_CHECKING:
    from gpiozero import DigitalInputDevice, OutputDevice

log = logging.getLogger(__name__)

OnLevel = Callable[[Button, bool, float], None]
Failures = tuple[type[Exception], ...]

LIBRARY_REMEDY = (
    'panel.kind = "gpio" needs gpiozero and lgpio: install python3-gpiozero and python3-lgpio, or pip install '
    "'parta[kit-hardware]'"
)
FOLDER_REMEDY = (
    'panel.kind = "gpio": lgpio makes a pipe in the folder that the kit is started in, and may not; start it where it '
    "may write, as in kit.state_dir (WorkingDirectory= of the service)"
)


class Lines:
    """Open lines: each output takes a brightness; names are whatever ``open_lines`` was given."""

    def __init__(self, buttons: Mapping[Button, DigitalInputDevice], outputs: Mapping[str, Any], failures: Failures):
        self._buttons = buttons
        self._outputs: Mapping[str, OutputDevice] = outputs
        self._failures = failures
        self._shown = dict.fromkeys(outputs, 0.0)
        self._failed = False

    @property
    def buttons(self) -> tuple[Button, ...]:
        """The buttons that this kit has."""
        return tuple(self._buttons)

    def pressed(self, button: Button) -> bool:
        """Whether the button is down now, bounces and all."""
        return bool(self._buttons[button].is_active)

    def watch(self, on_level: OnLevel) -> None:
        """Call ``on_level(button, pressed, monotonic seconds)`` on gpiozero's thread, on every change."""
        for button, device in self._buttons.items():
            device.when_activated = _teller(on_level, button, True)
            device.when_deactivated = _teller(on_level, button, False)

    def light(self, name: str, brightness: float) -> None:
        """Set an output, 0 to 1; nothing where the kit has none of that name. Never raises."""
        if self._shown.get(name, brightness) == brightness:
            return
        try:
            self._outputs[name].value = brightness
        except self._failures as error:
            if not self._failed:
                log.warning("panel: %s does not take a level: %s", name, error)
            self._failed = True
        else:
            self._shown[name] = brightness


def _teller(on_level: OnLevel, button: Button, pressed: bool) -> Callable[[], None]:
    return lambda: on_level(button, pressed, time.monotonic())


@contextmanager
def open_lines(
    buttons: Mapping[Button, int],
    lamps: Mapping[str, int],
    switches: Mapping[str, int],
    *,
    pwm: bool,
    lit_by_high: bool,
) -> Iterator[Lines]:
    """Claim the pins (BCM numbers): ``lamps`` may be dimmed if ``pwm``, ``switches`` are on or off.

    Buttons connect their pin to ground. All outputs are dark when the context is left. Raises ``PanelUnavailable``.
    """
    with ExitStack() as opened:
        try:
            factory, failures = _factory(opened)
        except PanelUnavailable:
            raise
        except ImportError as error:
            raise PanelUnavailable(f"{LIBRARY_REMEDY} ({error})") from error
        except OSError as error:
            raise PanelUnavailable(f"{FOLDER_REMEDY} ({error})") from error
        try:
            lines = _claim(opened, factory, failures, buttons, lamps, switches, pwm=pwm, lit_by_high=lit_by_high)
        except failures as error:
            raise PanelUnavailable(
                f"panel.pins: a pin cannot be had ({error}); free it, or set another in panel.pins"
            ) from error
        yield lines


def _claim(
    opened: ExitStack,
    factory: Any,
    failures: Failures,
    buttons: Mapping[Button, int],
    lamps: Mapping[str, int],
    switches: Mapping[str, int],
    *,
    pwm: bool,
    lit_by_high: bool,
) -> Lines:
    from gpiozero import DigitalInputDevice, DigitalOutputDevice, PWMOutputDevice

    lamp = PWMOutputDevice if pwm else DigitalOutputDevice
    claimed: dict[str, Any] = {}
    for name, pin in lamps.items():
        claimed[name] = opened.enter_context(lamp(pin, active_high=lit_by_high, pin_factory=factory))
    for name, pin in switches.items():
        claimed[name] = opened.enter_context(DigitalOutputDevice(pin, pin_factory=factory))
    # Not gpiozero's Button: it keeps a thread for each, for holds, and what a hold means is gestures.py's to say.
    contacts = {
        name: opened.enter_context(DigitalInputDevice(pin, pull_up=True, pin_factory=factory))
        for name, pin in buttons.items()
    }
    for name, output in claimed.items():
        opened.callback(_darken, name, output, failures)
    return Lines(contacts, claimed, failures)


def _darken(name: str, output: Any, failures: Failures) -> None:
    try:
        output.off()
    except failures as error:
        log.warning("panel: %s could not be switched off: %s", name, error)


def _factory(opened: ExitStack) -> tuple[Any, Failures]:
    """The pins' maker: the one that a test has set, or else lgpio, with edges. And what it raises."""
    from gpiozero import Device, GPIOZeroError

    if Device.pin_factory is not None:
        return Device.pin_factory, (GPIOZeroError,)
    import lgpio

    failures = (GPIOZeroError, lgpio.error, OSError)  # the last is libgpiod's
    try:
        factory = _lgpio_with_edges()
    except failures as error:
        raise PanelUnavailable(
            f'panel.kind = "gpio": the pins cannot be opened ({error}); on a Raspberry Pi let this user read and write '
            'the GPIO device (group gpio), elsewhere set panel.kind = "simulated"'
        ) from error
    opened.callback(factory.close)
    return factory, failures


def _lgpio_with_edges() -> Any:
    """gpiozero's lgpio factory. Of a pin that gpiozero is told the changes of, the line is libgpiod's meanwhile."""
    import lgpio
    from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin

    class EdgePin(LGPIOPin):  # type: ignore[misc]  # gpiozero has no types
        """As its base, but that it waits for changes instead of asking for them."""

        _edges_of: LineEdges | None = None

        def close(self) -> None:
            self._disable_event_detect()
            super().close()

        def _get_state(self) -> Any:
            return super()._get_state() if self._edges_of is None else self._edges_of.level()

        def _enable_event_detect(self) -> None:
            chip, line, pull = self.factory.chip, self._number, self._get_pull()
            lgpio.gpio_free(self.factory._handle, line)  # noqa: SLF001 - as LGPIOPin does
            self._edges_of = LineEdges(
                chip, line, pull, lambda level, at_ns: self._call_when_changed(chip, line, int(level), at_ns)
            )

        def _disable_event_detect(self) -> None:
            if self._edges_of is not None:
                self._edges_of.close()
                self._edges_of = None
                handle = self.factory._handle  # noqa: SLF001
                lgpio.gpio_claim_input(handle, self._number, lgpio.SET_PULL_NONE)

    factory = LGPIOFactory()
    factory.pin_class = EdgePin
    return factory
