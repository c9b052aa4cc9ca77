"""The wiring picture: it is what the pin map says, in docs/ and for any other map."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from appliance.hw.pins import HEADER, I2C_PINS, ID_PINS, position_of
from appliance.settings import PanelSection, PinsSection
from scripts.wiring import PICTURE, draw, main, wires

EVERYTHING = PanelSection(
    lamp="leds", lamp_lit_by="low", pins=PinsSection(start_light=24, curtain_light=25, still_light=12, buzzer=23)
)
GUIDE = PICTURE.parent.parent / "wiring.md"


def pins_of(panel: PanelSection) -> list[int]:
    values = msgspec.structs.astuple(panel.pins)
    flat = [pin for value in values for pin in (value if isinstance(value, tuple) else (value,))]
    return sorted(pin for pin in flat if pin)


def test_the_picture_in_the_documents_is_the_default_pin_map() -> None:
    assert PICTURE.read_text(encoding="utf-8") == draw(PanelSection()), "make wiring"


@pytest.mark.parametrize("panel", [PanelSection(), EVERYTHING], ids=["default", "everything"])
def test_every_pin_of_the_map_has_one_wire_and_one_label(panel: PanelSection) -> None:
    assert sorted(wire.bcm for wire in wires(panel)) == pins_of(panel)
    picture = ET.fromstring(draw(panel))
    texts = [text.text or "" for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    for pin in pins_of(panel):
        assert [text for text in texts if text.startswith(f"GPIO {pin} (position {position_of(pin)})")]
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}path"))) == len(pins_of(panel))


def test_a_lamp_that_is_lit_by_low_goes_to_3_3_volts() -> None:
    assert "that of every lamp to GND" in draw(PanelSection())
    assert "that of every lamp to 3V3" in draw(EVERYTHING)


def test_a_kit_with_less_has_less_in_its_picture() -> None:
    bare = PanelSection(lamp="none", pins=PinsSection(curtain=0, still=0))
    assert [wire.part for wire in wires(bare)] == ["start / end button"]


def test_a_kits_own_map_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "kit.toml"
    config.write_text("[panel.pins]\nstart = 26\n", encoding="utf-8")
    assert main([str(config)]) == 0
    assert "GPIO 26 (position 37)" in capsys.readouterr().out


def test_the_header_is_the_raspberry_pis() -> None:
    """As Raspberry Pi's documentation draws it: 26 GPIOs and two ID pins, each once; eight grounds."""
    assert sorted(pin for pin in HEADER if isinstance(pin, int)) == list(range(28))
    assert len(HEADER) == 40
    assert [at + 1 for at, pin in enumerate(HEADER) if pin == "GND"] == [6, 9, 14, 20, 25, 30, 34, 39]
    assert [position_of(pin) for pin in (2, 3, 17, 27, 22, 0, 1, 5, 6, 13)] == [3, 5, 11, 13, 15, 27, 28, 29, 31, 33]


def test_the_default_leaves_the_id_and_i2c_pins_alone() -> None:
    assert not set(pins_of(PanelSection())) & (ID_PINS | I2C_PINS)


def test_the_guides_table_is_the_default_pin_map() -> None:
    rows = re.findall(r"^\| ([^|]+) \| GPIO (\d+) \| (\d+) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(part, int(bcm), int(at)) for part, bcm, at in rows] == [
        (wire.part, wire.bcm, position_of(wire.bcm)) for wire in wires(PanelSection())
    ]
