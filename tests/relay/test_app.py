"""The whole relay: the real program with the real engine and database, killed, restarted, stopped, and commanded."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.app import running
from relay.classroom.school import Lesson
from relay.clock import moment
from relay.settings import load_settings
from service.systemd import Service
from tests.relay.running import Serving, configured, serving
from tests.relay.web.served import LESSON, TokenKit, enrolled, hear, lesson_status, say, welcomed
from wire.messages import Command

OFFERS = Path(__file__).parent / "engines" / "offers"
SDP = {"Content-Type": "application/sdp"}
WAIT_S = 15.0
STOP_S = 5.0


def offer(name: str) -> str:
    """An offer that a real peer made."""
    return (OFFERS / f"{name}.sdp").read_text().replace("\r\n", "\n").replace("\n", "\r\n")


@dataclass
class School:
    """A relay that serves, with a class and a kit in it."""

    relay: Serving
    class_path: str
    kit: TokenKit

    async def state(self, wanted: str) -> dict[str, Any]:
        """Listen as a pupil until the class is in this state."""
        async with asyncio.timeout(WAIT_S), self.relay.http.get(f"{self.relay.url}{self.class_path}/events") as page:
            async for line in page.content:
                if line.startswith(b"data:"):
                    found: dict[str, Any] = json.loads(line[5:])
                    if found["state"] == wanted:
                        return found
        raise AssertionError(f"the events ended: {self.relay.log()}")

    async def post(self, path: str, body: str, headers: dict[str, str] | None = None) -> aiohttp.ClientResponse:
        """POST an offer."""
        async with self.relay.http.post(self.relay.url + path, data=body, headers=SDP | (headers or {})) as response:
            await response.read()
            return response

    async def publish(self, name: str = "aiortc_publish", kit: TokenKit | None = None) -> aiohttp.ClientResponse:
        """POST /whip as the kit."""
        return await self.post("/whip", offer(name), (kit or self.kit).bearer("POST", "/whip"))

    async def sessions(self) -> int:
        """How many sessions the engine has."""
        async with self.relay.http.get(f"{self.relay.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return int(float(next(line for line in lines if line.startswith("parta_media_sessions ")).split()[1]))


async def set_up(relay: Serving) -> School:
    """A school with a class, and a kit in room 12."""
    async with relay.at.office() as office:
        await office.add_school("Школа № 7")
        _, made = await office.add_class("7Б", None)
    return School(relay, made.path, await kit_in(relay, "12"))


async def kit_in(relay: Serving, room: str) -> TokenKit:
    """A kit that enrolled in a room."""
    async with relay.at.office() as office:
        code = await office.issue_code(room, "7Б", None, moment().unix_ms, 3600)
    return await enrolled(relay.http, relay.url, code.secret)


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    async with serving(tmp_path) as relay:
        yield await set_up(relay)


async def test_a_relay_that_was_killed_comes_back_with_everything_and_its_lesson(school: School) -> None:
    relay = school.relay
    async with welcomed(relay, school.kit) as socket:
        await say(socket, lesson_status())
        assert (await school.publish()).status == 201
        await school.state("starting")
        before = await _lessons(relay, running=1)
        await relay.end(signal.SIGKILL)

    await relay.start()
    assert await _lessons(relay, running=1) == before
    async with relay.at.office() as office:
        assert (await office.find_class("7Б", None)).path == school.class_path
    state = await school.state("reconnecting")
    assert state["lesson"]["id"] == LESSON

    async with welcomed(relay, school.kit) as socket:
        assert (await school.publish()).status == 201, "the kit's key is still trusted"
        await say(socket, lesson_status("idle", None))
        await school.state("over")
    assert (await _lessons(relay, running=0))[0].end_reason == "kit"


async def _lessons(relay: Serving, *, running: int) -> list[Lesson]:
    """The lessons, once this many run: they are written down behind the live path."""
    async with asyncio.timeout(WAIT_S), relay.at.office() as office:
        while True:
            lessons = await office.lessons(limit=10)
            if lessons and sum(lesson.ended_unix_ms is None for lesson in lessons) == running:
                return lessons


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_relay_that_is_told_to_stop_does_so_at_once_with_everybody_connected(
    school: School, how: signal.Signals
) -> None:
    relay = school.relay
    page_url = f"{relay.url}{school.class_path}/events"
    async with welcomed(relay, school.kit) as socket, relay.http.get(page_url) as page:
        await say(socket, lesson_status())
        assert (await school.publish()).status == 201
        assert (await school.post(f"/whep/{school.class_path[3:]}", offer("chromium_watch"))).status == 201
        await page.content.readline()
        async with asyncio.timeout(STOP_S):
            assert await relay.end(how) == 0, relay.log()
    assert "Traceback" not in relay.log()
    assert "ERROR" not in relay.log()


async def test_a_lesson_can_be_ended_from_the_command_line(school: School) -> None:
    async with welcomed(school.relay, school.kit) as socket:
        await say(socket, lesson_status())
        assert (await school.publish()).status == 201
        await _lessons(school.relay, running=1)
        await school.relay.at.ask("lesson", "end", LESSON)
        await school.state("over")
        assert await school.sessions() == 0
        await say(socket, lesson_status())
        async with asyncio.timeout(WAIT_S):
            while not isinstance(message := await hear(socket), Command):
                pass
        assert (message.kind, message.lesson_id) == ("end_lesson", LESSON)


async def test_a_link_that_is_rotated_from_the_command_line_ends_its_sessions(school: School) -> None:
    whep = f"/whep/{school.class_path[3:]}"
    page_url = f"{school.relay.url}{school.class_path}/events"
    async with school.relay.http.get(page_url) as page:
        assert (await school.post(whep, offer("chromium_watch"))).status == 201
        assert await school.sessions() == 1
        made = await school.relay.at.ask("class", "rotate-link", "7Б")
        await asyncio.wait_for(page.content.read(), WAIT_S)  # the stream ends
    assert await school.sessions() == 0
    assert (await school.post(whep, offer("chromium_watch"))).status == 404
    assert (await school.post(f"/whep/{made['class_path'][3:]}", offer("chromium_watch"))).status == 201


async def test_the_same_kit_replaces_its_session_and_another_kit_is_refused(school: School) -> None:
    first, second = await school.publish(), await school.publish()
    assert (first.status, second.status) == (201, 201)
    assert first.headers["Location"] != second.headers["Location"]
    other = await kit_in(school.relay, "13")
    headers = other.bearer("POST", "/whip", "2e" * 16)
    refused = await school.post("/whip", offer("aiortc_publish"), headers)
    assert refused.status == 409, await refused.text()
    assert "Retry-After" in refused.headers
    assert await school.sessions() == 1


@pytest.mark.parametrize("name", ["aiortc_publish", "chromium_publish", "ffmpeg_publish"])
async def test_publishers_that_nobody_here_wrote_are_answered(school: School, name: str) -> None:
    async with school.relay.at.office() as office:
        key = await office.issue_stream_key("12", None, None, moment().unix_ms, 3600)
    answer = await school.post("/whip", offer(name), {"Authorization": f"Bearer {key.secret}"})
    assert answer.status == 201, await answer.text()
    assert "a=candidate:" in await answer.text()
    assert (await school.state("starting"))["lesson"]["id"]


def _broken(kind: str) -> str:
    good = offer("aiortc_publish")
    if kind == "without ICE":
        return "\r\n".join(line for line in good.split("\r\n") if not line.startswith("a=ice-"))
    if kind == "without DTLS":
        return "\r\n".join(line for line in good.split("\r\n") if not line.startswith("a=fingerprint"))
    if kind == "without H.264":
        return good.replace("H264", "VP8")
    if kind == "cut short":
        return good[: len(good) // 3]
    return {"empty": "", "not SDP": "hello", "nul": "\0" * 100}[kind]


@pytest.mark.parametrize(
    "kind", ["empty", "not SDP", "nul", "cut short", "without ICE", "without DTLS", "without H.264"]
)
async def test_an_offer_that_cannot_be_taken_is_refused_in_one_line_and_nothing_allocated(
    tmp_path: Path, kind: str
) -> None:
    at = configured(tmp_path)
    async with running(load_settings(at.config), Service("parta-relay")), aiohttp.ClientSession() as http:
        school = await set_up(Serving(at, http))
        answer = await school.post("/whip", _broken(kind), school.kit.bearer("POST", "/whip"))
        assert answer.status in {400, 406, 422}
        assert (await answer.text()).count("\n") == 1
        assert await school.sessions() == 0


async def test_the_state_folder_is_made_at_the_first_start(tmp_path: Path) -> None:
    at = configured(tmp_path)
    async with running(load_settings(at.config), Service("parta-relay")):
        assert (tmp_path / "state" / "relay.sqlite3").exists()
