"""What pupils get of a recording: played as a player does it, cached as a proxy does it, and only by the right link."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.relay.archive.footage import FPS, Seen, footage, read_footage
from tests.relay.archive.hls_rules import MediaPlaylist, read_multivariant
from tests.relay.web.kit_recorder import STARTED_US, Recorder
from tests.relay.web.served import LESSON, Served, TokenKit, hear, lesson_status, say, welcomed
from wire.messages import KitStatus
from wire.recording import RecordingEnd

FOOTAGE = footage()
CURTAIN = footage(6, curtain=3)
TWO_SIZES = footage(4, sizes=((160, 96), (192, 112)))


@pytest.fixture
def recorder(relay: Served, kit: TokenKit) -> Recorder:
    return Recorder(relay, kit)


@dataclass
class Player:
    """Reads a lesson as an HLS player does: the index, the playlist, each init and each segment."""

    relay: Served
    base: str

    async def bytes(self, name: str) -> bytes:
        async with self.relay.http.get(f"{self.relay.url}{self.base}/{name}") as response:
            assert response.status == 200, (name, response.status)
            return await response.read()

    async def playlist(self) -> MediaPlaylist:
        _, uri = read_multivariant((await self.bytes("index.m3u8")).decode())
        return MediaPlaylist.read((await self.bytes(uri)).decode())

    async def play(self) -> list[Seen]:
        """What is seen between discontinuities."""
        stretches: dict[int, list[bytes]] = {}
        for segment in (await self.playlist()).segments:
            if not segment.gap:
                parts = stretches.setdefault(segment.discontinuity, [await self.bytes(segment.map_uri)])
                parts.append(await self.bytes(segment.uri))
        return [read_footage(*parts) for parts in stretches.values()]


@pytest.fixture
def player(relay: Served) -> Player:
    return Player(relay, f"/c/{relay.link}/lessons/{LESSON}")


async def _lessons(relay: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await relay.text(f"/c/{relay.link}/lessons"))["lessons"]
    return found


async def test_a_lesson_plays_whole(recorder: Recorder, player: Player) -> None:
    await recorder.send_all(FOOTAGE)
    shown = await player.playlist()
    assert shown.ended
    [seen] = await player.play()
    assert seen.numbers == list(range(5 * 2 * FPS)), "every picture, once, in order"
    assert seen.times_s == pytest.approx([number / FPS for number in seen.numbers], abs=0.001)
    assert seen.sound_s == pytest.approx((0, 10), abs=0.03)
    assert seen.sound_samples / 48_000 == pytest.approx(10, abs=0.03)


async def test_a_lesson_with_a_curtain_and_one_with_two_sizes_play_whole(recorder: Recorder, player: Player) -> None:
    await recorder.send_all(CURTAIN)
    before, after = await player.play()
    assert before.numbers + after.numbers == list(range(6 * 2 * FPS))
    assert after.times_s[0] == pytest.approx(606, abs=0.001)
    other = Recorder(recorder.relay, recorder.kit, "2f" * 16)
    await other.send_all(TWO_SIZES)
    small, large = await Player(player.relay, f"/c/{player.relay.link}/lessons/{other.lesson_id}").play()
    assert small.numbers + large.numbers == list(range(4 * 2 * FPS))


async def test_a_hole_is_shown_and_closes_in_place(recorder: Recorder, player: Player, relay: Served) -> None:
    await recorder.send_all(FOOTAGE, without=(1, 2))
    holed = await player.playlist()
    assert [item.gap for item in holed.segments] == [False, True, True, False, False]
    [listed] = await _lessons(relay)
    assert (listed["gaps"], listed["complete"], listed["duration_ms"]) == ([[2000, 6000]], False, 10_000)
    for number in (2, 1):
        await recorder.segment(number, FOOTAGE.pieces[number])
        relay.clock.shift_s += 1
        whole = await player.playlist()
        whole.follows(holed)
        holed = whole
    assert whole.ended
    [listed] = await _lessons(relay)
    assert (listed["gaps"], listed["complete"], listed["duration_ms"]) == ([], True, 10_000)


async def test_the_list_says_what_a_page_needs(recorder: Recorder, relay: Served) -> None:
    assert await _lessons(relay) == []
    await recorder.begin()
    assert await _lessons(relay) == [], "nothing to be seen yet"
    later = Recorder(relay, recorder.kit, "2f" * 16)
    await later.begin(STARTED_US + 3_600_000_000)
    for one in (recorder, later):
        await one.init(0, FOOTAGE.inits[0])
        await one.segment(0, FOOTAGE.pieces[0])
    newest, oldest = await _lessons(relay)
    base = f"/c/{relay.link}/lessons/{LESSON}"
    assert newest["id"] == later.lesson_id
    assert oldest == {
        "id": LESSON,
        "started_unix_ms": STARTED_US // 1000,
        "duration_ms": 2000,
        "live": False,
        "complete": False,
        "thumbnail": None,
        "playlist": f"{base}/index.m3u8",
        "download": f"{base}/lesson.mp4",
        "gaps": [],
    }


async def test_the_newest_board_still_is_the_thumbnail(recorder: Recorder, relay: Served) -> None:
    await recorder.send_all(FOOTAGE)
    for capture_us, picture in ((5_000_000, b"\xff\xd8\xff one \xff\xd9"), (9_000_000, b"\xff\xd8\xff two \xff\xd9")):
        relay.relay.stills.keep(LESSON, capture_us, picture)
    [listed] = await _lessons(relay)
    async with relay.http.get(relay.url + listed["thumbnail"]) as response:
        assert response.content_type == "image/jpeg"
        assert await response.read() == b"\xff\xd8\xff two \xff\xd9"


async def test_pupils_of_a_running_lesson_hear_of_its_recording(recorder: Recorder, relay: Served) -> None:
    async with welcomed(relay, recorder.kit) as socket:
        await say(socket, lesson_status())
        await hear(socket)
        assert (await _state(relay))["recording"] is None
        await recorder.begin()
        await recorder.init(0, FOOTAGE.inits[0])
        assert (await _state(relay))["recording"] is None
        await recorder.segment(0, FOOTAGE.pieces[0])
        recording = (await _state(relay))["recording"]
        assert recording["started_unix_ms"] == STARTED_US // 1000
        assert (await Player(relay, recording["playlist"].removesuffix("/index.m3u8")).playlist()).kind == "EVENT"
        [listed] = await _lessons(relay)
        assert listed["live"]
        await say(socket, KitStatus(state="idle", tally="off"))
        await recorder.end(RecordingEnd(segments=1, duration_us=2_000_000))
        assert (await _state(relay))["recording"] == recording, "who comes late finds it, too"
        [listed] = await _lessons(relay)
        assert (listed["live"], listed["complete"]) == (False, True)


async def _state(relay: Served) -> dict[str, Any]:
    async with relay.http.get(f"{relay.url}/c/{relay.link}/events") as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                found: dict[str, Any] = json.loads(line[6:])
                return found
    raise AssertionError("the stream ended")


async def test_a_kit_that_never_comes_back_leaves_a_lesson_that_ends(
    recorder: Recorder, player: Player, relay: Served
) -> None:
    await recorder.begin()
    await recorder.init(0, FOOTAGE.inits[0])
    await recorder.segment(0, FOOTAGE.pieces[0])
    assert not (await player.playlist()).ended
    relay.clock.shift_s += 7 * 3600
    assert (await player.playlist()).ended


# -- caches -----------------------------------------------------------------------------------------------------------


async def test_segments_and_inits_are_kept_by_caches_and_read_in_parts(recorder: Recorder, player: Player) -> None:
    await recorder.send_all(FOOTAGE)
    for name, body in (("init-0.mp4", FOOTAGE.inits[0]), ("3.m4s", FOOTAGE.pieces[3].body)):
        url = f"{player.relay.url}{player.base}/{name}"
        async with player.relay.http.get(url) as response:
            assert await response.read() == body
            assert "immutable" in response.headers["Cache-Control"]
            etag = response.headers["ETag"]
            assert response.headers["Accept-Ranges"] == "bytes"
        for wanted, part in (("0-99", body[:100]), ("100-", body[100:]), ("-7", body[-7:]), ("5-999999999", body[5:])):
            async with player.relay.http.get(url, headers={"Range": f"bytes={wanted}"}) as response:
                assert (response.status, await response.read()) == (206, part)
        async with player.relay.http.get(url, headers={"Range": "bytes=99999999-"}) as response:
            assert response.status == 416
            assert response.headers["Content-Range"] == f"bytes */{len(body)}"
        async with player.relay.http.get(url, headers={"Range": "bytes=0-9", "If-Range": '"older"'}) as response:
            assert (response.status, await response.read()) == (200, body)
        async with player.relay.http.get(url, headers={"If-None-Match": f'"x", W/{etag}'}) as response:
            assert (response.status, await response.read()) == (304, b"")
        async with player.relay.http.head(url) as response:
            assert int(response.headers["Content-Length"]) == len(body)


async def test_a_playlist_is_asked_for_again_and_packed(recorder: Recorder, player: Player) -> None:
    await recorder.send_all(FOOTAGE, without=(4,))
    url = f"{player.relay.url}{player.base}/main.m3u8"
    packed = {"Accept-Encoding": "gzip"}
    async with player.relay.http.get(url, headers=packed, auto_decompress=False) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers["Cache-Control"] == "public, max-age=1"
        assert response.content_type == "application/vnd.apple.mpegurl"
        first, etag = gzip.decompress(await response.read()), response.headers["ETag"]
    async with player.relay.http.get(url, headers={"Accept-Encoding": "identity"}) as response:
        assert await response.read() == first
        assert response.headers["ETag"] != etag, "another representation"
    async with player.relay.http.get(url, headers={**packed, "If-None-Match": etag}) as response:
        assert response.status == 304
    await recorder.segment(4, FOOTAGE.pieces[4])
    async with player.relay.http.get(url, headers={**packed, "If-None-Match": etag}) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "public, max-age=60"


# -- who may look -----------------------------------------------------------------------------------------------------


async def test_a_lesson_is_seen_under_its_own_class_link_only(recorder: Recorder, relay: Served) -> None:
    await recorder.send_all(FOOTAGE)
    relay.relay.stills.keep(LESSON, 1, b"\xff\xd8\xff\xff\xd9")
    _, other = await relay.office.add_class("8А", None)
    await relay.notice()
    names = ("index.m3u8", "main.m3u8", "init-0.mp4", "0.m4s", "board.jpg")
    for link, status in ((relay.link, 200), (other.link, 404), ("A" * 22, 404)):
        for name in names:
            async with relay.http.get(f"{relay.url}/c/{link}/lessons/{LESSON}/{name}") as response:
                assert response.status == status, (link, name)
    assert json.loads(await relay.text(f"/c/{other.link}/lessons")) == {"lessons": []}


async def test_what_is_not_there_is_not_found(recorder: Recorder, player: Player) -> None:
    await recorder.send_all(FOOTAGE, without=(1,))
    wrong = (
        "1.m4s",
        "9.m4s",
        "00.m4s",
        "init-1.mp4",
        "0.mp4",
        "init-0.m4s",
        "x",
        "third.m3u8",
        "..%2f0.m4s",
        "board.jpg",
    )
    for name in wrong:
        async with player.relay.http.get(f"{player.relay.url}{player.base}/{name}") as response:
            assert response.status == 404, name
    async with player.relay.http.get(f"{player.relay.url}/c/{player.relay.link}/lessons/..%2f/0.m4s") as response:
        assert response.status == 404
