"""What a pupil gets: the page, the events, WHEP, stills; and the kind 404."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from yarl import URL

from relay.web import events as events_module
from relay.web.pages import language_of
from relay.web.stills import MAX_STILL_BYTES
from tests.relay.web.recording_engine import ANSWER, OFFER
from tests.relay.web.served import LESSON, WAIT_S, Served, TokenKit, lesson_status, say, welcomed

SDP = {"Content-Type": "application/sdp"}
NO_LINK = "A" * 22
PICTURE = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


class Events:
    """A page that listens."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def line(self) -> str:
        return (await asyncio.wait_for(self._response.content.readline(), WAIT_S)).decode()

    async def state(self) -> dict[str, Any]:
        while not (line := await self.line()).startswith("data:"):
            assert line, "the stream ended"
        found: dict[str, Any] = json.loads(line[5:])
        return found

    async def until(self, name: str) -> dict[str, Any]:
        while (state := await self.state())["state"] != name:
            pass
        return state

    async def until_end(self) -> None:
        await asyncio.wait_for(self._response.content.read(), WAIT_S)


@asynccontextmanager
async def listening(relay: Served) -> AsyncIterator[Events]:
    async with relay.http.get(f"{relay.url}/c/{relay.link}/events") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Events(response)


# -- the page -------------------------------------------------------------------------------------------------------


async def test_a_class_link_opens_the_page_of_the_class(relay: Served) -> None:
    async with relay.http.get(f"{relay.url}/c/{relay.link}", headers={"Accept-Language": "ru"}) as response:
        text = await response.text()
        assert response.status == 200
        assert response.headers["Content-Language"] == "ru"
    assert f"/c/{relay.link}/events" in text
    assert f"/whep/{relay.link}" in text
    assert "7Б" in text


async def test_names_are_escaped(relay: Served) -> None:
    _, made = await relay.office.add_class("<script>alert(1)</script>", None)
    text = await relay.text(f"/c/{made.link}")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


@pytest.mark.parametrize("path", ["", "/events", f"/stills/{LESSON}/5.jpg"])
@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("link", [NO_LINK, "short", "%27%22", "x" * 5000])
async def test_a_link_that_opens_nothing_gets_a_kind_page_in_the_pupils_language(
    relay: Served, path: str, language: str, link: str
) -> None:
    headers = {"Accept-Language": language}
    async with relay.http.get(f"{relay.url}/c/{link}{path}", headers=headers) as response:
        assert response.status == 404
        assert response.content_type == "text/html"
        assert f'<html lang="{language}"' in await response.text()


@pytest.mark.parametrize("path", ["/c/{link}", "/c/" + NO_LINK, "/static/page.js", "/healthz", "/nothing"])
async def test_every_answer_is_guarded(relay: Served, path: str) -> None:
    async with relay.http.get(relay.url + path.format(link=relay.link)) as response:
        headers = response.headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "Set-Cookie" not in headers
    assert "Server" not in headers


async def test_a_page_is_never_kept_and_a_file_is_asked_for_again(relay: Served) -> None:
    async with relay.http.get(f"{relay.url}/c/{relay.link}") as page:
        assert page.headers["Cache-Control"] == "no-store"
    async with relay.http.get(f"{relay.url}/static/backoff.js") as file:
        assert file.content_type == "text/javascript"
        etag = file.headers["ETag"]
        assert "no-cache" in file.headers["Cache-Control"]
        body = await file.read()
    async with relay.http.get(f"{relay.url}/static/backoff.js", headers={"If-None-Match": etag}) as again:
        assert (again.status, await again.read()) == (304, b"")
    plain = {"Accept-Encoding": "identity"}
    async with relay.http.get(f"{relay.url}/static/backoff.js", headers=plain) as unpacked:
        assert await unpacked.read() == body
        assert unpacked.headers["ETag"] != etag


@pytest.mark.parametrize("path", ["..%2fpage.html", "../page.html", "nothing.js", "%00", "a/b"])
async def test_only_the_pages_own_files_are_served(relay: Served, path: str) -> None:
    async with relay.http.get(URL(f"{relay.url}/static/{path}", encoded=True)) as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"),
        ("ru;q=0.5,en;q=0.9", "en"),
        ("tt,ru;q=0.5", "ru"),
        ("de,fr;q=0.5", "ru"),
        ("en;q=nonsense", "ru"),
        ("*", "ru"),
    ],
)
def test_the_page_speaks_the_language_that_the_browser_prefers(header: str, language: str) -> None:
    assert language_of(header) == language


# -- events ---------------------------------------------------------------------------------------------------------


async def test_a_waiting_page_hears_the_lesson_from_its_start_to_its_end(relay: Served, kit: TokenKit) -> None:
    async with listening(relay) as page, welcomed(relay, kit) as socket:
        nothing: dict[str, object] = {
            "lesson": None,
            "viewers": 0,
            "stills": [],
            "sound_warning": None,
            "recording": None,
        }
        assert await page.state() == {"v": 1, "state": "waiting", **nothing}
        await say(socket, lesson_status("starting"))
        started = await page.until("starting")
        assert started["lesson"]["id"] == LESSON
        headers = kit.bearer("POST", "/whip") | SDP
        async with relay.http.post(f"{relay.url}/whip", data=OFFER, headers=headers) as response:
            assert response.status == 201
        await page.until("live")
        await say(socket, lesson_status("curtain"))
        await page.until("curtain")
        await say(socket, lesson_status("live"))
        await page.until("live")
        await relay.notice()
        relay.engine.measure(relay.class_id, publisher=None, picture=False, sound=False)
        await page.until("reconnecting")
        await say(socket, lesson_status("idle", None))
        over = await page.until("over")
        assert over["lesson"]["ended_unix_ms"] >= over["lesson"]["started_unix_ms"]


async def test_how_many_watch_is_told_at_the_next_tick(relay: Served) -> None:
    async with listening(relay) as page:
        await page.state()
        relay.engine.measure(relay.class_id, publisher=None, picture=False, sound=False, viewers=7)
        await relay.notice()
        assert (await page.state())["viewers"] == 7


async def test_a_quiet_stream_is_kept_awake(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "HEARTBEAT_S", 0.05)
    async with listening(relay) as page:
        await page.state()
        while not (await page.line()).startswith(":"):
            pass


async def test_a_page_that_leaves_is_forgotten(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "HEARTBEAT_S", 0.02)
    async with listening(relay) as page:
        await page.state()
    async with asyncio.timeout(WAIT_S):
        while "parta_event_streams 0.0" not in await relay.text("/metrics"):
            pass
    assert relay.relay.live.followers.classes() == []


async def test_too_many_pages_are_asked_to_come_again(relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "MAX_PER_CLASS", 1)
    async with listening(relay) as page:
        await page.state()
        async with relay.http.get(f"{relay.url}/c/{relay.link}/events") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "10")


async def test_a_rotated_link_ends_its_streams_and_opens_nothing_more(relay: Served) -> None:
    async with listening(relay) as page:
        await page.state()
        await relay.office.rotate_link("7Б", None)
        await relay.notice()
        await page.until_end()
    assert relay.engine.closed_channels == [relay.class_id]
    async with relay.http.get(f"{relay.url}/c/{relay.link}") as response:
        assert response.status == 404
    async with relay.http.post(f"{relay.url}/whep/{relay.link}", data=OFFER, headers=SDP) as response:
        assert response.status == 404


async def test_a_link_that_lived_less_than_a_tick_is_missed_no_less(relay: Served) -> None:
    _, made = await relay.office.add_class("8А", None)
    async with relay.http.post(f"{relay.url}/whep/{made.link}", data=OFFER, headers=SDP) as response:
        assert response.status == 201
    await relay.office.rotate_link("8А", None)
    await relay.notice()
    assert relay.engine.closed_channels == [made.class_id]


async def test_streams_end_at_once_when_the_relay_stops(relay: Served) -> None:
    async with listening(relay) as page:
        await page.state()
        stopping = asyncio.create_task(relay.runner.cleanup())
        await page.until_end()
        await asyncio.wait_for(stopping, 2.0)


# -- WHEP -----------------------------------------------------------------------------------------------------------


async def test_a_pupil_may_wait_for_the_lesson_in_a_session(relay: Served) -> None:
    async with relay.http.post(f"{relay.url}/whep/{relay.link}", data=OFFER, headers=SDP) as response:
        assert response.status == 201
        assert response.headers["Location"] == f"/whep/{relay.link}/session0"
        assert response.headers["ETag"] == '"first"'
        assert await response.text() == ANSWER
        location = response.headers["Location"]
    assert relay.engine.channels == {"session0": relay.class_id}
    async with relay.http.get(relay.url + location) as looked:
        assert (looked.status, await looked.read()) == (200, b"")
    headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": '"first"'}
    async with relay.http.patch(relay.url + location, data="a=candidate:x", headers=headers) as patched:
        assert patched.status == 204
    async with relay.http.delete(relay.url + location) as ended:
        assert ended.status == 200
    assert relay.engine.channels == {}


async def test_a_session_is_found_under_its_own_class_link_only(relay: Served) -> None:
    _, other = await relay.office.add_class("8А", None)
    async with relay.http.post(f"{relay.url}/whep/{relay.link}", data=OFFER, headers=SDP) as response:
        session = response.headers["Location"].rpartition("/")[2]
    async with relay.http.delete(f"{relay.url}/whep/{other.link}/{session}") as response:
        assert response.status == 404
    assert session in relay.engine.channels


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", NO_LINK, SDP, OFFER, 404),
        ("POST", "{link}", {"Content-Type": "text/plain"}, OFFER, 415),
        ("POST", "{link}", SDP, "x" * (64 * 1024 + 1), 413),
        ("DELETE", "{link}/nosession", {}, None, 404),
        ("PATCH", "{link}/nosession", {}, None, 404),
        ("PUT", "{link}/nosession", SDP, OFFER, 405),
    ],
)
async def test_a_request_of_the_wrong_kind_is_refused(
    relay: Served, method: str, path: str, headers: dict[str, str], body: str | None, status: int
) -> None:
    url = f"{relay.url}/whep/{path.format(link=relay.link)}"
    async with relay.http.request(method, url, data=body, headers=headers) as response:
        assert response.status == status
        assert response.content_type == "text/plain"
        assert (await response.text()).count("\n") == 1
        assert ("Allow" in response.headers) == (status == 405)
    assert relay.engine.channels == {}


# -- stills ---------------------------------------------------------------------------------------------------------


async def put(relay: Served, kit: TokenKit, name: str, body: Any = PICTURE, lesson: str = LESSON, **kind: str) -> int:
    path = f"/api/lessons/{lesson}/stills/{name}"
    headers = kit.bearer("PUT", path) | {"Content-Type": kind.get("kind", "image/jpeg")}
    async with relay.http.put(relay.url + path, data=body, headers=headers) as response:
        return response.status


@pytest.fixture
async def taught(relay: Served, kit: TokenKit) -> None:
    """A lesson runs."""
    place = relay.relay.registers.latest.place(relay.relay.registers.latest.kits[kit.kit_id].room_id)
    relay.relay.live.kit_status(kit.kit_id, place, lesson_status())


@pytest.mark.usefixtures("taught")
async def test_a_board_still_reaches_the_class(relay: Served, kit: TokenKit) -> None:
    async with listening(relay) as page:
        await page.state()
        assert await put(relay, kit, "5000000") == 201
        assert await put(relay, kit, "5000000") == 200
        state = await page.state()
    [still] = state["stills"]
    assert still["taken_unix_ms"] == state["lesson"]["started_unix_ms"] + 5000
    async with relay.http.get(relay.url + still["url"]) as response:
        assert await response.read() == PICTURE
        assert response.content_type == "image/jpeg"
        assert "immutable" in response.headers["Cache-Control"]


@pytest.mark.usefixtures("taught")
@pytest.mark.parametrize(
    ("name", "body", "change", "status"),
    [
        ("5", b"GIF89a", {}, 422),
        ("5", PICTURE[:-1], {}, 422),
        ("5", b"", {}, 422),
        ("5", PICTURE, {"kind": "image/png"}, 415),
        ("5", io.BytesIO(bytes(MAX_STILL_BYTES + 1)), {}, 413),
        ("-5", PICTURE, {}, 404),
        ("05", PICTURE, {}, 404),
        ("99999999999999", PICTURE, {}, 404),
        ("5", PICTURE, {"lesson": "2e" * 16}, 401),
    ],
)
async def test_a_still_that_is_none_is_refused(
    relay: Served, kit: TokenKit, name: str, body: Any, change: dict[str, str], status: int
) -> None:
    assert await put(relay, kit, name, body, **change) == status
    assert relay.relay.live.class_state(relay.class_id).stills == ()


async def test_a_still_of_no_lesson_or_of_another_kits_is_refused(relay: Served, kit: TokenKit) -> None:
    assert await put(relay, kit, "5") == 404
    place = relay.relay.registers.latest.place(relay.relay.registers.latest.kits[kit.kit_id].room_id)
    relay.relay.live.kit_status(kit.kit_id, place, lesson_status())
    assert await put(relay, await relay.kit(), "5") == 404


@pytest.mark.usefixtures("taught")
async def test_a_still_is_seen_while_the_class_is_told_of_its_lesson(relay: Served, kit: TokenKit) -> None:
    assert await put(relay, kit, "5") == 201
    place = relay.relay.registers.latest.place(relay.relay.registers.latest.kits[kit.kit_id].room_id)
    relay.relay.live.kit_status(kit.kit_id, place, lesson_status("idle", None))
    url = f"{relay.url}/c/{relay.link}/stills/{LESSON}/5.jpg"
    async with relay.http.get(url) as response:
        assert response.status == 200, "the lesson was over a moment ago"
    relay.clock.shift_s = 16 * 60
    async with relay.http.get(url) as response:
        assert response.status == 404


@pytest.mark.usefixtures("taught")
async def test_a_still_is_seen_under_its_own_class_link_only(relay: Served, kit: TokenKit) -> None:
    assert await put(relay, kit, "5") == 201
    _, other = await relay.office.add_class("8А", None)
    async with relay.http.get(f"{relay.url}/c/{other.link}/stills/{LESSON}/5.jpg") as response:
        assert response.status == 404
