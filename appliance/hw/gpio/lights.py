"""What every lamp of a real panel shows of a face, at a time: pure. Played by ``panel.py``.

The tally plays ``Face.pattern``. A button may have a light of its own: start's is lit while a press starts a
lesson, and counts a hold down; curtain's is lit while the curtain is closed; still's, while there is a picture to take.
Where start has no light, the tally itself fades with the hold, but never goes out: that would say that the camera is
closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from appliance.hw.base import Face
from appliance.hw.patterns import Colour, colour_at

LampKind = Literal["rgb", "leds", "none"]

FADES_TO = 0.25  # of its brightness, at the end of a hold: plainly less, and plainly lit
WINKS = 4  # a light without PWM can't fade: it winks so often while a hold runs

#: A colour on the three pins, in the order of the configuration: of one RGB LED, or of three LEDs.
_MIX: Mapping[LampKind, Mapping[Colour, tuple[float, float, float]]] = {
    "rgb": {"red": (1, 0, 0), "amber": (1, 0.35, 0), "white": (1, 1, 1)},
    "leds": {"red": (1, 0, 0), "amber": (0, 1, 0), "white": (0, 0, 1)},
    "none": {},
}
_DARK = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Lights:
    """Brightness of every lamp, 0 to 1. ``tally`` is for the three pins in the order of the configuration."""

    tally: tuple[float, float, float] = _DARK
    start: float = 0.0
    curtain: float = 0.0
    still: float = 0.0


def lights_at(face: Face, at_ms: int, lamp: LampKind, *, pwm: bool, start_has_light: bool) -> Lights:
    """What is lit ``at_ms`` after the face's tally was first shown."""
    left = 1.0 - face.hold if face.hold_for is not None else None
    fades = 1.0 if left is None or start_has_light or not pwm else FADES_TO + (1 - FADES_TO) * left
    return Lights(
        tally=_tally(colour_at(face.pattern, at_ms), lamp, fades, pwm=pwm),
        start=float(face.state in ("idle", "preview")) if left is None else _counted_down(left, pwm=pwm),
        curtain=float(face.state == "curtain"),
        still=float(face.state in ("starting", "live", "degraded")),
    )


def _tally(colour: Colour | None, lamp: LampKind, brightness: float, *, pwm: bool) -> tuple[float, float, float]:
    red, second, third = _DARK if colour is None else _MIX[lamp].get(colour, _DARK)
    if not pwm:
        return float(red > 0), float(second > 0), float(third > 0)
    return red * brightness, second * brightness, third * brightness


def _counted_down(left: float, *, pwm: bool) -> float:
    return left if pwm else float((1 - left) * WINKS % 1 < 0.5)
