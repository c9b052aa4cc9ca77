"""The simulated panel over real HTTP: buttons, status, events, and who may press."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from appliance.capture.clock import LessonClock
from appliance.capture.sound_meter import SoundFigures
from appliance.errors import PanelUnavailable
from appliance.hw.base import Button, Edge, Face, Fault, LessonFace, LinkFace
from appliance.hw.health import Health
from appliance.hw.simulated.server import MAX_LISTENERS, PanelServer, SimulatedPanel

WITHIN_S = 5


@dataclass
class Bench:
    """An open panel, a browser's HTTP client at it, and the edges that came in."""

    panel: PanelServer
    url: str
    http: aiohttp.ClientSession
    edges: list[Edge] = field(default_factory=list)

    async def press(self, path: str, **headers: str) -> int:
        async with self.http.post(f"{self.url}/panel/buttons/{path}", headers=headers) as answer:
            return answer.status

    def pressed(self) -> list[tuple[Button, bool]]:
        return [(edge.button, edge.pressed) for edge in self.edges]


@pytest.fixture
async def bench(unused_tcp_port: int) -> AsyncIterator[Bench]:
    edges: list[Edge] = []
    async with (
        SimulatedPanel("127.0.0.1", unused_tcp_port).open(edges.append) as panel,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WITHIN_S)) as http,
    ):
        yield Bench(panel, f"http://127.0.0.1:{unused_tcp_port}", http, edges)


class Events:
    """Reads server-sent events one by one."""

    def __init__(self, stream: aiohttp.StreamReader) -> None:
        self._stream = stream

    async def next(self) -> tuple[str, dict[str, Any]]:
        async with asyncio.timeout(WITHIN_S):
            lines = (await self._stream.readuntil(b"\n\n")).decode().splitlines()
        return lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))

    async def status_where(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            kind, status = await self.next()
            if kind == "status" and holds(status):
                return status


async def test_buttons_come_in_as_edges_in_order(bench: Bench) -> None:
    for path in ("start/press", "start/release", "curtain/press", "still/press"):
        assert await bench.press(path) == 204
    assert bench.pressed() == [("start", True), ("start", False), ("curtain", True), ("still", True)]
    assert bench.edges == sorted(bench.edges, key=lambda edge: edge.at_s)


async def test_status_has_the_documented_shape(bench: Bench) -> None:
    clock = LessonClock(started_boot_us=0, started_unix_us=1_700_000_000_000_000, boot_us=lambda: 12_340_000)
    bench.panel.show(
        Face(
            state="live",
            tally="on_air",
            hold=0.25,
            hold_for="end",
            lesson=LessonFace("ab" * 16, clock),
            recording="on",
            fault=Fault("camera_unavailable", "plug it in"),
            health=Health(temperature_c=51.5, throttled=("under_voltage",), free_mb=9000, clock_synchronised=True),
            sound=SoundFigures(-30.5, -20.0, "silent", "USB Audio"),
            link=LinkFace(control="up", publisher="up", relay="http://r", class_path="/c/x", viewers=2, rtt_ms=1.2),
        )
    )
    async with bench.http.get(f"{bench.url}/status") as answer:
        assert await answer.json() == {
            "state": "live",
            "tally": "on_air",
            "lamp": {"colours": ["red"], "rhythm": "steady", "beats": [["red", 1000]]},
            "hold": 0.25,
            "hold_for": "end",
            "lesson": {"id": "ab" * 16, "started_unix_us": 1_700_000_000_000_000, "elapsed_s": 12.3},
            "fault": {"key": "camera_unavailable", "reason": "plug it in"},
            "voiceless": False,
            "recording": "on",
            "health": {
                "temperature_c": 51.5, "throttled": ["under_voltage"], "free_mb": 9000, "clock_synchronised": True,
                "wifi_dbm": None, "warnings": ["under_voltage"],
            },
            "sound": {"level_dbfs": -30.5, "peak_dbfs": -20.0, "warning": "silent", "device": "USB Audio"},
            "notice": None,
            "link": {
                "control": "up", "publisher": "up", "relay": "http://r", "class_path": "/c/x", "viewers": 2,
                "viewers_receiving": None, "rtt_ms": 1.2, "loss": None, "bitrate_kbps": None,
                "target_kbps": None, "fps": None, "reconnects": 0, "waiting_s": 0, "relay_full": False,
            },
        }  # fmt: skip


async def test_events_tell_at_once_on_every_change_and_that_the_kit_goes_off(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/events"
    async with aiohttp.ClientSession() as http:
        async with SimulatedPanel("127.0.0.1", unused_tcp_port).open(lambda _: None) as panel:
            answer = await http.get(url)
            events = Events(answer.content)
            assert (await events.next())[1]["state"] == "idle"
            panel.show(Face(state="starting", tally="connecting"))
            await events.status_where(lambda status: status["state"] == "starting")
            panel.show(Face(state="curtain", tally="curtain"))
            told = await events.status_where(lambda status: status["state"] == "curtain")
            assert told["lamp"]["colours"] == ["white"]
        assert await events.next() == ("off", {})
        assert await answer.content.read() == b""


async def test_events_repeat_each_second_so_that_a_dead_kit_shows(bench: Bench) -> None:
    async with bench.http.get(f"{bench.url}/events") as answer:
        events = Events(answer.content)
        first, second = await events.next(), await events.next()
    assert first == second


async def test_a_page_that_closes_makes_room_for_the_next(bench: Bench) -> None:
    async with asyncio.timeout(4 * WITHIN_S):
        for _ in range(MAX_LISTENERS + 3):
            while True:
                answer = await bench.http.get(f"{bench.url}/events")
                if answer.status == 200:
                    break
                assert answer.status == 503
                await answer.read()
                bench.panel.show(Face())  # the server notices a closed page when it next writes
            await Events(answer.content).next()
            answer.close()


@pytest.mark.parametrize("path", ["start/hold", "stop/press", "start", "start/press/x"])
async def test_other_buttons_do_not_exist(bench: Bench, path: str) -> None:
    assert await bench.press(path) == 404
    assert bench.edges == []


async def test_a_button_is_not_pressed_by_a_link(bench: Bench) -> None:
    async with bench.http.get(f"{bench.url}/panel/buttons/start/press") as answer:
        assert answer.status == 405
    assert bench.edges == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_page_cannot_press(bench: Bench, headers: dict[str, str]) -> None:
    assert await bench.press("start/press", **headers) == 403
    assert bench.edges == []


async def test_the_panels_own_page_can_press(bench: Bench) -> None:
    headers = {"Origin": bench.url, "Sec-Fetch-Site": "same-origin"}
    assert await bench.press("start/press", **headers) == 204


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8090", "192.0.2.1", "[", "127.0.0.1.evil.example", ""])
async def test_a_name_that_points_here_is_not_ours(bench: Bench, host: str) -> None:
    assert await bench.press("start/press", Host=host) in (400, 421)
    async with bench.http.get(f"{bench.url}/status", headers={"Host": host}) as answer:
        assert answer.status in (400, 421)
    assert bench.edges == []


@pytest.mark.parametrize("host", ["localhost", "localhost:8090", "127.0.0.1:1", "[::1]:8090"])
async def test_this_machine_is_ours(bench: Bench, host: str) -> None:
    async with bench.http.get(f"{bench.url}/status", headers={"Host": host}) as answer:
        assert answer.status == 200


async def test_every_answer_is_strict(bench: Bench) -> None:
    for path in ("/", "/page/panel.js", "/page/panel.css", "/status", "/events", "/nothing"):
        async with bench.http.get(f"{bench.url}{path}") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; ")
            assert "unsafe" not in policy
            assert "*" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Set-Cookie" not in answer.headers
            answer.close()


async def test_a_busy_port_is_named_with_its_key(bench: Bench) -> None:
    port = int(bench.url.rpartition(":")[2])
    with pytest.raises(PanelUnavailable, match=f"panel.port: {port} on 127.0.0.1 is in use"):
        async with SimulatedPanel("127.0.0.1", port).open(lambda _: None):
            pass


async def test_an_address_that_is_not_ours_is_named_with_its_key(unused_tcp_port: int) -> None:
    with pytest.raises(PanelUnavailable, match=r"panel.host: cannot serve on 192.0.2.1"):
        async with SimulatedPanel("192.0.2.1", unused_tcp_port).open(lambda _: None):
            pass
