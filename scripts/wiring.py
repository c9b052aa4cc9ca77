"""`make wiring`: docs/images/wiring.svg, how a panel is wired, drawn from the pin map in the configuration.

The default map, as ``appliance/settings.py`` has it; a test holds that the picture in docs/ is the one that this draws.
With a ``kit.toml`` as argument, that kit's own is printed: ``python -m scripts.wiring kit.toml > mine.svg``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from appliance.hw.pins import HEADER, ID_PINS, NOT_THERE, position_of
from appliance.settings import PanelSection, load_settings

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "wiring.svg"

WIDTH, ROW, TOP, LEFT = 980, 26, 96, 330  # of the picture; LEFT is the header's left column
COLUMN = 34
PART_X = 640
PAINT = {"red": "#d5372c", "green": "#2f9e52", "blue": "#2f6fd0", "amber": "#e0900f", "white": "#8d94a0"}
SUPPLY = {"3V3": "#e8a33d", "5V": "#d5372c", "GND": "#30343b"}
OHMS = {"red": 330, "amber": 330, "green": 100, "blue": 100, "white": 100}  # 3.3 V leaves little for the last three
LAMPS = {"rgb": ("red", "green", "blue"), "leds": ("red", "amber", "white"), "none": ()}

STYLE = """
  text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #23262b; }
  .title { font-size: 20px; font-weight: 700; }
  .note, .label { fill: #5c636e; }
  .label { font-size: 11px; }
  .used { font-weight: 700; fill: #23262b; }
  .part { fill: #f6f4ee; stroke: #b9b2a2; }
  .wire { fill: none; stroke-width: 2.5; }
"""


@dataclass(frozen=True, slots=True)
class Wire:
    """A part's own pin, and what is between them. The part's other leg goes to ground (or 3.3 V)."""

    part: str
    bcm: int
    through: str
    paint: str


def wires(panel: PanelSection) -> list[Wire]:
    """Every wire of a panel that a kit has, in the order of the configuration."""
    pins = panel.pins
    buttons = [
        Wire("start / end button", pins.start, "", "#7a4fc0"),
        Wire("curtain button", pins.curtain, "", "#7a4fc0"),
        Wire("still button", pins.still, "", "#7a4fc0"),
    ]
    tally = [
        Wire(f"tally, {colour}", pin, f"{OHMS[colour]} Ω", PAINT[colour])
        for colour, pin in zip(LAMPS[panel.lamp], pins.tally, strict=False)
    ]
    rest = [
        Wire("light in start", pins.start_light, "330 Ω", "#2f9e52"),
        Wire("light in curtain", pins.curtain_light, "330 Ω", "#8d94a0"),
        Wire("light in still", pins.still_light, "330 Ω", "#2f6fd0"),
        Wire("buzzer", pins.buzzer, "", "#30343b"),
    ]
    return [wire for wire in (*buttons, *tally, *rest) if wire.bcm != NOT_THERE]


def draw(panel: PanelSection) -> str:
    """The picture, as SVG."""
    shown = sorted(wires(panel), key=lambda wire: position_of(wire.bcm))
    height = TOP + ROW * 20 + 78
    body = [*_header({wire.bcm for wire in shown}), *_wires(shown), *_notes(panel, height)]
    label = escape("; ".join(f"{wire.part}: GPIO {wire.bcm}, position {position_of(wire.bcm)}" for wire in shown))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">',
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text class="title" x="{LEFT - 290}" y="38">How a panel is wired to a Raspberry Pi</text>',
            f'<text class="note" x="{LEFT - 290}" y="62">The 40-pin header from above, position 1 at the top left, '
            "the board to its left</text>",
            *body,
            "</svg>",
            "",
        ]
    )


def _header(used: set[int]) -> Iterator[str]:
    yield (
        f'<rect x="{LEFT - 22}" y="{TOP - 18}" width="{COLUMN + 44}" height="{ROW * 20 + 10}" rx="8" fill="#22262c"/>'
    )
    for at, pin in enumerate(HEADER):
        ink = "#ffffff" if pin in ("GND", "5V") else "#23262b"
        x, y, left = LEFT + COLUMN * (at % 2), TOP + ROW * (at // 2), at % 2 == 0
        named = pin if isinstance(pin, str) else f"GPIO {pin}" + (" (ID)" if pin in ID_PINS else "")
        paint = SUPPLY.get(str(pin), "#f2c14e" if pin in used else "#9aa2ae")
        text_x, anchor = (x - 32, "end") if left else (x + 32, "start")
        yield f'<circle cx="{x}" cy="{y}" r="9" fill="{paint}" stroke="#ffffff"/>'
        yield f'<text x="{x}" y="{y + 3.5}" text-anchor="middle" style="font-size:9px;fill:{ink}">{at + 1}</text>'
        style = "label used" if pin in used else "label"
        yield f'<text class="{style}" x="{text_x}" y="{y + 4}" text-anchor="{anchor}">{named}</text>'


def _wires(shown: list[Wire]) -> Iterator[str]:
    """Left-hand pins leave between the rows, so that no wire runs over a pin; each has a lane of its own."""
    gap = ROW * 20 / max(1, len(shown))
    for lane, wire in enumerate(shown):
        at = position_of(wire.bcm) - 1
        left, row_y = at % 2 == 0, TOP + ROW * (at // 2)
        part_y, lane_x = TOP + gap * (lane + 0.5) - ROW / 2, PART_X - 30 - 14 * (len(shown) - lane)
        start = f"M{LEFT} {row_y + 9}v{ROW / 2 - 9}" if left else f"M{LEFT + COLUMN + 78} {row_y}"
        yield f'<path class="wire" stroke="{wire.paint}" d="{start}H{lane_x}V{part_y:g}H{PART_X}"/>'
        yield from _part(wire, part_y)


def _part(wire: Wire, y: float) -> Iterator[str]:
    through = f" through {wire.through}" if wire.through else ""
    yield f'<rect class="part" x="{PART_X}" y="{y - 20:g}" width="310" height="40" rx="7"/>'
    yield f'<circle cx="{PART_X + 18}" cy="{y:g}" r="6" fill="{wire.paint}"/>'
    yield f'<text x="{PART_X + 34}" y="{y - 3:g}">{wire.part}</text>'
    yield (
        f'<text class="label" x="{PART_X + 34}" y="{y + 12:g}">GPIO {wire.bcm} '
        f"(position {position_of(wire.bcm)}){through}</text>"
    )


def _notes(panel: PanelSection, height: int) -> Iterator[str]:
    lamps = "GND" if panel.lamp_lit_by == "high" else "3V3"
    grounds = ", ".join(str(at + 1) for at, pin in enumerate(HEADER) if pin == "GND")
    for line, text in enumerate(
        (
            f"The other leg of every button and of the buzzer goes to GND, that of every lamp to {lamps}.",
            f"GND is at positions {grounds}. Nothing here goes to 5V.",
        )
    ):
        yield f'<text class="note" x="{LEFT - 290}" y="{height - 40 + 20 * line}">{text}</text>'


def main(arguments: list[str]) -> int:
    """Write the picture in docs/, or print a kit's own."""
    if arguments:
        sys.stdout.write(draw(load_settings(Path(arguments[0])).panel))
    else:
        PICTURE.write_text(draw(PanelSection()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
