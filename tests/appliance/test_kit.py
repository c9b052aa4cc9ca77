"""The kit as a whole, with its real cameras, panel and clients: in this process, or as a program that is killed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance import director as director_module
from appliance import power
from appliance import relay_link as relay_link_module
from appliance.boot.notice import write_notice
from appliance.cli import STOP_AT_MOST_S
from appliance.hw import gestures
from appliance.hw.simulated.server import STOP_CONNECTIONS_S
from appliance.identity import Credentials
from appliance.kit import STOP_KEPT_S, STOP_LESSON_S, STOP_LINK_S, Kit
from appliance.settings import CameraSection, KitSection, KitSettings, NetworkSection, PanelSection, RelaySection
from relay.clock import moment
from tests.appliance.control_relay import CODE, ControlRelay, control_relay
from tests.appliance.stream.whip_server import whip_server
from tests.relay.running import serving
from tests.running import RunningKit, free_port

WITHIN_S = 15
SMALL = CameraSection(width=320, height=240, fps=10)


@dataclass
class Running:
    """A kit that runs in this process, and hands at its panel."""

    url: str
    http: aiohttp.ClientSession
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def status(self) -> dict[str, Any]:
        async with self.http.get(f"{self.url}/status") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def edge(self, button: str, edge: str) -> None:
        async with self.http.post(f"{self.url}/panel/buttons/{button}/{edge}") as answer:
            assert answer.status == 204

    async def tap(self, button: str) -> None:
        await self.edge(button, "press")
        await self.edge(button, "release")

    async def off(self) -> None:
        """Stop the kit, and wait until it has gone."""
        self.stop.set()
        await asyncio.wait_for(self.task, WITHIN_S)

    async def until(self, **wanted: object) -> dict[str, Any]:
        """Follow the panel until these keys, of the status or its link, have these values."""
        last: dict[str, Any] = {}
        async with asyncio.timeout(WITHIN_S), self.http.get(f"{self.url}/events") as answer:
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    last = json.loads(line[6:])
                    if all({**last.get("link", {}), **last}[key] == value for key, value in wanted.items()):
                        return last
        raise AssertionError(f"the kit went off before {wanted}; last: {last}")


def _settings(
    folder: Path, *, relay_port: int, panel_port: int, code: str = CODE, host: str = "127.0.0.1"
) -> KitSettings:
    return KitSettings(
        kit=KitSection(state_dir=str(folder / "state")),
        relay=RelaySection(url=f"http://{host}:{relay_port}", enrol_code=code),
        camera=SMALL,
        panel=PanelSection(port=panel_port),
        network=NetworkSection(announce=False),
    )


@asynccontextmanager
async def running_kit(
    folder: Path, relay_port: int, *, code: str = CODE, host: str = "127.0.0.1"
) -> AsyncIterator[Running]:
    """A kit from start to stop."""
    panel_port, stop = free_port(), asyncio.Event()
    settings = _settings(folder, relay_port=relay_port, panel_port=panel_port, code=code, host=host)
    task = asyncio.create_task(Kit(settings, software="parta-kit test").run(stop))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2 * WITHIN_S)) as http:
        running = Running(f"http://127.0.0.1:{panel_port}", http, stop, task)
        try:
            await _answers(running)
            yield running
        finally:
            await running.off()


async def _answers(running: Running) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not running.task.done():
            try:
                await running.status()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0)  # the panel is not there yet
            else:
                return
    running.task.result()


@pytest.fixture
async def relay() -> AsyncIterator[tuple[ControlRelay, int]]:
    port = free_port()
    async with control_relay(port) as scripted:
        yield scripted, port


def test_the_stages_of_the_stop_fit_into_what_the_system_waits() -> None:
    assert STOP_LESSON_S + STOP_KEPT_S + STOP_LINK_S + STOP_CONNECTIONS_S < STOP_AT_MOST_S


async def test_a_kit_enrols_by_itself_and_once(tmp_path: Path, relay: tuple[ControlRelay, int]) -> None:
    scripted, port = relay
    for _ in range(2):
        async with running_kit(tmp_path, port) as kit:
            status = await kit.until(control="up", class_path="/c/rotated")
            assert status["state"] == "idle"
    assert scripted.codes == [CODE]
    assert [hello.software for hello in scripted.hellos] == ["parta-kit test"] * 2


async def test_a_kit_that_is_a_stranger_still_starts_its_lesson_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(director_module, "START_WITHIN_S", 0.05)
    async with running_kit(tmp_path, free_port(), code="") as kit:
        await kit.tap("start")
        status = await kit.until(state="degraded")
        assert status["tally"] == "not_live"
        assert status["link"]["control"] == "not_enrolled"


async def test_a_relay_that_comes_later_is_found_and_told_of_the_lesson_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_link_module, "ENROL_AGAIN_S", (0.05, 0.05))
    port = free_port()
    async with running_kit(tmp_path, port) as kit:
        await kit.tap("start")
        lesson = (await kit.until(state="starting"))["lesson"]
        async with control_relay(port) as scripted:
            assert await scripted.lesson_id() == lesson["id"]
            await kit.until(control="up")
            await kit.off()  # before the relay: what it accepts while it closes, nobody closes (aiohttp's runner)


async def test_a_relay_that_moved_is_found_with_the_code_of_old_still_in_the_file(
    tmp_path: Path, relay: tuple[ControlRelay, int]
) -> None:
    scripted, port = relay
    async with running_kit(tmp_path, port) as kit:
        await kit.until(control="up")
    async with running_kit(tmp_path, port, host="localhost") as kit:
        await kit.until(control="up")
    assert len(scripted.codes) == 2  # the second was refused, as used


async def test_a_new_code_moves_an_enrolled_kit_and_a_wrong_one_leaves_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path / "relay") as real:
        async with real.at.office() as office:
            await office.add_school("7")
            await office.add_class("7Б", None)
            codes = [
                (await office.issue_code(room, "7Б", None, moment().unix_ms, 3600)).secret for room in ("12", "13")
            ]
        port = int(real.url.rpartition(":")[2])
        for code, room in ((codes[0], "12"), (codes[1], "13"), ("WRONG-CODE", "13")):
            async with running_kit(tmp_path, port, code=code) as kit:
                await kit.until(control="up")
            known = Credentials.load(tmp_path / "state")
            assert known is not None
            assert known.room == room
    assert "this kit stays where it was enrolled" in caplog.text


async def test_what_the_kit_has_to_tell_is_in_its_status(tmp_path: Path) -> None:
    write_notice(tmp_path / "state", "boot_file_refused", "parta.toml: camera.fsp: unknown key")
    told = {"key": "boot_file_refused", "reason": "parta.toml: camera.fsp: unknown key"}
    async with running_kit(tmp_path, free_port(), code="") as kit:
        assert (await kit.until(notice=told))["fault"] is None


async def test_a_code_that_does_not_hold_is_told_once_and_the_kit_works_on(
    tmp_path: Path, relay: tuple[ControlRelay, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relay_link_module, "ENROL_AGAIN_S", (0.01, 0.01))
    scripted, port = relay
    async with running_kit(tmp_path, port, code="WRONG") as kit:
        async with asyncio.timeout(WITHIN_S):
            while len(scripted.codes) < 3:
                await kit.status()
        assert (await kit.status())["link"]["control"] == "not_enrolled"
    assert caplog.text.count("enrolment: the relay answered 403") == 1
    assert "WRONG" not in caplog.text


async def test_the_lamp_follows_the_relays_word(
    tmp_path: Path, relay: tuple[ControlRelay, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(director_module, "DELIVERY_STALE_S", 0.3)
    scripted, port = relay
    async with running_kit(tmp_path, port) as kit:
        await kit.tap("start")
        await scripted.deliver(on_air=True, viewers=3)
        status = await kit.until(state="live")
        assert (status["tally"], status["link"]["viewers"]) == ("on_air", 3)
        await scripted.deliver(on_air=False)
        await kit.until(tally="not_live")
        await scripted.deliver(on_air=True)
        await kit.until(tally="on_air")
        await kit.until(tally="not_live")  # silence is not believed
        assert {"starting", "live", "degraded"} <= {told.state for told in scripted.statuses}


async def test_the_curtain_closes_the_devices_and_the_relay_hears_of_it(
    tmp_path: Path, relay: tuple[ControlRelay, int]
) -> None:
    scripted, port = relay
    async with running_kit(tmp_path, port) as kit:
        await kit.tap("start")
        lesson = await scripted.lesson_id()
        await kit.tap("curtain")
        await scripted.until(lambda seen: seen.statuses[-1].state == "curtain")
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not names & {"capture-camera", "capture-microphone", "capture"}
        await kit.tap("curtain")
        await scripted.until(lambda seen: seen.statuses[-1].state == "starting")
        assert await scripted.lesson_id() == lesson


async def test_picture_and_voice_reach_the_relay_from_the_press_to_the_curtain_and_again(
    tmp_path: Path, relay: tuple[ControlRelay, int]
) -> None:
    scripted, port = relay
    async with whip_server() as media, running_kit(tmp_path, port) as kit:
        scripted.media_url = media.url
        await kit.until(control="up")
        await kit.tap("start")
        session = await media.session(1)
        await session.until(lambda: session.packets("video") and session.packets("audio"), WITHIN_S)
        await kit.until(publisher="up")
        await kit.tap("curtain")
        await kit.until(state="curtain")
        await kit.tap("curtain")
        closed = len(session.packets("video"))
        await session.until(lambda: len(session.packets("video")) > closed + 5, WITHIN_S)
        assert len(media.sessions) == 1  # the curtain costs no renegotiation
        await scripted.end_lesson()
        await kit.until(state="idle")
        await kit.tap("start")
        second = await media.session(2)
        await second.until(lambda: second.packets("video"), WITHIN_S)
        assert media.deleted == ["1"]


async def test_the_relay_can_end_a_lesson(tmp_path: Path, relay: tuple[ControlRelay, int]) -> None:
    scripted, port = relay
    async with running_kit(tmp_path, port) as kit:
        await kit.tap("start")
        await scripted.end_lesson()
        await kit.until(state="idle", lesson=None)
        await scripted.until(lambda seen: seen.statuses[-1].lesson is None)


async def test_a_board_still_reaches_the_disk_and_the_relay(tmp_path: Path, relay: tuple[ControlRelay, int]) -> None:
    scripted, port = relay
    async with running_kit(tmp_path, port) as kit:
        await kit.until(control="up")
        await kit.tap("start")
        lesson = await scripted.lesson_id()
        async with asyncio.timeout(WITHIN_S):
            while not scripted.stills:
                await kit.tap("still")  # before the first picture there is nothing to take
    ((name, jpeg),) = list(scripted.stills.items())[:1]
    assert name.startswith(f"{lesson}/")
    assert jpeg.startswith(b"\xff\xd8")
    assert (tmp_path / "state" / "stills" / f"{name}.jpg").read_bytes() == jpeg


async def test_a_stop_in_a_lesson_ends_it_everywhere(tmp_path: Path, relay: tuple[ControlRelay, int]) -> None:
    scripted, port = relay
    async with running_kit(tmp_path, port) as kit:
        await kit.tap("start")
        await scripted.lesson_id()
        kit.stop.set()
        await scripted.until(lambda seen: seen.statuses[-1].lesson is None)
        await asyncio.wait_for(kit.task, STOP_AT_MOST_S)
    assert not (tmp_path / "state" / "lesson.json").exists()


def _asked_for(folder: Path) -> list[str]:
    """What the kit asked of the system."""
    return [path.name for path in folder.iterdir()]


async def test_the_long_hold_switches_the_kit_and_the_machine_off(
    tmp_path: Path, relay: tuple[ControlRelay, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (asked := tmp_path / "asked").mkdir()
    monkeypatch.setenv(power.FOLDER, str(asked))
    monkeypatch.setitem(gestures._LIMIT_S, "shut_down", 0.3)
    async with running_kit(tmp_path, relay[1]) as kit:
        await kit.edge("start", "press")
        await asyncio.wait_for(kit.task, WITHIN_S)
        assert not kit.stop.is_set()
        with pytest.raises(aiohttp.ClientConnectorError):
            await kit.status()
    assert _asked_for(asked) == ["poweroff"]


async def test_a_kit_that_is_told_to_stop_in_a_lesson_leaves_the_machine_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (asked := tmp_path / "asked").mkdir()
    monkeypatch.setenv(power.FOLDER, str(asked))
    async with running_kit(tmp_path, free_port(), code="") as kit:
        await kit.tap("start")
        await kit.until(state="starting")
    assert _asked_for(asked) == []


async def test_a_kit_without_a_panel_runs(tmp_path: Path, relay: tuple[ControlRelay, int]) -> None:
    scripted, port = relay
    settings = _settings(tmp_path, relay_port=port, panel_port=free_port())
    blind = KitSettings(kit=settings.kit, relay=settings.relay, camera=settings.camera, panel=PanelSection(kind="none"))
    stop = asyncio.Event()
    task = asyncio.create_task(Kit(blind, software="test").run(stop))
    await scripted.until(lambda seen: bool(seen.statuses))
    assert scripted.statuses[-1].state == "idle"
    stop.set()
    await asyncio.wait_for(task, WITHIN_S)


@asynccontextmanager
async def _program(folder: Path) -> AsyncIterator[RunningKit]:
    async with aiohttp.ClientSession() as http:
        kit = RunningKit(
            folder, http, f"http://127.0.0.1:{free_port()}", "", camera="width = 320\nheight = 240\nfps = 10"
        )
        await kit.start()
        try:
            yield kit
        finally:
            await kit.program.end(signal.SIGTERM)


async def test_a_killed_kit_goes_on_with_its_lesson_by_itself(tmp_path: Path) -> None:
    async with _program(tmp_path) as kit:
        await kit.press("start")
        before = await kit.until(lambda status: status["lesson"] is not None and bool(_kept(tmp_path)))
        await kit.program.end(signal.SIGKILL)
        await kit.start()
        after = await kit.until(lambda status: status["lesson"] is not None)
        for key in ("id", "started_unix_us"):
            assert after["lesson"][key] == before["lesson"][key]
        assert after["lesson"]["elapsed_s"] >= before["lesson"]["elapsed_s"]
        assert after["state"] in {"starting", "degraded"}


async def test_a_kit_killed_behind_its_curtain_comes_back_behind_it(tmp_path: Path) -> None:
    async with _program(tmp_path) as kit:
        await kit.press("start")
        await kit.press("curtain")
        await kit.until(lambda status: status["state"] == "curtain" and b'"curtain":true' in _kept(tmp_path))
        await kit.program.end(signal.SIGKILL)
        await kit.start()
        assert (await kit.status())["state"] == "curtain"


def _kept(folder: Path) -> bytes:
    path = folder / "state" / "lesson.json"
    return path.read_bytes() if path.exists() else b""
