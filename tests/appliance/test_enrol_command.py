"""``parta-kit enrol``, against the real relay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.cli import CANNOT_START, OK, main
from appliance.identity import Credentials
from appliance.overrides import load_effective
from relay.clock import moment
from tests.relay.running import Serving, serving


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[tuple[Serving, str]]:
    """A relay, and a code for room 12."""
    async with serving(tmp_path / "relay") as relay:
        async with relay.at.office() as office:
            await office.add_school("Школа № 7")
            await office.add_class("7Б", None)
            code = await office.issue_code("12", "7Б", None, moment().unix_ms, 3600)
        yield relay, code.secret


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "kit.toml"
    path.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n')
    return path


async def _enrol(config: Path, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["enrol", *arguments, "--config", str(config)])


async def test_a_code_and_an_address_make_a_kit_known_and_the_address_is_kept(
    relay: tuple[Serving, str], config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serving, code = relay
    assert await _enrol(config, code, "--relay", serving.url, "--json") == OK
    told = capsys.readouterr().out
    assert json.loads(told)["room"] == "12"
    kept = Credentials.load(tmp_path / "state")
    assert kept is not None
    assert kept.class_path not in told
    assert kept.relay_url == load_effective(config).relay.url == serving.url


async def test_a_wrong_code_is_one_line_and_changes_nothing(
    relay: tuple[Serving, str], config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load_effective(config)
    assert await _enrol(config, "WRONG-CODE", "--relay", relay[0].url) == CANNOT_START
    told = capsys.readouterr().err
    assert "unknown, used or expired" in told
    assert told.count("\n") == 1
    assert load_effective(config) == before
    assert Credentials.load(tmp_path / "state") is None


async def test_what_is_no_address_is_refused_before_the_code_is_sent(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await _enrol(config, "ANY", "--relay", "parta.example") == CANNOT_START
    assert "--relay: relay.url: must start with https://" in capsys.readouterr().err
