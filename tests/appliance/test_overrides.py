"""What was set on a kit goes before its kit.toml, is checked as strictly, and survives whatever a power cut does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.errors import StateUnusable
from appliance.identity import CREDENTIALS_FILE
from appliance.overrides import (
    OVERRIDES_FILE,
    Overrides,
    give_to_owner,
    load_effective,
    merged,
    read_overrides,
    set_overrides,
)
from appliance.settings import KitSettings
from config.strict_toml import ConfigurationError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "kit.toml"
    path.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n[relay]\nurl = "http://file"\n[camera]\nfps = 15\n')
    return path


def test_overrides_go_before_the_file_and_the_file_before_the_defaults(config: Path, tmp_path: Path) -> None:
    assert load_effective(config).relay.url == "http://file"
    set_overrides(tmp_path / "state", {"relay": {"url": "https://set"}})
    effective = load_effective(config)
    assert (effective.relay.url, effective.camera.fps, effective.camera.width) == ("https://set", 15, 1280)


def test_setting_one_key_leaves_the_others(tmp_path: Path) -> None:
    set_overrides(tmp_path, {"relay": {"url": "https://a"}, "camera": {"fps": 10}})
    set_overrides(tmp_path, {"camera": {"width": 640}})
    assert read_overrides(tmp_path) == {"relay": {"url": "https://a"}, "camera": {"fps": 10, "width": 640}}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"camera": {"fsp": 3}}, "here: camera.fsp: unknown key; did you mean fps?"),
        ({"camera": {"fps": 0}}, "here: camera.fps: expected int >= 1"),
        ({"kit": {"state_dir": "/"}}, "here: kit: cannot be set here"),
        ({"relay": {"url": "ftp://x"}}, "here: relay.url: must start with https://"),
    ],
)
def test_what_is_wrong_is_named_with_its_key_and_where_it_is(overrides: Overrides, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        merged(KitSettings(), overrides, origin="here")
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("content", ["", "{", '{"relay": 3}', "[]"])
def test_a_damaged_file_is_named_with_what_to_do(config: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / OVERRIDES_FILE).write_text(content)
    with pytest.raises(StateUnusable, match=r"damaged .* delete it"):
        load_effective(config)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_wrote_belongs_to_the_kit(tmp_path: Path) -> None:
    nobody = 65534
    os.chown(tmp_path, nobody, nobody)
    (tmp_path / CREDENTIALS_FILE).write_text("{}")
    set_overrides(tmp_path, {"relay": {"url": "https://a"}})
    give_to_owner(tmp_path)
    assert {(tmp_path / name).stat().st_uid for name in (CREDENTIALS_FILE, OVERRIDES_FILE)} == {nobody}
