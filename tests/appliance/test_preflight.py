"""The pre-flight checks one by one, on devices and disks that fail as real ones do."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path

import aiohttp
import av
import numpy as np
import pytest
from aiohttp import web

from appliance import preflight, preflight_devices
from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock
from appliance.capture.file import FileCamera
from appliance.capture.silence import NoMicrophone
from appliance.errors import CameraUnavailable
from appliance.preflight import (
    CLOCK_OFF_S,
    Finding,
    Readiness,
    check_clock,
    check_relay,
    check_storage,
    check_uplink,
    wanted_kbps,
)
from appliance.preflight_devices import check_camera, check_microphone
from appliance.stream import probe
from appliance.stream.probe import HttpRelayProbe
from tests.running import free_port

DARK = 16


def _dark_video(path: Path) -> Path:
    """What a camera with its cap on gives."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), DARK, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class StuckCamera:
    """Opens, and then gives nothing: what an unplugged one does. Its own stream."""

    @asynccontextmanager
    async def open(self, _clock: LessonClock) -> AsyncIterator[StuckCamera]:
        yield self

    def __aiter__(self) -> AsyncIterator[AccessUnit]:
        return self

    async def __anext__(self) -> AccessUnit:
        await asyncio.Event().wait()
        raise AssertionError("never")

    def force_key_frame(self) -> None: ...

    def set_bitrate(self, bits_per_s: int) -> None: ...

    def set_frame_rate(self, fps: int) -> None: ...

    async def still(self) -> bytes:
        raise CameraUnavailable("there is no picture")


@asynccontextmanager
async def web_server(status: int, body: str) -> AsyncIterator[str]:
    """Something that answers every GET alike; its address."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def _relay_finding(status: int, body: str) -> Finding:
    async with web_server(status, body) as url, aiohttp.ClientSession() as http:
        return (await check_relay(HttpRelayProbe(url, None, http)))[0]


async def test_a_camera_with_its_cap_on_is_found(tmp_path: Path) -> None:
    video = await asyncio.to_thread(_dark_video, tmp_path / "dark.mp4")
    camera = FileCamera(str(video), True, width=320, height=240, fps=10, bitrate_bps=500_000, key_frame_every_s=1.0)
    found = await check_camera(camera)
    assert (found.outcome, found.told) == ("failed", "the picture is all one shade")
    assert "cap" in found.remedy


async def test_a_camera_that_gives_nothing_is_found_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight_devices, "DEVICE_S", 0.05)
    found = await check_camera(StuckCamera())
    assert found.outcome == "failed"
    assert "no picture within" in found.told


async def test_a_microphone_that_is_switched_off_is_found() -> None:
    found = await check_microphone(NoMicrophone())
    assert (found.outcome, found.told) == ("failed", "the microphone is dead silent")


async def test_a_disk_with_room_that_can_be_written_is_in_order_and_left_as_it_was(tmp_path: Path) -> None:
    found = await check_storage(tmp_path)
    assert found.outcome == "ok"
    assert found.figures["free_bytes"] > 0
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_a_full_disk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "FREE_BYTES", 1 << 62)
    assert (await check_storage(tmp_path)).outcome == "failed"


async def test_a_folder_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    found = await check_storage(tmp_path / "state")
    assert found.outcome == "failed"
    assert "cannot be written" in found.told


@pytest.mark.parametrize(("ahead_s", "told"), [(CLOCK_OFF_S + 1, "behind"), (-CLOCK_OFF_S - 1, "ahead of")])
def test_a_clock_that_is_off_is_found_with_its_direction(ahead_s: float, told: str) -> None:
    found = check_clock(Readiness(serves=True, reason="", clock_ahead_s=ahead_s))
    assert found.outcome == "failed"
    assert told in found.told


def test_a_clock_that_agrees_is_in_order() -> None:
    assert check_clock(Readiness(serves=True, reason="", clock_ahead_s=0.4)).outcome == "ok"


@pytest.mark.parametrize("body", ["<html>router</html>", "[]", "{}", '"ready"'])
async def test_what_answers_and_is_no_relay_is_told_apart(body: str) -> None:
    found = await _relay_finding(200, body)
    assert (found.outcome, "not like a relay" in found.told) == ("failed", True)
    assert "relay.url" in found.remedy


async def test_a_relay_whose_database_is_locked_says_so_itself() -> None:
    found = await _relay_finding(503, json.dumps({"status": "not ready", "database": "the database is locked"}))
    assert found.outcome == "failed"
    assert "the database is locked" in found.told


class SchoolKey:
    """A bearer that every relay of these tests believes."""

    def authorise(self, method: str, path: str, lesson_id: str | None = None) -> str:
        return f"{method} {path}"

    def learn_time(self, date: str) -> bool:
        return False


@asynccontextmanager
async def uploads_to(answer_s: Callable[[int], float]) -> AsyncIterator[tuple[HttpRelayProbe, list[int]]]:
    """A relay behind a link on which an upload of so many bytes takes ``answer_s``; the probe, and what came."""
    came: list[int] = []

    async def put(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer PUT /preflight/upload"
        size = len(await request.read())
        await asyncio.sleep(answer_s(size))
        came.append(size)
        return web.json_response({"bytes": size})

    app = web.Application(client_max_size=1 << 23)
    app.router.add_put("/preflight/upload", put)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with aiohttp.ClientSession() as http:
            yield HttpRelayProbe(f"http://127.0.0.1:{port}", SchoolKey(), http), came
    finally:
        await runner.cleanup()


async def test_a_narrow_uplink_is_measured_with_few_bytes_and_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LONG_ENOUGH_S", 0.1)
    async with uploads_to(lambda size: size * 8 / 5_000_000) as (narrow, came):
        found = await check_uplink(narrow, 6000)
    assert came == [64 * 1024]
    assert (found.outcome, found.why) == ("failed", "uplink_narrow")
    assert "takes 6000 kb/s" in found.told
    assert "cable" in found.remedy


async def test_a_wide_uplink_is_given_more_and_more_and_is_in_order() -> None:
    async with uploads_to(lambda size: 0.0) as (wide, came):
        found = await check_uplink(wide, 1896)
    assert came[0] == 64 * 1024
    assert came == sorted(came)
    assert len(came) > 1
    assert found.outcome == "ok"
    assert found.figures["uplink_kbps"] > 1896


async def test_an_uplink_that_hardly_carries_anything_is_given_up_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "UPLOAD_S", 0.1)
    async with uploads_to(lambda size: 1.0) as (stuck, _):
        found = await check_uplink(stuck, 1896)
    assert (found.outcome, found.why) == ("failed", "uplink_narrow")
    assert found.told.startswith("carries 0 kb/s")


def test_what_a_lesson_takes_is_its_picture_its_voice_and_what_packets_add() -> None:
    assert wanted_kbps(1700, 24_000) == 1896
