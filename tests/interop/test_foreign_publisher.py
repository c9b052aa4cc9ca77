"""Publishers that nobody here wrote, watched in Chromium."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.browser.chromium import chromium, pupil, until_new_frames, until_state
from tests.running import FoundedSchool, running_relay

pytestmark = pytest.mark.browser

END_S = 15.0


@asynccontextmanager
async def ffmpeg(url: str, token: str) -> AsyncIterator[None]:
    """FFmpeg's WHIP muxer publishes for the length of the context, and ends by itself after."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.interop.ffmpeg_publisher",
        url,
        token,
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


async def test_ffmpegs_whip_muxer_is_seen_in_a_browser(tmp_path: Path, founded_school: FoundedSchool) -> None:
    async with running_relay(tmp_path, founded_school) as relay, chromium() as browser:
        page = await pupil(browser, f"{relay.url}{founded_school.class_path}")
        await until_state(page, "waiting")

        async with ffmpeg(f"{relay.url}/whip", founded_school.stream_key):
            pictures = await until_new_frames(page, 25)
            assert pictures[0]["width"] == 640
            assert pictures[-1]["capture_us"] > pictures[0]["capture_us"]
            await until_state(page, "live")
        await until_state(page, "over")
