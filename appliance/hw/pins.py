"""The Raspberry Pi's 40-pin header, and which of its pins a panel may use. Pure.

Used by ``settings.py`` (a pin map is checked when it is read) and by ``scripts/wiring.py`` (the picture is drawn from
the same map). Pins are BCM numbers, as in the configuration; ``HEADER`` says where they come out. Not here: opening a
pin (``gpio/lines.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

NOT_THERE: Final = 0  # in a pin map: this kit has no such part. GPIO 0 is an ID pin that no panel may use anyway

#: What each position of the header carries, from 1: a BCM number or a supply. The same on every Pi with 40 pins.
HEADER: tuple[int | str, ...] = (
    *("3V3", "5V", 2, "5V", 3, "GND", 4, 14, "GND", 15),
    *(17, 18, 27, "GND", 22, 23, "3V3", 24, 10, "GND"),
    *(9, 25, 11, 8, "GND", 7, 0, 1, 5, "GND"),
    *(6, 12, 13, "GND", 19, 16, 26, 20, "GND", 21),
)
#: The board reads a HAT's identity here while it starts; nothing else belongs on them.
ID_PINS = frozenset({0, 1})
#: The I2C bus, with 1.8 kΩ pull-ups soldered on: a lamp glows, and a clock module or a display stops working.
I2C_PINS = frozenset({2, 3})


def position_of(bcm: int) -> int:
    """Where a BCM number comes out: 1 to 40."""
    return HEADER.index(bcm) + 1


def pin_trouble(pins: Iterable[tuple[str, int]], *, allow_i2c: bool) -> str | None:
    """What is wrong with a pin map, as ``name: reason; remedy``, or ``None``. ``NOT_THERE`` is never wrong."""
    taken: dict[int, str] = {}
    for name, bcm in pins:
        reason = _reason(bcm, taken, allow_i2c=allow_i2c)
        if reason is not None:
            return f"{name}: {reason}"
        if bcm != NOT_THERE:
            taken[bcm] = name
    return None


def _reason(bcm: int, taken: Mapping[int, str], *, allow_i2c: bool) -> str | None:
    if bcm == NOT_THERE:
        return None
    if bcm not in HEADER:
        return f"GPIO {bcm} is not on the header; give a BCM number from 2 to 27, or 0 for none"
    if bcm in ID_PINS:
        return f"GPIO {bcm} is for a HAT's identity; take another pin"
    if bcm in I2C_PINS and not allow_i2c:
        return f"GPIO {bcm} is the I2C bus; take another pin, or set panel.allow_i2c = true if nothing uses the bus"
    if bcm in taken:
        return f"GPIO {bcm} is taken by {taken[bcm]}; every part needs a pin of its own"
    return None
