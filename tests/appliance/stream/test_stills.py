"""Board stills reach the relay: each once, in order, whatever happens between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from appliance.stream.stills import MAX_STILL_BYTES, StillUploader
from tests.appliance.stream.web_server import CountingBearer, Handler, WebServer, until, web_server

LESSON_ID = "01" * 16
JPEG = b"\xff\xd8\xff\xe0" + b"board" * 1000


class Answers:
    """Answers with each status in turn, and with the last for ever."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)

    async def __call__(self, request: web.Request) -> web.Response:
        return web.Response(status=self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0])


@asynccontextmanager
async def uploading(
    handle: Handler, *, retry_s: tuple[float, float] = (0.01, 0.02), max_waiting: int = 8
) -> AsyncIterator[tuple[StillUploader, WebServer]]:
    async with web_server(handle) as server:
        uploader = StillUploader(server.url, CountingBearer(), server.http, retry_s=retry_s, max_waiting=max_waiting)
        task = asyncio.create_task(uploader.run())
        try:
            yield uploader, server
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_still_is_put_where_the_protocol_says() -> None:
    async with uploading(Answers(201)) as (uploader, server):
        uploader.submit(LESSON_ID, 12_345_678, JPEG)
        await until(lambda: uploader.waiting == 0)
        (asked,) = server.asked
        path = f"/api/lessons/{LESSON_ID}/stills/12345678"
        assert (asked.method, asked.url, asked.body) == ("PUT", server.url + path, JPEG)
        assert asked.headers["Content-Type"] == "image/jpeg"
        assert asked.token == f"PUT {path} {LESSON_ID} 1"


@pytest.mark.parametrize("trouble", [500, 503, 409, 429])
async def test_a_still_that_did_not_arrive_is_sent_again_in_its_turn(trouble: int) -> None:
    async with uploading(Answers(trouble, trouble, 200)) as (uploader, server):
        uploader.submit(LESSON_ID, 1, JPEG)
        uploader.submit(LESSON_ID, 2, JPEG)
        await until(lambda: uploader.waiting == 0)
        assert [asked.url.rpartition("/")[2] for asked in server.asked] == ["1", "1", "1", "2"]


@pytest.mark.parametrize("status", [400, 403, 404, 413, 415])
async def test_a_still_that_the_relay_will_never_take_makes_way(status: int, caplog: pytest.LogCaptureFixture) -> None:
    async with uploading(Answers(status, 201)) as (uploader, server):
        uploader.submit(LESSON_ID, 1, JPEG)
        uploader.submit(LESSON_ID, 2, JPEG)
        await until(lambda: uploader.waiting == 0)
        assert len(server.asked) == 2
    assert f"taken at 1 µs is dropped: the relay answered {status}" in caplog.text


async def test_the_links_return_ends_the_wait() -> None:
    async with uploading(Answers(500, 201), retry_s=(60.0, 60.0)) as (uploader, server):
        uploader.submit(LESSON_ID, 1, JPEG)
        await server.until_asked(1)
        uploader.link_returned()
        await until(lambda: uploader.waiting == 0)
        assert len(server.asked) == 2


async def test_too_many_waiting_drop_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    async with uploading(Answers(500, 201), max_waiting=2, retry_s=(60.0, 60.0)) as (uploader, server):
        uploader.submit(LESSON_ID, 1, JPEG)
        await server.until_asked(1)
        for number in (2, 3):
            uploader.submit(LESSON_ID, number, JPEG)
        assert uploader.waiting == 2
        uploader.link_returned()
        await until(lambda: uploader.waiting == 0)
        assert [asked.url.rpartition("/")[2] for asked in server.asked] == ["1", "2", "3"]
    assert "the one taken at 1 µs is dropped" in caplog.text


async def test_a_still_that_no_relay_may_take_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    async with uploading(Answers(201)) as (uploader, server):
        uploader.submit(LESSON_ID, 1, bytes(MAX_STILL_BYTES + 1))
        assert uploader.waiting == 0
        assert server.asked == []
    assert "too large" in caplog.text
