"""Recorded lessons reach the relay whole: each piece once, whatever happens on the way, on either side."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from appliance.capture.clock import boot_clock_us
from appliance.kept_lesson import boot_id
from appliance.recordings.lesson_folder import Head, IndexEntry, LessonFolder, read_confirmed, read_head
from appliance.recordings.shelf import Shelf
from appliance.stream import recording_client
from appliance.stream.recording_client import RecordingClient
from appliance.stream.upload import SegmentUploader
from appliance.stream.upload_rate import PacedBody
from tests.appliance.stream.web_server import CountingBearer, WebServer, web_server
from wire.recording import RecordingEnd, RecordingHead, RecordingState, content_digest_of, decode, encode, ranges_of

WITHIN_S = 15
S = 1_000_000
Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(status: int, **headers: str) -> Fault:
    """Says this instead."""

    async def fault(request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    return fault


async def half_an_answer(request: web.Request) -> web.StreamResponse:
    """The answer breaks off, after what was asked for may well have been done."""
    response = web.StreamResponse(status=201, headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"half of")
    assert request.transport is not None
    request.transport.abort()
    return response


async def no_answer(request: web.Request) -> web.StreamResponse:
    """Nothing, for as long as anybody waits."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)
    return web.Response(status=500)


@dataclass
class Relay:
    """Keeps what it is sent, as docs/protocol.md has it, and misbehaves when told."""

    starts: dict[str, int] = field(default_factory=dict)
    inits: dict[str, dict[int, bytes]] = field(default_factory=dict)
    segments: dict[str, dict[int, bytes]] = field(default_factory=dict)
    ends: dict[str, RecordingEnd] = field(default_factory=dict)
    order: list[tuple[str, int]] = field(default_factory=list)
    #: What happens to the next segments, before (or, for half an answer, after) they are kept.
    faults: list[Fault] = field(default_factory=list)
    refuse: dict[str, Fault] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        lesson, _, what = request.path.removeprefix("/api/lessons/").partition("/")
        self.changed.set()
        if lesson in self.refuse:
            return await self.refuse[lesson](request)
        kind, _, number = what.partition("/")
        if kind == "recording":
            return await self._recording(request, lesson, number)
        if lesson not in self.starts:
            return web.Response(status=404)
        body = await request.read()
        assert request.headers["Content-Digest"] == content_digest_of(body)
        if kind == "inits":
            self.inits[lesson][int(number)] = body
            return web.Response(status=201)
        return await self._segment(request, lesson, int(number), body)

    async def _recording(self, request: web.Request, lesson: str, more: str) -> web.Response:
        if request.method == "PUT":
            start = decode(await request.read(), RecordingHead).started_unix_us
            if self.starts.setdefault(lesson, start) != start:
                return web.Response(status=409)
            self.inits.setdefault(lesson, {})
            self.segments.setdefault(lesson, {})
            return web.Response(status=201)
        if lesson not in self.starts:
            return web.Response(status=404)
        if more == "end":
            self.ends[lesson] = decode(await request.read(), RecordingEnd)
        state = RecordingState(
            segments=ranges_of(self.segments[lesson]), inits=ranges_of(self.inits[lesson]), ended=lesson in self.ends
        )
        return web.Response(text=encode(state), content_type="application/json")

    async def _segment(self, request: web.Request, lesson: str, number: int, body: bytes) -> web.StreamResponse:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None and fault is not half_an_answer:
            return await fault(request)
        if json.loads(request.headers["Parta-Segment"])["init"] not in self.inits[lesson]:
            return web.Response(status=409)
        status = 200 if number in self.segments[lesson] else 201
        assert self.segments[lesson].setdefault(number, body) == body
        self.order.append((lesson, number))
        return web.Response(status=status) if fault is None else await fault(request)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def until_ended(self, *lessons: str) -> None:
        await self.until(lambda: self.ends.keys() >= set(lessons))


@dataclass
class Stage:
    shelf: Shelf
    relay: Relay
    server: WebServer
    uploader: SegmentUploader

    def record(self, folder: LessonFolder, segments: int) -> None:
        for _ in range(segments):
            self.uploader.recorded(folder.path.name, _add(folder))

    def finish(self, folder: LessonFolder) -> None:
        folder.end(folder.end_us)
        self.shelf.release(folder.path.name)
        self.uploader.recorded(folder.path.name, None)

    async def until_confirmed(self, lesson: str) -> None:
        """Only the disk tells."""
        async with asyncio.timeout(WITHIN_S):
            while not read_confirmed(self.shelf.path(lesson)).all:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def uploading(shelf: Shelf, *, retry_s: tuple[float, float] = (0.01, 0.02)) -> AsyncIterator[Stage]:
    relay = Relay()
    async with web_server(relay) as server:
        client = RecordingClient(server.url, CountingBearer(), server.http, PacedBody(lambda now_s: None))
        uploader = SegmentUploader(shelf, client, retry_s=retry_s, refused_s=0.02)
        running = asyncio.create_task(uploader.run())
        try:
            yield Stage(shelf, relay, server, uploader)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "recordings", 10**9)


def _lesson(shelf: Shelf, name: str, segments: int, *, began: int = 1, over: bool = True) -> LessonFolder:
    folder = LessonFolder(shelf.path(name))
    folder.begin(Head(lesson_id=name, started_unix_us=began, started_boot_us=0, boot_id="another start"))
    for _ in range(segments):
        _add(folder)
    if over:
        folder.end(folder.end_us)
    else:
        shelf.claim(name)
    return folder


def _add(folder: LessonFolder) -> IndexEntry:
    start_us = folder.end_us
    init = folder.init_for(b"init of the first three" if folder.next_number < 3 else b"init of the others")
    hole = folder.next_number == 3
    return folder.add(os.urandom(30_000), init=init, start_us=start_us, end_us=start_us + 2 * S, discontinuity=hole)


def _files(folder: LessonFolder) -> dict[int, bytes]:
    return {number: (folder.path / f"{number}.m4s").read_bytes() for number in folder.entries}


async def test_a_lesson_of_before_arrives_whole_with_its_start_and_its_end(shelf: Shelf) -> None:
    folder = _lesson(shelf, "old", 5, began=1_700_000_000_000_000)
    async with uploading(shelf) as stage:
        await stage.until_confirmed("old")
    assert stage.relay.starts == {"old": 1_700_000_000_000_000}
    assert stage.relay.segments["old"] == _files(folder)
    assert stage.relay.inits["old"] == {0: b"init of the first three", 1: b"init of the others"}
    assert stage.relay.ends["old"] == RecordingEnd(segments=5, duration_us=10 * S)
    (sent,) = [asked for asked in stage.server.asked if asked.url.endswith("/segments/3")]
    assert json.loads(sent.headers["Parta-Segment"]) == {
        "init": 1, "start_us": 6 * S, "duration_us": 2 * S, "discontinuity": True,
    }  # fmt: skip
    assert sent.headers["Content-Type"] == "video/mp4"
    assert (sent.token or "").startswith("PUT /api/lessons/old/segments/3 old ")


async def test_what_the_relay_holds_is_not_sent_again(shelf: Shelf) -> None:
    folder = _lesson(shelf, "old", 6)
    async with uploading(shelf) as stage:
        relay = stage.relay
        relay.starts["old"], relay.inits["old"] = 1, {0: b"init of the first three"}
        relay.segments["old"] = {number: content for number, content in _files(folder).items() if number in (0, 1, 4)}
        await stage.until_confirmed("old")
    assert stage.relay.order == [("old", 2), ("old", 3), ("old", 5)]


async def test_the_newest_of_a_running_lesson_goes_before_what_waits(shelf: Shelf) -> None:
    _lesson(shelf, "old", 4)
    running = _lesson(shelf, "running", 3, began=2, over=False)
    async with uploading(shelf) as stage:
        await stage.relay.until(lambda: len(stage.relay.order) == 2)
        stage.record(running, 1)
        await stage.until_confirmed("old")
        stage.finish(running)
        await stage.until_confirmed("running")
    order = stage.relay.order
    assert order[0] == ("running", 2)
    assert ("running", 3) in order[2:4]
    assert order.index(("old", 3)) < order.index(("running", 0)) < order.index(("running", 1))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 507])
async def test_a_segment_that_did_not_arrive_is_sent_again(shelf: Shelf, status: int) -> None:
    folder = _lesson(shelf, "old", 2)
    async with uploading(shelf) as stage:
        stage.relay.faults = [answer(status), answer(status)]
        await stage.until_confirmed("old")
    assert stage.relay.segments["old"] == _files(folder)


async def test_an_answer_that_breaks_off_is_no_answer_and_the_segment_is_still_there_once(shelf: Shelf) -> None:
    folder = _lesson(shelf, "old", 3)
    async with uploading(shelf) as stage:
        stage.relay.faults = [half_an_answer]
        await stage.until_confirmed("old")
    assert stage.relay.segments["old"] == _files(folder)


async def test_a_full_relay_is_told_and_waited_for_as_long_as_it_says(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    _lesson(shelf, "old", 2)
    async with uploading(shelf, retry_s=(60, 60)) as stage:
        stage.relay.faults = [answer(507, **{"Retry-After": "1"})] * 2
        await stage.relay.until(lambda: not stage.relay.faults)
        assert stage.uploader.figures().full
        assert stage.uploader.figures().waiting_s == 4
        await stage.until_confirmed("old")
        assert not stage.uploader.figures().full
    assert caplog.text.count("no room for recordings") == 1


async def test_a_relay_that_lost_its_memory_is_told_everything_again(shelf: Shelf) -> None:
    folder = _lesson(shelf, "old", 4)
    async with uploading(shelf) as stage:
        relay = stage.relay

        async def forget(request: web.Request) -> web.Response:
            for memory in (relay.starts, relay.inits, relay.segments):
                memory.clear()
            return web.Response(status=503)

        relay.faults = [_kept, _kept, forget]
        await stage.until_confirmed("old")
    assert stage.relay.segments["old"] == _files(folder)


async def _kept(request: web.Request) -> web.Response:
    return web.Response(status=200)  # it says so


async def test_what_the_relay_finds_damaged_each_time_is_told_as_lost_and_the_rest_arrives(shelf: Shelf) -> None:
    folder = _lesson(shelf, "old", 3)
    async with uploading(shelf) as stage:
        stage.relay.faults = [answer(422)] * 3
        await stage.until_confirmed("old")
    assert stage.relay.ends["old"].lost == ((0, 0),)
    assert stage.relay.segments["old"].keys() == folder.entries.keys() - {0}


async def test_what_came_damaged_once_is_sent_again(shelf: Shelf) -> None:
    _lesson(shelf, "old", 2)
    async with uploading(shelf) as stage:
        stage.relay.faults = [answer(422), answer(422)]
        await stage.until_confirmed("old")
    assert stage.relay.ends["old"].lost == ()


async def test_what_rotted_on_the_card_is_never_sent_and_is_told_as_lost(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    folder = _lesson(shelf, "old", 4)
    whole = (folder.path / "1.m4s").read_bytes()
    (folder.path / "1.m4s").write_bytes(whole[:-1] + bytes((whole[-1] ^ 1,)))
    (folder.path / "2.m4s").unlink()
    async with uploading(shelf) as stage:
        await stage.until_confirmed("old")
    assert stage.relay.segments["old"].keys() == {0, 3}
    assert stage.relay.ends["old"].lost == ((1, 2),)
    assert "1.m4s: is not what was recorded" in caplog.text


@pytest.mark.parametrize("status", [404, 403])
async def test_a_lesson_that_the_relay_does_not_want_stays_and_holds_nobody_up(shelf: Shelf, status: int) -> None:
    foreign = _lesson(shelf, "foreign", 2, began=1)
    _lesson(shelf, "mine", 2, began=2)
    async with uploading(shelf) as stage:
        stage.relay.refuse["foreign"] = answer(status)
        if status == 403:  # about the kit, not about the lesson: a person may put it right
            await stage.server.until_asked(3)
            del stage.relay.refuse["foreign"]
            await stage.until_confirmed("foreign")
        await stage.until_confirmed("mine")
    assert read_confirmed(foreign.path).all == (status == 403)
    assert (foreign.path / "0.m4s").exists()


async def test_the_links_return_leaves_what_hangs_and_tries_at_once(shelf: Shelf) -> None:
    folder = _lesson(shelf, "old", 2)
    async with uploading(shelf, retry_s=(60, 60)) as stage:
        stage.relay.faults = [no_answer, answer(500)]
        for left in (1, 0):
            await stage.relay.until(lambda left=left: len(stage.relay.faults) == left)  # type: ignore[misc]
            stage.uploader.link_returned()
            if left == 0:
                await _returns_until(stage, "old")
        assert stage.relay.segments["old"] == _files(folder)


async def _returns_until(stage: Stage, lesson: str) -> None:
    """The link returns again and again: each time it ends a wait, if there is one."""
    async with asyncio.timeout(WITHIN_S):
        while not read_confirmed(stage.shelf.path(lesson)).all:
            await asyncio.sleep(0.02)
            stage.uploader.link_returned()


async def test_a_connection_that_takes_nothing_any_more_is_left(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_client, "STALLED_S", 0.2)
    folder = _lesson(shelf, "old", 2)
    async with uploading(shelf) as stage:
        stage.relay.faults = [no_answer, no_answer]
        await stage.until_confirmed("old")
    assert stage.relay.segments["old"] == _files(folder)


async def test_what_was_confirmed_is_remembered_over_a_start(shelf: Shelf) -> None:
    _lesson(shelf, "old", 25)
    async with uploading(shelf, retry_s=(60, 60)) as stage:
        await stage.relay.until(lambda: len(stage.relay.order) >= 12)
        stage.relay.refuse["old"] = answer(500)
    remembered = read_confirmed(shelf.path("old"))
    assert remembered.segments[0][0] == 0
    assert remembered.segments[0][1] >= 9
    assert not remembered.all


async def test_a_lesson_cut_off_before_the_start_is_closed_and_arrives(shelf: Shelf) -> None:
    _lesson(shelf, "cut off", 3, over=False)
    shelf = Shelf(shelf.root, 10**9)  # the next start
    (shelf.path("cut off") / "3.m4s").write_bytes(b"torn")
    async with uploading(shelf) as stage:
        await stage.until_confirmed("cut off")
    assert stage.relay.ends["cut off"] == RecordingEnd(segments=3, duration_us=6 * S)
    assert stage.relay.segments["cut off"].keys() == {0, 1, 2}


async def test_a_start_by_a_clock_that_was_wrong_is_put_right_once_the_clock_is_set(shelf: Shelf) -> None:
    folder = LessonFolder(shelf.path("old"))
    began_boot_us, began_unix_us = boot_clock_us() - 60 * S, time.time_ns() // 1000 - 60 * S
    wrong = Head(lesson_id="old", started_unix_us=5, started_boot_us=began_boot_us, boot_id=boot_id())
    folder.begin(wrong)
    _add(folder)
    folder.end(folder.end_us)
    async with uploading(shelf) as stage:
        stage.relay.faults = [answer(503)] * 3  # the start is said again each time, and must be the same
        await stage.until_confirmed("old")
    assert abs(stage.relay.starts["old"] - began_unix_us) < 2 * S
    assert read_head(folder.path).started_unix_us == stage.relay.starts["old"]
