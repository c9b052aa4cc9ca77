"""Nothing is missed: the real kit and relay, a network that is cut, programs that are killed, and what the replay has.

Every picture carries the time at which it was taken, so that a replay is judged by what is decoded from it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from appliance.recordings.lesson_folder import read_index
from relay.archive.recording import LONGEST_GAP_US
from tests.lossy_link import LossyLink
from tests.recording.replay import Codes, complete, download, kept_on_the_kit
from tests.running import FoundedSchool, RunningKit, RunningRelay, free_ports, running_relay
from tests.tcp_link import TcpLink

CAMERA = 'kind = "simulated"\nwidth = 640\nheight = 360\nfps = 15'
OUTAGE_S = 60.0  # as long as the promise speaks of; the lesson teaches on meanwhile
PICTURE_HOLE_US = 1_500_000  # less than a segment: a loaded machine leaves some pictures out before they are encoded
SEGMENT_US = 2_000_000  # what a kill may cost


@asynccontextmanager
async def _running_kit(folder: Path, relay: RunningRelay, url: str, code: str) -> AsyncIterator[RunningKit]:
    """A kit that is enrolled."""
    kit = RunningKit(folder, relay.http, url, code, camera=CAMERA)
    try:
        await kit.start()
        await kit.until(lambda status: status["link"]["control"] == "up")
        yield kit
    finally:
        if kit.program.process is not None and kit.program.process.returncode is None:
            await kit.program.end(signal.SIGTERM)


async def _recorded(kit: RunningKit, segments: int) -> None:
    """Wait until the running lesson has so many segments on the card."""
    lesson = (await kit.status())["lesson"]["id"]
    folder = kit.folder / "state" / "recordings" / lesson
    async with asyncio.timeout(30):
        while len(read_index(folder)) < segments:  # noqa: ASYNC110 - only the disk tells
            await asyncio.sleep(0.05)


async def test_an_outage_and_three_dead_relays_cost_the_replay_no_picture(
    tmp_path: Path, founded_school: FoundedSchool
) -> None:
    async with AsyncExitStack() as stack:
        udp, tcp = await stack.enter_async_context(LossyLink()), await stack.enter_async_context(TcpLink())
        relay = await stack.enter_async_context(
            running_relay(tmp_path / "relay", founded_school, advertise=(udp.advertised,), media_port=free_ports())
        )
        udp.target, tcp.target = ("127.0.0.1", relay.media_port), ("127.0.0.1", relay.port)
        running = _running_kit(tmp_path / "kit", relay, tcp.url, founded_school.enrol_code)
        kit = await stack.enter_async_context(running)
        await kit.press("start")
        await kit.until_state("live")
        await _recorded(kit, 2)

        udp.cut()
        tcp.cut()
        degraded = await kit.until_state("degraded")
        assert degraded["tally"] == "not_live"
        await asyncio.sleep(OUTAGE_S)
        assert (await kit.status())["link"]["waiting_s"] >= OUTAGE_S / 2
        udp.restore()
        tcp.restore()
        await kit.until_state("live")

        for _ in range(3):
            await relay.program.end(signal.SIGKILL)
            await relay.start()
            await kit.until_state("live")
        await kit.hold_to_end()
        ended_s = time.monotonic()
        (lesson,) = await complete(relay.http, relay.url + founded_school.class_path)
        print(f"complete {time.monotonic() - ended_s:.1f} s after the end")
        video = await download(relay.http, relay.url, lesson)
        kept = kept_on_the_kit(kit.folder / "state", lesson["id"])

    codes = Codes.of(video)
    assert codes.holes(PICTURE_HOLE_US) == []
    assert codes == Codes.of(kept)
    assert lesson["gaps"] == []


async def test_what_a_killed_kit_recorded_without_a_relay_is_there_later_with_its_real_time_and_its_hole(
    tmp_path: Path, founded_school: FoundedSchool
) -> None:
    async with AsyncExitStack() as stack:
        serving = running_relay(tmp_path / "relay", founded_school, media_port=free_ports())
        relay = await stack.enter_async_context(serving)
        running = _running_kit(tmp_path / "kit", relay, relay.url, founded_school.enrol_code)
        kit = await stack.enter_async_context(running)
        await relay.program.end(signal.SIGTERM)

        # A lesson in which the kit dies, and is not back soon enough: the next start closes it.
        old_s = await kit.press("start")
        old_id = (await kit.until_state("starting"))["lesson"]["id"]
        await _recorded(kit, 1)
        await kit.program.end(signal.SIGKILL)
        long_ago_s = time.time() - 300
        os.utime(kit.folder / "state" / "lesson.json", (long_ago_s, long_ago_s))
        await kit.start()
        assert (await kit.status())["state"] == "idle"

        # A lesson in which the kit dies and is back: it goes on.
        new_s = await kit.press("start")
        new_id = (await kit.until_state("starting"))["lesson"]["id"]
        await _recorded(kit, 1)
        killed_us = round((time.time() - new_s) * 1e6)
        await kit.program.end(signal.SIGKILL)
        await kit.start()
        assert (await kit.status())["lesson"]["id"] == new_id
        await _recorded(kit, 3)
        await kit.hold_to_end()

        await relay.start()
        new, old = await complete(relay.http, relay.url + founded_school.class_path, 2)
        assert (new["id"], old["id"]) == (new_id, old_id)
        for lesson, pressed_s in ((new, new_s), (old, old_s)):
            assert abs(lesson["started_unix_ms"] - pressed_s * 1000) < 1000
        videos = [await download(relay.http, relay.url, lesson) for lesson in (new, old)]
        kept = [kept_on_the_kit(kit.folder / "state", lesson["id"]) for lesson in (new, old)]
        playlist_url = relay.url + new["playlist"].replace("index.m3u8", "main.m3u8")
        async with relay.http.get(playlist_url) as response:
            playlist = await response.text()

    resumed, cut_off = (Codes.of(video) for video in videos)
    assert [resumed, cut_off] == [Codes.of(video) for video in kept]
    assert cut_off.holes(PICTURE_HOLE_US) == []
    before_us, after_us = resumed.around(killed_us)
    assert resumed.holes(PICTURE_HOLE_US) in ([], [(before_us, after_us)])  # a quick kit is back within a second
    assert killed_us - before_us < SEGMENT_US
    assert playlist.count("#EXT-X-DISCONTINUITY") == 1
    assert playlist.count("#EXT-X-GAP") == 1, "what was in the making is seen as a hole"
    ((hole_begins_ms, hole_ends_ms),) = new["gaps"]
    assert abs(hole_begins_ms * 1000 - before_us) < SEGMENT_US
    assert 0 < hole_ends_ms - hole_begins_ms <= LONGEST_GAP_US // 1000
    assert "#EXT-X-ENDLIST" in playlist
