"""Twenty pupils rewind the lesson that runs: whoever watches it live notices nothing."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import aiohttp

from tests.recording import rewinding_crowd
from tests.recording.replay import LOOK_S, lessons
from tests.relay.engines.raw_peer import AUDIO, VIDEO
from tests.running import FoundedSchool, running_school
from tests.whep_viewer import whep_viewer

PUPILS = 20
RECORDED_MS = 6_000  # three segments: enough to go back to
TOGETHER_S = 5.0
WITHIN_S = 60.0
CAMERA = 'kind = "simulated"\nwidth = 640\nheight = 360\nfps = 15'


async def _recorded(http: aiohttp.ClientSession, class_url: str) -> str:
    """The running lesson's playlist, once there is something to go back to."""
    async with asyncio.timeout(WITHIN_S):
        while not (found := await lessons(http, class_url)) or found[0]["duration_ms"] < RECORDED_MS:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
    path: str = found[0]["playlist"]
    return urljoin(class_url, path)


@asynccontextmanager
async def _crowd(playlist: str) -> AsyncIterator[Process]:
    """The pupils, as soon as each has read all once."""
    arguments = ("-m", rewinding_crowd.__name__, playlist, str(PUPILS))
    crowd = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=PIPE, stdout=PIPE)
    try:
        assert crowd.stdout is not None
        assert await asyncio.wait_for(crowd.stdout.readline(), WITHIN_S) == b"reading\n"
        yield crowd
    finally:
        if crowd.returncode is None:
            crowd.kill()
            await crowd.wait()


async def test_twenty_pupils_who_rewind_at_once_cost_the_live_lesson_no_packet(
    tmp_path: Path, founded_school: FoundedSchool
) -> None:
    async with running_school(tmp_path, founded_school, camera=CAMERA) as school:
        http, whep = school.relay.http, school.class_url.replace("/c/", "/whep/")
        async with whep_viewer(http, whep, school.relay.media_port) as viewer:
            await school.kit.press("start")
            await school.kit.until_state("live")
            playlist = await _recorded(http, school.class_url)
            async with _crowd(playlist) as crowd:
                await viewer.until_media_s(TOGETHER_S, WITHIN_S)
                read, _ = await asyncio.wait_for(crowd.communicate(b""), WITHIN_S)
            assert crowd.returncode == 0, "a file of the playlist was not to be had"
            assert int(read) > 0
            received = viewer.received
            assert (received.missing(VIDEO), received.missing(AUDIO)) == ([], [])
        await school.kit.hold_to_end()
