"""The kit's settings: the shipped file is the defaults, and what contradicts itself is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.settings import KitSettings, load_settings
from config.strict_toml import ConfigurationError

SHIPPED = Path(__file__).parents[2] / "config" / "kit.toml"


def _written(folder: Path, text: str) -> Path:
    path = folder / "kit.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_file_is_the_defaults() -> None:
    assert load_settings(SHIPPED) == KitSettings()


def test_the_shipped_file_names_and_explains_every_key() -> None:
    """A key that is missing from the file would be a default that nobody sees; one without a comment, a riddle."""
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for section in KitSettings.__struct_fields__:
        start = lines.index(f"[{section}]")
        for key in getattr(KitSettings(), section).__struct_fields__:
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
        ("[camera]\nfps = 0", "camera.fps: expected int >= 1"),
        ("[camera]\nwidth = 1281", "camera.width: expected int that's a multiple of 2"),
        ('[panel]\nport = "8090"', "panel.port: expected int, got str"),
        ('[camera]\nkind = "webcam"', "camera.kind: invalid enum value 'webcam'"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path: Path, text: str, told: str) -> None:
    path = _written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"{path}: {told}")
    assert "\n" not in str(caught.value)
