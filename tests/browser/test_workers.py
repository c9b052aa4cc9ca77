"""A relay with several media processes, as kit and pupil meet it: one of them dies in the lesson."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from playwright.async_api import Browser

from tests.browser.chromium import pupil, until_new_frames, until_state
from tests.relay.engines.waiting import until
from tests.running import START_S, FoundedSchool, RunningRelay, RunningSchool, free_ports, running_school

pytestmark = pytest.mark.browser


@pytest.fixture
async def school(tmp_path: Path, founded_school: FoundedSchool) -> AsyncIterator[RunningSchool]:
    async with running_school(tmp_path, founded_school, media_port=free_ports(2), more="workers = 2\n") as running:
        yield running


def workers(relay: RunningRelay) -> list[psutil.Process]:
    return psutil.Process(relay.program.pid).children()


def teaching(relay: RunningRelay) -> list[psutil.Process]:
    """The processes with a socket that hears one peer alone: a publisher."""
    return [one for one in workers(relay) if any(socket.raddr for socket in one.net_connections(kind="udp"))]


async def test_kit_and_pupil_come_back_when_their_media_process_is_killed(
    school: RunningSchool, browser: Browser
) -> None:
    page = await pupil(browser, school.class_url)
    await school.kit.press("start")
    before = await until_new_frames(page)
    await until(lambda: len(teaching(school.relay)) == 1, START_S)
    (killed,) = teaching(school.relay)

    os.kill(killed.pid, signal.SIGKILL)
    await school.kit.until_state("degraded")
    assert (await school.kit.until_state("live"))["tally"] == "on_air"
    after = await until_new_frames(page)
    assert after[0]["capture_us"] > before[-1]["capture_us"]
    await until_state(page, "live")
    assert len(await school.relay.command("lesson", "list")) == 1
    await until(lambda: len(workers(school.relay)) == 2, START_S)


async def test_no_media_process_outlives_a_killed_relay(school: RunningSchool) -> None:
    running = workers(school.relay)
    assert len(running) == 2
    await school.relay.program.end(signal.SIGKILL)
    await until(lambda: not any(one.is_running() for one in running), START_S)
    await school.relay.start()  # on the same ports
