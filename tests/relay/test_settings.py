"""The relay's settings: the shipped file is the defaults, and what contradicts itself is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.strict_toml import ConfigurationError
from relay.settings import RelaySettings, load_settings

SHIPPED = Path(__file__).parents[2] / "config" / "relay.toml"


def _written(folder: Path, text: str) -> Path:
    path = folder / "relay.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_file_is_the_defaults() -> None:
    assert load_settings(SHIPPED) == RelaySettings()


def test_the_shipped_file_names_and_explains_every_key() -> None:
    """A key that is missing from the file would be a default that nobody sees; one without a comment, a riddle."""
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for section in RelaySettings.__struct_fields__:
        start = lines.index(f"[{section}]")
        for key in getattr(RelaySettings(), section).__struct_fields__:
            at = next(i for i in range(start + 1, len(lines)) if lines[i].partition("=")[0].strip() == key)
            assert lines[at - 1].startswith("#"), f"{section}.{key} has no comment"


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(_written(tmp_path, "")) == RelaySettings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[web]\npublic_url = "ftp://x"', "web.public_url: must start with https://"),
        ("[web]\nprot = 80", "web.prot: unknown key; did you mean port?"),
        ("[media]\nport = 0", "media.port: expected int >= 1"),
        ("[media]\nmax_sessions = 0", "media.max_sessions: expected int >= 1"),
        ("[media]\nworkers = 0", "media.workers: expected int >= 1"),
        ("[media]\nworkers = 65", "media.workers: expected int <= 64"),
        ("[media]\nport = 65535\nworkers = 2", "media.workers: 2 of them need the UDP ports 65535 to 65536"),
        ('[media]\nadvertise = "127.0.0.1"', "media.advertise: expected array, got str"),
        ('[relay]\nlog_level = "loud"', "relay.log_level: invalid enum value 'loud'"),
        ('[turn]\nurls = ["turn:turn.example"]', "turn: urls and secret_file go together"),
        ('[turn]\nsecret_file = "/etc/parta/turn.secret"', "turn: urls and secret_file go together"),
        ('[turn]\nurls = ["stun:stun.example"]\nsecret_file = "x"', 'turn.urls: "stun:stun.example" is no TURN server'),
        ('[turn]\nurls = ["turn:a>; rel=x"]\nsecret_file = "x"', 'turn.urls: "turn:a>; rel=x" is no TURN server'),
        ("[turn]\ncredentials_s = 59", "turn.credentials_s: expected int >= 60"),
        ('[turn]\nsecret = "x"', "turn.secret: unknown key; did you mean secret_file?"),
        ("[web\n", "not valid TOML"),
        ("[web]\nannounce = true", "web.announce: is true, and web.public_url is good on this machine only"),
        ('[web]\nannounce = true\npublic_url = "http://localhost:80"', "web.announce: is true"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path: Path, text: str, told: str) -> None:
    path = _written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"{path}: {told}")
    assert "\n" not in str(caught.value)
