"""`make run`, as a newcomer's terminal does it: two lines, one Ctrl-C, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
import pytest

from appliance.settings import load_settings as load_kit_settings
from relay.settings import load_settings as load_relay_settings
from scripts import demo
from tests.appliance.capture.media import Recipe, make_video
from tests.running import free_port

START_S = 40.0  # the promise is 5 s on an idle machine; tests share theirs
STOP_S = 5.0  # the promise itself: its stages' own bounds add up to less
ROOT = Path(demo.__file__).resolve().parent.parent


@dataclass
class Terminal:
    """``python -m scripts.demo`` in a process group of its own, on free ports; what it has printed."""

    state: Path
    web: int = field(default_factory=free_port)
    panel: int = field(default_factory=free_port)
    media: int = field(default_factory=lambda: free_port(socket.SOCK_DGRAM))
    lines: list[str] = field(default_factory=list)
    process: asyncio.subprocess.Process = field(init=False)

    async def start(self, *more: str) -> None:
        """Type the command."""
        ports = {"--web-port": self.web, "--panel-port": self.panel, "--media-port": self.media}
        arguments = [word for name, port in ports.items() for word in (name, str(port))]
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scripts.demo", "--state", str(self.state), *arguments, *more),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            cwd=ROOT,
        )

    async def line(self, pattern: str) -> str:
        """Read until a whole line matches; its first group."""
        assert self.process.stdout is not None
        async with asyncio.timeout(START_S):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line)
                if found := re.fullmatch(pattern, line.rstrip("\n")):
                    return found.group(1)
        raise AssertionError(f"no line {pattern!r} in:\n{''.join(self.lines)}")

    async def ended(self, within_s: float) -> int:
        """Wait for the end; the exit code."""
        assert self.process.stdout is not None
        self.lines.append((await asyncio.wait_for(self.process.stdout.read(), within_s)).decode())
        return await asyncio.wait_for(self.process.wait(), within_s)

    async def interrupt(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C: the signal goes to the whole foreground group; the exit code, within the promised time."""
        began_s = time.monotonic()
        os.killpg(self.process.pid, sign)
        code = await self.ended(STOP_S + 5)
        assert time.monotonic() - began_s < STOP_S
        return code

    def children(self) -> dict[str, psutil.Process]:
        """The running programs by name."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        named = {"relay": "relay", "kit": "appliance"}
        return {name: child for child in found for name, module in named.items() if module in child.cmdline()}


@asynccontextmanager
async def terminal(state: Path, *more: str) -> AsyncIterator[Terminal]:
    """A started demo, which is killed if the test has not ended it."""
    made = Terminal(state)
    await made.start(*more)
    try:
        yield made
    finally:
        if made.process.returncode is None:
            os.killpg(made.process.pid, signal.SIGKILL)
            await made.ended(STOP_S)


PANEL, PAGE = r"Front panel:  (http://127\.0\.0\.1:\d+/)", r"Pupil's page: (http://127\.0\.0\.1:\d+/c/[\w-]{22})"


async def test_it_prints_where_to_look_and_ctrl_c_ends_it_and_a_second_start_keeps_the_class_link(
    tmp_path: Path,
) -> None:
    links = []
    for sign in (signal.SIGINT, signal.SIGTERM):
        async with terminal(tmp_path / "state") as shown, aiohttp.ClientSession() as http:
            panel = await shown.line(PANEL)
            page = await shown.line(PAGE)
            links.append(page.rpartition("/")[2])
            for url in (panel, page):
                async with http.get(url) as response:
                    assert response.status == 200
            running = shown.children()
            assert set(running) == {"relay", "kit"}
            assert await shown.interrupt(sign) == 0
            assert not any(child.is_running() for child in running.values())
    assert links[0] == links[1]


async def test_a_lesson_that_runs_does_not_hold_ctrl_c_up(tmp_path: Path) -> None:
    async with terminal(tmp_path / "state") as shown, aiohttp.ClientSession() as http:
        panel = await shown.line(PANEL)
        await shown.line(PAGE)
        async with http.post(f"{panel}panel/buttons/start/press") as response:
            assert response.status == 204
        assert await shown.interrupt() == 0


async def test_ctrl_c_during_the_start_ends_it_too(tmp_path: Path) -> None:
    async with terminal(tmp_path / "state") as shown:
        await shown.line("(Starting) .*")
        assert await shown.interrupt() == 0


async def test_a_kit_that_dies_is_named_and_the_relay_is_stopped(tmp_path: Path) -> None:
    async with terminal(tmp_path / "state") as shown:
        await shown.line(PAGE)
        running = shown.children()
        running["kit"].kill()
        assert await shown.ended(START_S) == 1
        assert "the kit was ended by SIGKILL" in "".join(shown.lines)
        assert not running["relay"].is_running()


async def test_programs_die_with_a_demo_that_is_killed(tmp_path: Path) -> None:
    async with terminal(tmp_path / "state") as shown:
        await shown.line(PAGE)
        running = shown.children()
        shown.process.kill()
        await shown.ended(START_S)
        _, alive = await asyncio.to_thread(psutil.wait_procs, list(running.values()), STOP_S)
        assert alive == []


async def test_a_busy_port_is_one_line_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        async with terminal(tmp_path / "state", "--web-port", str(port)) as shown:
            assert await shown.ended(START_S) == 2
        starting, *said = "".join(shown.lines).splitlines()
        assert starting.startswith("Starting")
        assert len(said) == 1
        assert f"port {port}, for the relay's web pages" in said[0]


async def test_a_video_with_sound_is_on_air_as_the_lesson(tmp_path: Path) -> None:
    video = make_video(tmp_path / "урок.mp4")
    async with terminal(tmp_path / "state", "--camera", str(video)) as shown, aiohttp.ClientSession() as http:
        panel = await shown.line(PANEL)
        async with http.post(f"{panel}panel/buttons/start/press") as response:
            assert response.status == 204
        async with asyncio.timeout(START_S), http.get(f"{panel}events") as events:
            async for line in events.content:  # on air: the relay finds picture *and* sound fresh
                if line.startswith(b"data:") and json.loads(line[5:])["tally"] == "on_air":
                    break
        assert await shown.interrupt() == 0


@pytest.mark.parametrize(("sound", "microphone"), [(True, "file"), (False, "none")])
def test_a_video_without_sound_leaves_the_microphone_out(tmp_path: Path, sound: bool, microphone: str) -> None:
    video = make_video(tmp_path / "lesson.mp4", Recipe(seconds=1, sound=sound))
    settings = demo.kit_config(demo.Options(camera=video), "")
    assert (settings.camera.kind, settings.microphone.kind) == ("file", microphone)


async def test_a_file_that_is_no_video_is_one_line(tmp_path: Path) -> None:
    notes = tmp_path / "notes.mp4"
    notes.write_text("7 × 8 = 56")
    async with terminal(tmp_path / "state", "--camera", str(notes)) as shown:
        assert await shown.ended(START_S) == 2
    _, *said = "".join(shown.lines).splitlines()
    assert len(said) == 1
    assert str(notes) in said[0]


def test_the_written_configuration_is_the_shipped_one_with_this_runs_ports(tmp_path: Path) -> None:
    options = demo.Options(state=tmp_path, web_port=1, panel_port=2, media_port=3)
    (tmp_path / "relay.toml").write_text(demo.as_toml(demo.relay_config(options)))
    (tmp_path / "kit.toml").write_text(demo.as_toml(demo.kit_config(options, 'a "code"')))
    assert load_relay_settings(tmp_path / "relay.toml") == demo.relay_config(options)
    kit = load_kit_settings(tmp_path / "kit.toml")
    assert (kit.relay.url, kit.relay.enrol_code, kit.panel.port) == ("http://127.0.0.1:1", 'a "code"', 2)
