"""``parta-kit`` as a person meets it: help, versions, one clear line for what they can put right, and a clean stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from appliance.cli import CANNOT_START, OK, STOP_AT_MOST_S, main
from tests.running import free_port

START_S = 30


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int | None
    output: str
    errors: str


async def _run(*arguments: str) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "appliance",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), START_S)
    return Ended(process.returncode, output.decode(), errors.decode())


def _config(folder: Path, text: str, port: int | None = None) -> Path:
    path = folder / "kit.toml"
    panel = f"\n[panel]\nport = {port or free_port()}\n[network]\nannounce = false\n[setup]\nenabled = false\n"
    path.write_text(f'[kit]\nstate_dir = "{folder / "state"}"\n{text}{panel}', encoding="utf-8")
    return path


@asynccontextmanager
async def _kit(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A kit whose relay is not there, and where its panel answers."""
    port = free_port()
    config = _config(folder, f'[relay]\nurl = "http://127.0.0.1:{free_port()}"\n', port)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "appliance", "run", "--config", str(config), stderr=asyncio.subprocess.PIPE
    )
    try:
        await _until_panel_answers(process, port)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _until_panel_answers(process: asyncio.subprocess.Process, port: int) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(START_S):
        async for line in process.stderr:
            if b"ready" in line and str(port).encode() in line:
                return
    raise AssertionError("the kit ended before it was ready")


def test_help_names_the_commands_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == OK
    told = capsys.readouterr().out
    for word in ("run", "check", "discover", "doctor", "enrol", "--version", "Exit codes"):
        assert word in told


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == OK
    assert capsys.readouterr().out.startswith("parta-kit ")


def test_good_settings_are_called_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(_config(tmp_path, ""))]) == OK
    assert capsys.readouterr().out.endswith(": good\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[camera]\nfsp = 3", "camera.fsp: unknown key; did you mean fps?"),
        ("camera = [", "not valid TOML"),
        ('[camera]\nkind = "file"\nfile = "/nowhere/lesson.mp4"', "/nowhere/lesson.mp4"),
        ('[camera]\nkind = "file"\nfile = "{junk}"', "{junk}"),
        ('[microphone]\nkind = "file"\nfile = "/nowhere/voice.wav"', "/nowhere/voice.wav"),
    ],
)
async def test_what_a_person_can_put_right_is_one_line_and_exit_code_two(tmp_path: Path, text: str, told: str) -> None:
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"this is no video" * 100)
    ended = await _run("run", "--config", str(_config(tmp_path, text.replace("{junk}", str(junk)))))
    assert ended.code == CANNOT_START
    assert told.replace("{junk}", str(junk)) in ended.errors
    assert ended.errors.count("\n") == 1
    assert ended.errors.startswith("parta-kit: ")


async def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.toml")
    assert await _run("run", "--config", missing) == Ended(
        CANNOT_START, "", f"parta-kit: {missing}: no such file; give an existing one with --config\n"
    )


async def test_a_busy_port_is_named_with_its_key(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await _run("run", "--config", str(_config(tmp_path, "", port)))
    assert ended.code == CANNOT_START
    assert f"panel.port: {port} on 127.0.0.1 is in use" in ended.errors.splitlines()[-1]
    assert "Traceback" not in ended.errors


async def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    ended = await _run("run", "--config", str(_config(tmp_path, "")))
    assert ended.code == CANNOT_START
    assert str(tmp_path / "state") in ended.errors
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
async def test_a_kit_in_a_lesson_stops_cleanly_and_in_time(tmp_path: Path, sign: signal.Signals) -> None:
    async with _kit(tmp_path) as (process, panel), aiohttp.ClientSession() as http:
        async with http.post(f"{panel}/panel/buttons/start/press") as answer:
            assert answer.status == 204
        began_s = time.monotonic()
        process.send_signal(sign)
        assert await asyncio.wait_for(process.wait(), 2 * STOP_AT_MOST_S) == OK
        assert time.monotonic() - began_s < STOP_AT_MOST_S
    assert not (tmp_path / "state" / "lesson.json").exists()
