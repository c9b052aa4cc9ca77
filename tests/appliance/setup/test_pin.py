"""The PIN: random, kept as a hash, no default; set by the card, by the command, or at the first start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appliance.cli import OK, main
from appliance.errors import StateUnusable
from appliance.setup.door import Door
from appliance.setup.pin import PIN_FILE, is_pin, is_right, new_pin, set_pin, stored_pin


def test_pins_are_eight_digits_and_not_twice_the_same() -> None:
    pins = {new_pin() for _ in range(50)}
    assert all(is_pin(pin) for pin in pins)
    assert len(pins) == 50


def test_what_is_kept_does_not_tell_the_pin_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    set_pin(tmp_path, "27182818")
    kept = stored_pin(tmp_path)
    assert kept is not None
    assert is_right(kept, "27182818")
    assert not is_right(kept, "27182819")
    assert "27182818" not in (tmp_path / PIN_FILE).read_text()
    assert (tmp_path / PIN_FILE).stat().st_mode & 0o077 == 0


def test_the_same_pin_on_two_kits_is_kept_differently(tmp_path: Path) -> None:
    kept = []
    for name in ("one", "two"):
        set_pin(tmp_path / name, "27182818")
        kept.append(stored_pin(tmp_path / name))
    assert kept[0] != kept[1]


def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / PIN_FILE).write_text("{")
    with pytest.raises(StateUnusable, match="parta-kit setup-pin"):
        stored_pin(tmp_path)


async def test_a_kit_without_a_pin_makes_its_own_and_says_it_once(tmp_path: Path) -> None:
    said = await Door(tmp_path).prepare()
    assert said is not None
    kept = await asyncio.to_thread(stored_pin, tmp_path)
    assert kept is not None
    assert is_right(kept, said.replace(" ", ""))
    assert await Door(tmp_path).prepare() is None


def test_the_command_makes_a_new_pin_and_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "kit.toml"
    config.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n')
    assert main(["setup-pin", "--config", str(config)]) == OK
    said = capsys.readouterr().out.strip().rpartition(" is now ")[2]
    kept = stored_pin(tmp_path / "state")
    assert kept is not None
    assert is_right(kept, said.replace(" ", ""))
