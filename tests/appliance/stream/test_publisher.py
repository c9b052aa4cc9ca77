"""The publisher against a real WHIP server: it keeps the lesson live through whatever happens to the relay."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiortc.rtp import RtcpPsfbPacket

from appliance.stream.bearer import StaticBearer
from appliance.stream.publisher import LinkState, Publisher
from appliance.stream.session import SessionTimes
from appliance.stream.timestamps import picture_ticks, rtp_payload
from appliance.stream.uplink import Target
from tests.appliance.stream.media import LIMITS, Lesson, unit, voice
from tests.appliance.stream.whip_server import ServerSession, WhipServer, whip_server

LESSON_ID = "01" * 16
PATIENCE_S = 10.0
STAP_A = 24  # RFC 6184 §5.7.1
QUICK = SessionTimes(connect_s=2.0, close_s=1.0, liveness_s=1.0, probe_every_s=0.1, suspect_s=0.2)


class States:
    """What ``on_state`` was told."""

    def __init__(self) -> None:
        self.seen: list[LinkState] = []
        self._changed = asyncio.Event()

    def __call__(self, state: LinkState) -> None:
        self.seen.append(state)
        self._changed.set()

    async def until(self, state: LinkState, times: int = 1, within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while self.seen.count(state) < times:
                self._changed.clear()
                await self._changed.wait()


class Air:
    """A publisher that runs for a lesson."""

    def __init__(self, server: WhipServer, **settings: Any) -> None:
        self.lesson = Lesson()
        self.states = States()
        self.targets: list[Target] = []
        quick: dict[str, Any] = {
            "times": QUICK,
            "redial_s": (0.05, 0.2),
            "refused_s": 0.05,
            "bearer": StaticBearer("stream-key"),
        }
        chosen = quick | settings
        self.publisher = Publisher(
            server.url,
            chosen.pop("bearer"),
            on_key_frame_wanted=self.lesson.want_key_frame,
            limits=LIMITS,
            on_target=self.targets.append,
            on_state=self.states,
            **chosen,
        )


@asynccontextmanager
async def on_air(server: WhipServer, **settings: Any) -> AsyncIterator[Air]:
    air = Air(server, **settings)
    running = asyncio.create_task(air.publisher.run(air.lesson.clock, LESSON_ID))
    try:
        yield air
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_lesson_that_begins_while_aiortc_is_loaded_holds_up_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a crash, when the lesson goes on at once."""
    loading, loaded = threading.Event(), threading.Event()

    def load() -> None:
        loading.set()
        assert loaded.wait(PATIENCE_S), "the event loop was held"

    monkeypatch.setattr("appliance.stream.peer.load", load)
    async with whip_server() as server, on_air(server) as air, air.lesson.feeding(air.publisher):
        assert await asyncio.to_thread(loading.wait, PATIENCE_S), "aiortc is loaded in a thread, before the session"
        loaded.set()
        session = await server.session(1)
        await session.until(lambda: bool(session.packets("video")))


async def test_a_lesson_goes_live_with_a_key_frame_and_is_deleted_at_its_end() -> None:
    async with whip_server() as server:
        async with on_air(server) as air, air.lesson.feeding(air.publisher):
            session = await server.session(1)
            await session.until(lambda: session.packets("video") and session.packets("audio"))
            assert air.lesson.key_frames_wanted >= 1
            assert session.packets("video")[0].data[20] & 0x1F in {24, 28}, "parameter sets or a fragment, first"
            figures = air.publisher.figures()
            assert (figures.state, figures.reconnects, figures.last_error) == ("up", 0, None)
        assert server.deleted == ["1"]
        assert air.states.seen == ["connecting", "up", "down"]
        assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer stream-key"] * 2


async def test_a_lesson_begins_with_the_settings_rate_which_is_told_once() -> None:
    async with whip_server() as server, on_air(server) as air, air.lesson.feeding(air.publisher):
        session = await server.session(1)
        await session.until(lambda: len(session.rtcp) >= 3)
        assert air.targets[0] == Target(bitrate_bps=LIMITS.max_bps, fps=LIMITS.fps, pace_bps=None)
        assert all(before != after for before, after in itertools.pairwise(air.targets)), "only what changed"
        assert air.publisher.figures().target.fps <= LIMITS.fps


async def test_while_the_uplink_holds_pictures_voice_goes_alone_and_then_a_key_frame_is_first() -> None:
    async with whip_server() as server, on_air(server) as air, air.lesson.feeding(air.publisher):
        session = await server.session(1)
        await session.until(lambda: len(session.packets("video")) > 100)
        uplink = air.publisher._uplink
        held = replace(uplink.target, hold=True)
        observe, uplink.observe = uplink.observe, lambda sample: held  # type: ignore[method-assign]
        await session.until(lambda: air.targets[-1] == held)
        asked, dropped = air.lesson.key_frames_wanted, air.publisher.figures().pictures_dropped
        spoken = len(session.packets("audio"))
        await session.until(lambda: len(session.packets("audio")) > spoken + 20)
        seen = len(session.packets("video"))
        assert air.publisher.figures().pictures_dropped > dropped
        assert air.lesson.key_frames_wanted == asked
        uplink.observe = observe  # type: ignore[method-assign]
        await session.until(lambda: len(session.packets("video")) > seen)
        assert air.lesson.key_frames_wanted == asked + 1
        assert rtp_payload(session.packets("video")[seen].data)[0] & 0x1F == STAP_A, "parameter sets come first"


async def test_without_a_session_units_are_dropped_and_nobody_waits() -> None:
    async with whip_server() as server:
        air = Air(server)
        for number in range(1000):
            air.publisher.picture(unit(number * 33_333, key_frame=True))
        assert air.publisher.figures().state == "down"
        assert air.lesson.key_frames_wanted == 0


async def test_ten_picture_losses_ask_the_encoder_once() -> None:
    async with whip_server() as server, on_air(server, debounce_s=0.1) as air:
        session = await server.session(1)
        await air.states.until("up")
        air.publisher.picture(unit(0, key_frame=True))
        await session.until(lambda: session.packets("video"))
        await _debounced(0.1)
        asked = air.lesson.key_frames_wanted
        for _ in range(10):
            await session.send_rtcp(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=session.ssrc("video")))
        air.lesson.asked.clear()
        async with asyncio.timeout(5):
            await air.lesson.asked.wait()
        air.publisher.picture(unit(33_333, key_frame=True))
        await session.until(lambda: sum(packet.marker for packet in session.packets("video")) == 2)
        await _debounced(0.1)
        assert air.lesson.key_frames_wanted == asked + 1


async def _debounced(wait_s: float) -> None:
    """Until any request that was held back would have been made."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(wait_s * 1.5, passed.set)
    await passed.wait()


async def test_a_relay_that_is_killed_and_comes_back_gets_the_lesson_again_by_itself() -> None:
    async with whip_server() as server, on_air(server) as air, air.lesson.feeding(air.publisher):
        first = await server.session(1)
        await first.until(lambda: first.packets("video"))
        await server.die()
        await air.states.until("down")
        assert "has not answered" in str(air.publisher.figures().last_error)
        await air.states.until("connecting", times=3)  # a dial or more at a dead port
        asked = air.lesson.key_frames_wanted
        returned_s = asyncio.get_running_loop().time()
        await server.start()
        second = await server.session(2)
        await second.until(lambda: second.packets("video"))
        assert asyncio.get_running_loop().time() - returned_s < 2.0, "the promise, and this is a slow machine"
        assert air.lesson.key_frames_wanted > asked, "a new session begins with a key frame"
        assert air.publisher.figures().reconnects == 1
        assert first.ssrc("video") != second.ssrc("video")


async def test_a_session_that_the_relay_ends_is_dialled_again_at_once() -> None:
    async with whip_server() as server, on_air(server) as air:
        first = await server.session(1)
        await air.states.until("up")
        await first.pc.close()
        await server.session(2)
        await air.states.until("up", times=2)
        assert server.deleted == [], "nobody is there to say goodbye to"


async def test_doubt_from_elsewhere_finds_a_dead_session_early() -> None:
    times = SessionTimes(close_s=1.0, liveness_s=60.0, probe_every_s=20.0, suspect_s=0.2)
    async with whip_server() as server, on_air(server, times=times) as air:
        session = await server.session(1)
        await air.states.until("up")
        session.fall_silent()
        air.publisher.suspect()
        await server.session(2)


async def test_a_busy_relay_is_asked_again_when_it_said() -> None:
    asked_s: list[float] = []

    async def busy_twice(request: web.Request) -> web.Response | None:
        asked_s.append(asyncio.get_running_loop().time())
        if request.method == "POST" and len(asked_s) <= 2:
            return web.Response(status=409, text="room 12 is live from another kit", headers={"Retry-After": "1"})
        return None

    async with whip_server(answering=busy_twice) as server, on_air(server) as air:
        await air.states.until("down")
        assert air.publisher.figures().last_error == "the relay answered 409: room 12 is live from another kit"
        await server.session(1)
        assert all(later - earlier >= 0.99 for earlier, later in itertools.pairwise(asked_s[:2]))
        await air.states.until("up")
        assert air.publisher.figures().last_error is None


async def test_a_kit_whose_clock_is_wrong_learns_the_time_and_is_live_with_its_second_request() -> None:
    class Clockless:
        right = False

        def authorise(self, method: str, path: str, lesson_id: str | None = None) -> str:
            assert lesson_id == LESSON_ID
            return f"{method} {path} {self.right}"

        def learn_time(self, date: str) -> bool:
            assert date.endswith("GMT")
            self.right = True
            return True

    async def check(request: web.Request) -> web.Response | None:
        wanted = f"Bearer {request.method} {request.path} True"
        return None if request.headers["Authorization"] == wanted else web.Response(status=401)

    async with whip_server(answering=check) as server:
        async with on_air(server, bearer=Clockless(), refused_s=60.0):
            await server.session(1)
        assert [asked.method for asked in server.asked] == ["POST", "POST", "DELETE"]
        assert server.deleted == ["1"]


async def test_a_refused_kit_waits_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": "kit_unknown", "reason": "this kit was removed"}, status=403)

    with caplog.at_level(logging.DEBUG, logger="appliance.stream.publisher"):
        async with whip_server(answering=refuse) as server, on_air(server) as air:
            await air.states.until("down", times=3)
            assert air.publisher.figures().last_error == "the relay answered 403: this kit was removed"
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1, "one line for each reason, however often it is tried"


async def test_a_relay_without_a_udp_path_gets_its_session_deleted_and_is_dialled_again() -> None:
    times = SessionTimes(connect_s=0.3, close_s=1.0)
    async with whip_server() as server, on_air(server, times=times) as air:
        first = await server.session(1)
        await air.states.until("up")
        assert first.connected.is_set()
        server.answering = _falling_silent(server)
        first.fall_silent()
        air.publisher.suspect()
        await air.states.until("down", times=2)
        assert server.deleted == ["2"], "the first was dead already"
        assert "no UDP path" in str(air.publisher.figures().last_error)


def _falling_silent(server: WhipServer) -> Any:
    """Answers like the server, over a network that carries no UDP."""

    async def answer(request: web.Request) -> web.Response | None:
        if request.method != "POST":
            return None
        body = (await request.read()).decode()
        response = await server._post(body)
        server.newest.fall_silent()
        return response

    return answer


async def test_a_slow_network_costs_whole_pictures_and_never_the_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = False
    monkeypatch.setattr("appliance.stream.peer.Peer.blocked", lambda self: slow)
    async with whip_server() as server, on_air(server) as air:
        session = await server.session(1)
        await air.states.until("up")
        air.publisher.picture(unit(0, key_frame=True))
        await session.until(lambda: _pictures(session) == 1)
        slow, asked = True, air.lesson.key_frames_wanted
        for number in range(1, 31):  # a second
            air.publisher.picture(unit(number * 33_333))
        air.publisher.voice(voice(0))
        await session.until(lambda: session.packets("audio"))
        assert _pictures(session) == 1
        air.lesson.asked.clear()
        if air.lesson.key_frames_wanted == asked:
            async with asyncio.timeout(5):
                await air.lesson.asked.wait()
        slow = False
        air.publisher.picture(unit(31 * 33_333, key_frame=True))
        await session.until(lambda: _has_key_frame_at(session, 31 * 33_333))
        assert air.publisher.figures().pictures_dropped >= 15


def _pictures(session: ServerSession) -> int:
    return sum(packet.marker for packet in session.packets("video"))


def _has_key_frame_at(session: ServerSession, capture_us: int) -> bool:
    packets = session.packets("video")
    ticks = (packets[-1].timestamp - packets[0].timestamp) & 0xFFFFFFFF
    return packets[-1].marker and ticks == picture_ticks(capture_us)


async def test_one_publisher_serves_one_lesson_after_the_other() -> None:
    async with whip_server() as server:
        air = Air(server)
        for number in (1, 2):
            running = asyncio.create_task(air.publisher.run(air.lesson.clock, LESSON_ID))
            await server.session(number)
            await air.states.until("up", times=number)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert server.deleted == ["1", "2"]
        assert air.publisher.figures().reconnects == 0


async def test_a_lesson_may_end_at_any_step_of_a_dial() -> None:
    """Cancelled after ever more turns of the loop, until one was enough to go live: nothing may stay (conftest.py)."""
    async with whip_server() as server:
        reached, turns = set[LinkState](), 1.0
        while "up" not in reached and turns < 1e6:
            air = Air(server)
            running = asyncio.create_task(air.publisher.run(air.lesson.clock, LESSON_ID))
            for _ in range(int(turns)):
                await asyncio.sleep(0)
            reached.add(air.publisher.figures().state)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert air.publisher.figures().state == "down"
            turns *= 1.15
        assert reached == {"connecting", "up"}


async def test_warming_up_needs_no_relay() -> None:
    async with whip_server() as server:
        await Air(server).publisher.warm_up()
        assert server.asked == []
