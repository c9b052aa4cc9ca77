"""The kit's settings: the shipped file is the defaults, and what contradicts itself is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from appliance.settings import KitSettings, load_settings
from config.strict_toml import ConfigurationError

SHIPPED = Path(__file__).parents[2] / "config" / "kit.toml"


def _written(folder: Path, text: str) -> Path:
    path = folder / "kit.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _sections(settings: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every table of the file, with its own keys."""
    values = msgspec.structs.asdict(settings)
    inner = {key: value for key, value in values.items() if isinstance(value, msgspec.Struct)}
    if prefix:
        yield prefix, [key for key in values if key not in inner]
    for key, value in inner.items():
        yield from _sections(value, f"{prefix}.{key}" if prefix else key)


def test_the_shipped_file_is_the_defaults() -> None:
    assert load_settings(SHIPPED) == KitSettings()


def test_the_shipped_file_names_and_explains_every_key() -> None:
    """A key that is missing from the file would be a default that nobody sees; one without a comment, a riddle."""
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for section, keys in _sections(KitSettings()):
        start = lines.index(f"[{section}]")
        for key in keys:
            at = next(i for i in range(start + 1, len(lines)) if lines[i].partition("=")[0].strip() == key)
            assert lines[at - 1].startswith("#"), f"{section}.{key} has no comment"


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(_written(tmp_path, "")) == KitSettings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[camera]\nkind = "file"', 'camera.file: is empty, and camera.kind is "file"; name a video'),
        ('[microphone]\nkind = "file"', 'microphone.file: is empty, and microphone.kind is "file"; name a video'),
        ('[relay]\nurl = "ftp://x"', "relay.url: must start with https://"),
        ("[camera]\nfsp = 30", "camera.fsp: unknown key; did you mean fps?"),
        ("[camera]\nbitrate_min_kbps = 2000", "camera.bitrate_min_kbps: must not be more than camera.bitrate_kbps"),
        ("[camera]\nfps = 0", "camera.fps: expected int >= 1"),
        ("[camera]\nwidth = 1281", "camera.width: expected int that's a multiple of 2"),
        ('[panel]\nport = "8090"', "panel.port: expected int, got str"),
        ("[panel.pins]\nstrat = 17", "panel.pins.strat: unknown key; did you mean start?"),
        ("[panel.pins]\ncurtain = 28", "panel.pins.curtain: expected int <= 27"),
        ("[panel.pins]\ncurtain = 17", "panel.pins.curtain: GPIO 17 is taken by panel.pins.start; every part needs"),
        ("[panel.pins]\nbuzzer = 6", "panel.pins.tally[1]: GPIO 6 is taken by panel.pins.buzzer"),
        ("[panel.pins]\nstill = 1", "panel.pins.still: GPIO 1 is for a HAT's identity; take another pin"),
        (
            "[panel.pins]\nstart = 3",
            "panel.pins.start: GPIO 3 is the I2C bus; take another pin, or set",
        ),
        ("[panel.pins]\ntally = [5, 0, 13]", 'panel.pins.tally[1]: is 0, and panel.lamp is "rgb"; name three pins'),
        ("[panel.pins]\ntally = [5, 6]", "panel.pins.tally: expected array of length 3, got 2"),
        (
            '[panel]\nkind = "gpio"\n[panel.pins]\nstart = 0',
            "panel.pins.start: is 0, and a panel needs its start",
        ),
        ("[camera]\ncrop = [0.5, 0.0, 0.6, 1.0]", "camera.crop: is [left, top, width, height] in shares of the sensor"),
        ("[camera]\ncrop = [0.5, 0.0, 0.0, 1.0]", "camera.crop: is [left, top, width, height] in shares of the sensor"),
        ("[camera]\ncrop = [0.5, 0.0, 1.5, 1.0]", "camera.crop[2]: expected float <= 1.0"),
        ("[camera]\nrotation = 90", "camera.rotation: invalid enum value 90"),
        ('[camera]\nkind = "webcam"', "camera.kind: invalid enum value 'webcam'"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path: Path, text: str, told: str) -> None:
    path = _written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"{path}: {told}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[panel]\nallow_i2c = true\n[panel.pins]\nstart = 3",
        "[panel.pins]\nstill = 0\ncurtain = 0",
        '[panel]\nlamp = "none"\n[panel.pins]\nbuzzer = 6',
    ],
)
def test_a_pin_map_that_is_meant_is_taken(tmp_path: Path, text: str) -> None:
    assert load_settings(_written(tmp_path, text)) != KitSettings()
