"""A kit's trial of the media path, at the real relay with the real engine: harmless to every lesson, and soon over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from relay.app import running
from relay.settings import load_settings
from relay.web import preflight
from service.systemd import Service
from tests.relay.running import Serving, configured
from tests.relay.test_app import School, kit_in, offer, set_up
from tests.relay.web.served import TokenKit, lesson_status, say, welcomed

WITHIN_S = 15.0


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    at = configured(tmp_path)
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    async with (
        running(load_settings(at.config), Service("parta-relay")),
        aiohttp.ClientSession(timeout=timeout) as http,
    ):
        yield await set_up(Serving(at, http))


async def _try(school: School, kit: TokenKit | None = None) -> aiohttp.ClientResponse:
    kit = kit or school.kit
    return await school.post("/preflight", offer("aiortc_publish"), kit.bearer("POST", "/preflight"))


async def _delete(school: School, path: str, kit: TokenKit) -> int:
    async with school.relay.http.delete(school.relay.url + path, headers=kit.bearer("DELETE", path)) as answer:
        return answer.status


async def test_a_trial_is_a_session_and_no_lesson(school: School) -> None:
    answer = await _try(school)
    assert answer.status == 201
    assert "a=candidate:" in await answer.text()
    assert await school.sessions() == 1
    await school.state("waiting")
    assert await _delete(school, answer.headers["Location"], school.kit) == 200
    assert await school.sessions() == 0


async def test_a_trial_in_a_lesson_leaves_the_lesson_alone(school: School) -> None:
    async with welcomed(school.relay, school.kit) as socket:
        await say(socket, lesson_status())
        assert (await school.publish()).status == 201
        await school.state("starting")
        answer = await _try(school)
        assert await school.sessions() == 2
        assert await _delete(school, answer.headers["Location"], school.kit) == 200
        assert await school.sessions() == 1
        await school.state("starting")


async def test_a_stranger_may_not_try(school: School) -> None:
    assert (await school.post("/preflight", offer("aiortc_publish"))).status == 401
    assert await school.sessions() == 0


async def test_another_kits_trial_cannot_be_ended_nor_a_lessons_session_that_way(school: School) -> None:
    other = await kit_in(school.relay, "13")
    trial = (await _try(school)).headers["Location"]
    lesson = (await school.publish()).headers["Location"]
    assert await _delete(school, trial, other) == 404
    assert await _delete(school, lesson.replace("/whip/", "/preflight/"), school.kit) == 404
    assert await school.sessions() == 2


async def test_a_new_trial_replaces_the_kits_older_one(school: School) -> None:
    await _try(school)
    await _try(school)
    assert await school.sessions() == 1


async def test_a_trial_that_nobody_ends_ends_by_itself(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "TRIAL_S", 0.01)
    await _try(school)
    async with asyncio.timeout(WITHIN_S):
        while await school.sessions():
            pass


async def _upload(school: School, body: object, kit: TokenKit | None = None) -> aiohttp.ClientResponse:
    path = "/preflight/upload"
    headers = (kit or school.kit).bearer("PUT", path)
    return await school.relay.http.put(school.relay.url + path, data=body, headers=headers)


async def test_an_upload_is_counted_and_thrown_away(school: School) -> None:
    answer = await _upload(school, bytes(300_000))
    assert (answer.status, await answer.json()) == (200, {"bytes": 300_000})


async def test_a_stranger_may_not_upload(school: School) -> None:
    assert (await school.relay.http.put(f"{school.relay.url}/preflight/upload", data=b"noise")).status == 401


async def test_an_upload_has_an_end_whatever_it_said_of_its_length(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "MAX_UPLOAD_BYTES", 1000)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(100)

    assert (await _upload(school, bytes(1001))).status == 413
    assert (await _upload(school, endless())).status == 413


async def test_a_kit_uploads_once_at_a_time_and_another_one_beside_it(school: School) -> None:
    other = await kit_in(school.relay, "13")
    began, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"first"
        began.set()
        await may_end.wait()
        yield b"last"

    first = asyncio.create_task(_upload(school, slow()))
    async with asyncio.timeout(WITHIN_S):
        await began.wait()
        while (second := await _upload(school, b"noise")).status == 200:
            pass  # the first one's headers are still on their way
    assert second.status == 503
    assert second.headers["Retry-After"] == "5"
    assert (await _upload(school, b"noise", other)).status == 200
    may_end.set()
    assert (await first).status == 200
