"""A lesson as one file over HTTP, and a link that opens one lesson for some days."""

from __future__ import annotations

import json
import re

import pytest

from relay.archive.files import segment_name
from relay.classroom.links import lesson_link_digest, new_link
from relay.store.keeping import DAY_MS, Keeping
from tests.relay.archive.footage import FPS, footage, read_footage
from tests.relay.web.kit_recorder import Recorder
from tests.relay.web.served import LESSON, Served, TokenKit

FOOTAGE = footage(6, sizes=((160, 96), (192, 112)))


@pytest.fixture
async def url(relay: Served, kit: TokenKit) -> str:
    """Where the file of a whole lesson is."""
    await Recorder(relay, kit).send_all(FOOTAGE)
    return f"{relay.url}/c/{relay.link}/lessons/{LESSON}/lesson.mp4"


async def test_a_lesson_is_downloaded_whole(relay: Served, url: str) -> None:
    async with relay.http.get(url) as response:
        body = await response.read()
        assert response.content_type == "video/mp4"
        assert int(response.headers["Content-Length"]) == len(body)
        named = response.headers["Content-Disposition"]
        assert re.fullmatch(r'attachment; filename="lesson-2026-(08-31|09-01)-\d{4}\.mp4"', named)
    assert read_footage(body).numbers == list(range(6 * 2 * FPS))


async def test_any_part_of_the_file_may_be_asked_for(relay: Served, url: str) -> None:
    async with relay.http.get(url) as response:
        body, etag = await response.read(), response.headers["ETag"]
    middle = len(body) // 2
    for first, last in ((0, 0), (0, 1999), (middle, middle + 30_000), (len(body) - 5, len(body) - 1)):
        async with relay.http.get(url, headers={"Range": f"bytes={first}-{last}", "If-Range": etag}) as response:
            assert response.status == 206
            assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(body)}"
            assert await response.read() == body[first : last + 1]
    async with relay.http.get(url, headers={"Range": f"bytes={len(body)}-"}) as response:
        assert response.status == 416
    async with relay.http.get(url, headers={"If-None-Match": etag}) as response:
        assert response.status == 304
    async with relay.http.head(url) as response:
        assert int(response.headers["Content-Length"]) == len(body)


async def test_a_file_that_is_lacking_breaks_the_download_off(
    relay: Served, url: str, tmp_path_factory: object
) -> None:
    files = relay.relay.archive.files
    await files.put(segment_name(LESSON, 4), b"rotten")
    with pytest.raises(Exception, match=r"(?i)payload|disconnected|closed|reset"):
        async with relay.http.get(url) as response:
            await response.read()


async def test_a_link_opens_one_lesson_until_it_ends(relay: Served, kit: TokenKit, url: str) -> None:
    other = Recorder(relay, kit, "2f" * 16)
    await other.send_all(footage(1))
    token, keeping = new_link(), Keeping(relay.database, 14)
    await keeping.add_link(LESSON, lesson_link_digest(token), relay.clock().unix_ms + DAY_MS)
    base = f"/l/{token}"
    [listed] = json.loads(await relay.text(f"{base}/lessons"))["lessons"]
    assert (listed["id"], listed["playlist"], listed["download"]) == (
        LESSON,
        f"{base}/index.m3u8",
        f"{base}/lesson.mp4",
    )
    assert "main.m3u8" in await relay.text(listed["playlist"])
    page = await relay.text(base)
    assert f'src="{base}/lesson.mp4"' in page
    assert "7Б" in page
    names = ("", "/lessons", "/index.m3u8", "/main.m3u8", "/init-0.mp4", "/0.m4s", "/lesson.mp4")
    assert {await _status(relay, base + name) for name in names} == {200}
    assert {await _status(relay, f"/l/{new_link()}{name}") for name in names} == {404}
    assert await _status(relay, "/l/short") == 404
    relay.clock.shift_s += 86_401
    assert {await _status(relay, base + name) for name in names} == {404}
    assert "срок" in await relay.text(base)


async def _status(relay: Served, path: str) -> int:
    async with relay.http.get(relay.url + path) as response:
        await response.read()
        return response.status
