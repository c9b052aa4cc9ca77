"""The real relay and a recorded lesson, in a folder and in a bucket: it arrives, outlives kills, is seen, and goes."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.relay.archive.footage import FPS, footage, read_footage
from tests.relay.archive.hls_rules import MediaPlaylist
from tests.relay.archive.s3_server import BUCKET, s3_program, s3_server
from tests.relay.running import END_S, Serving, configured
from tests.relay.web.kit_recorder import STARTED_US, Recorder
from tests.relay.web.served import LESSON, enrolled, hear, lesson_status, say, welcomed

FOOTAGE = footage(3)
EVERY_PICTURE = list(range(3 * 2 * FPS))
needs_s3 = pytest.mark.skipif(s3_program() is None, reason="no S3 server is here; `make test-bucket` installs one")


@dataclass
class School:
    """A relay with a class and an enrolled kit. ``kept_in``: where the files of recordings come to lie."""

    relay: Serving
    kept_in: Path
    link: str
    recorder: Recorder

    @property
    def base(self) -> str:
        """The path of the lesson."""
        return f"/c/{self.link}/lessons/{LESSON}"

    async def bytes(self, path: str) -> bytes:
        """GET."""
        async with self.relay.http.get(self.relay.url + path) as response:
            assert response.status == 200, (path, response.status)
            return await response.read()

    async def state(self) -> dict[str, Any]:
        """What pupils are told now."""
        async with self.relay.http.get(f"{self.relay.url}/c/{self.link}/events") as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    found: dict[str, Any] = json.loads(line[6:])
                    return found
        raise AssertionError("the events ended")

    def files(self) -> set[str]:
        """The files of recordings."""
        return {str(path.relative_to(self.kept_in)) for path in self.kept_in.rglob("*") if path.is_file()}


@pytest.fixture(params=["folder", pytest.param("bucket", marks=needs_s3)])
async def school(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[School]:
    async with AsyncExitStack() as stack:
        kept_in, more = tmp_path / "relay" / "state" / "recordings", ""
        if request.param == "bucket":
            server = await stack.enter_async_context(s3_server(tmp_path))
            credentials = tmp_path / "credentials"
            credentials.write_text(f"{server.access_key_id}\n{server.secret_access_key}\n")
            kept_in = server.folder / "parta"
            more = f'[archive]\nstore = "s3://{BUCKET}/parta"\nendpoint = "{server.endpoint}"\n'
            more += f'credentials_file = "{credentials}"\n'
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=END_S)))
        at = configured(tmp_path / "relay", more=more)
        async with at.office() as office:
            await office.add_school("Школа № 7")
            _, made = await office.add_class("7Б", None)
            code = await office.issue_code("12", "7Б", None, 2**42, 3600)
        relay = Serving(at, http)
        stack.push_async_callback(relay.end, signal.SIGKILL)
        await relay.start()
        kit = await enrolled(http, relay.url, code.secret)
        yield School(relay, kept_in, made.link, Recorder(relay, kit))


async def test_a_lesson_outlives_the_relays_death_until_it_is_deleted(school: School) -> None:
    async with welcomed(school.relay, school.recorder.kit) as socket:
        await say(socket, lesson_status())
        await hear(socket)
        await school.recorder.begin()
        await school.recorder.init(0, FOOTAGE.inits[0])
        await school.recorder.segment(0, FOOTAGE.pieces[0])
        told = (await school.state())["recording"]
        await school.relay.end(signal.SIGKILL)
    await school.relay.start()
    assert (await school.state())["recording"] == told
    assert told == {"playlist": f"{school.base}/index.m3u8", "started_unix_ms": STARTED_US // 1000}
    assert (await school.recorder.state()).segments == ((0, 0),)
    await school.recorder.send_all(FOOTAGE, without=(1,))
    assert (await school.recorder.segment(1, FOOTAGE.pieces[1])).status == 201
    assert school.files() == {f"{LESSON}/init-0.mp4", *(f"{LESSON}/{number}.m4s" for number in range(3))}
    shown = MediaPlaylist.read((await school.bytes(f"{school.base}/main.m3u8")).decode())
    assert shown.ended
    parts = [await school.bytes(f"{school.base}/{name}") for name in ("init-0.mp4", *shown.held)]
    assert read_footage(*parts).numbers == EVERY_PICTURE
    await _deleted_beside_the_relay(school)


async def _deleted_beside_the_relay(school: School) -> None:
    """What the command line deletes is gone in the relay that runs, and cannot be brought back."""
    assert read_footage(await school.bytes(f"{school.base}/lesson.mp4")).numbers == EVERY_PICTURE
    await school.relay.at.ask("lesson", "end", LESSON)  # its kit has not come back to say so
    assert (await school.relay.at.ask("lesson", "delete", LESSON, "--yes"))["files_removed"]
    assert school.files() == set()
    await _gone(school)
    assert (await school.recorder.begin()).refusal == (404, "no_recording")
    assert (await school.recorder.segment(0, FOOTAGE.pieces[0])).refusal == (404, "no_recording")
    assert school.files() == set()


async def _gone(school: School) -> None:
    """Wait until the relay, which was not told, no longer shows the lesson."""
    async with asyncio.timeout(END_S):
        while True:
            async with school.relay.http.get(f"{school.relay.url}{school.base}/main.m3u8") as response:
                if response.status == 404:
                    return
            await asyncio.sleep(0.1)
