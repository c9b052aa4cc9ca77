"""Publishers that nobody here wrote, watched in Chromium."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.browser.chromium import chromium, pupil, until_new_frames, until_state
from tests.interop.browser_publisher import browser_publisher
from tests.relay.engines.raw_peer import AUDIO
from tests.running import FoundedSchool, running_relay
from tests.whep_viewer import whep_viewer

pytestmark = pytest.mark.browser

END_S = 15.0
SEEN_S = 2.0


@asynccontextmanager
async def ffmpeg(url: str, token: str, *more: str) -> AsyncIterator[None]:
    """FFmpeg's WHIP muxer publishes for the length of the context, and ends by itself after."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.interop.ffmpeg_publisher",
        url,
        token,
        *more,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield
        output, _ = await asyncio.wait_for(process.communicate(b""), END_S)
        assert output == b"ended\n"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("profile", [(), ("high",)], ids=["Constrained Baseline", "High"])
async def test_ffmpegs_whip_muxer_is_seen_in_a_browser(
    tmp_path: Path, founded_school: FoundedSchool, profile: tuple[str, ...]
) -> None:
    async with running_relay(tmp_path, founded_school) as relay, chromium() as browser:
        page = await pupil(browser, f"{relay.url}{founded_school.class_path}")
        await until_state(page, "waiting")

        async with ffmpeg(f"{relay.url}/whip", founded_school.stream_key, *profile):
            pictures = await until_new_frames(page, 25)
            assert pictures[0]["width"] == 640
            assert pictures[-1]["capture_us"] > pictures[0]["capture_us"]
            await until_state(page, "live")
        await until_state(page, "over")


async def test_a_browser_publishes_with_h264_and_is_told_so_when_it_offers_something_else(
    tmp_path: Path, founded_school: FoundedSchool
) -> None:
    whep = founded_school.class_path.replace("/c/", "/whep/")
    key = founded_school.stream_key
    async with running_relay(tmp_path, founded_school) as relay, browser_publisher() as studio:
        whip = f"{relay.url}/whip"
        refused = await studio.publish(whip, key, "video/VP8")
        assert refused == {"status": 406, "text": "video must offer H.264 with packetization-mode=1\n"}

        async with whep_viewer(relay.http, relay.url + whep, relay.media_port) as viewer:
            taken = await studio.publish(whip, key, "video/H264")
            assert taken["status"] == 201
            assert taken["etag"].startswith('"'), "the page may read it across origins"
            await viewer.until_media_s(SEEN_S, END_S)
            assert await studio.stop(key) == 200
        assert len(viewer.received.shown()) > 10
        assert viewer.received.missing(AUDIO) == []
