"""A kit sends its recording: what is taken is there for good, and what is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.relay.archive.footage import Piece, footage
from tests.relay.web.kit_recorder import STARTED_US, Recorder
from tests.relay.web.served import LESSON, Served, TokenKit, enrolled, hear, lesson_status, say, welcomed
from wire.recording import (
    DIGEST_HEADER,
    MAX_INIT_BYTES,
    MAX_SEGMENT_BYTES,
    SEGMENT_HEADER,
    RecordingEnd,
    RecordingState,
    content_digest_of,
    encode,
)

FOOTAGE = footage()
OTHER_LESSON = "2f" * 16


@pytest.fixture
def recorder(relay: Served, kit: TokenKit) -> Recorder:
    return Recorder(relay, kit)


def _files(folder: Path) -> set[str]:
    kept = folder / "recordings"
    return {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}


async def test_a_lesson_arrives_and_the_relay_says_what_it_holds(recorder: Recorder, tmp_path: Path) -> None:
    assert (await recorder.begin()).status == 201
    assert await recorder.state() == RecordingState()
    assert (await recorder.init(0, FOOTAGE.inits[0])).status == 201
    for number in (3, 0, 4):
        assert (await recorder.segment(number, FOOTAGE.pieces[number])).status == 201
    assert await recorder.state() == RecordingState(segments=((0, 0), (3, 4)), inits=((0, 0),))
    end = RecordingEnd(segments=5, duration_us=FOOTAGE.duration_us)
    assert (await recorder.end(end)).told["segments"] == [[0, 0], [3, 4]]
    for number in (1, 2):
        assert (await recorder.segment(number, FOOTAGE.pieces[number])).status == 201
    assert await recorder.state() == RecordingState(segments=((0, 4),), inits=((0, 0),), ended=True)
    assert _files(tmp_path) == {f"{LESSON}/init-0.mp4", *(f"{LESSON}/{number}.m4s" for number in range(5))}
    assert (tmp_path / "recordings" / LESSON / "3.m4s").read_bytes() == FOOTAGE.pieces[3].body


async def test_what_was_sent_may_be_sent_again(recorder: Recorder) -> None:
    await recorder.send_all(FOOTAGE)
    assert (await recorder.begin()).status == 200
    assert (await recorder.init(0, FOOTAGE.inits[0])).status == 200
    assert (await recorder.segment(2, FOOTAGE.pieces[2])).status == 200
    assert (await recorder.end(RecordingEnd(segments=5, duration_us=FOOTAGE.duration_us))).status == 200


async def test_the_same_segment_sent_twice_at_once_is_taken_once(recorder: Recorder) -> None:
    await recorder.begin()
    await recorder.init(0, FOOTAGE.inits[0])
    answers = await asyncio.gather(*(recorder.segment(1, FOOTAGE.pieces[1]) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [200, 200, 201]


async def test_segments_sent_at_once_are_all_taken(recorder: Recorder) -> None:
    await recorder.begin()
    await recorder.init(0, FOOTAGE.inits[0])
    answers = await asyncio.gather(*(recorder.segment(number, FOOTAGE.pieces[number]) for number in (4, 0, 2, 1)))
    assert {answer.status for answer in answers} == {201}
    assert (await recorder.state()).segments == ((0, 2), (4, 4))


async def test_other_content_under_a_number_is_refused(recorder: Recorder, tmp_path: Path) -> None:
    await recorder.send_all(FOOTAGE)
    assert (await recorder.begin(STARTED_US + 1)).refusal == (409, "recording_refused")
    other = replace(FOOTAGE.pieces[1], head=FOOTAGE.pieces[2].head)
    answer = await recorder.segment(2, replace(other, body=_padded(FOOTAGE.pieces[2].body)))
    assert answer.refusal == (409, "recording_refused")
    assert (await recorder.init(0, footage(1, sizes=((192, 112),)).inits[0])).status == 409
    assert (await recorder.end(RecordingEnd(segments=4, duration_us=FOOTAGE.duration_us))).status == 409
    assert (tmp_path / "recordings" / LESSON / "2.m4s").read_bytes() == FOOTAGE.pieces[2].body


async def test_a_kit_that_lost_a_segment_since_may_say_so(recorder: Recorder) -> None:
    await recorder.send_all(FOOTAGE, without=(2,))
    lost = RecordingEnd(segments=5, duration_us=FOOTAGE.duration_us, lost=((2, 2),))
    assert (await recorder.end(lost)).status == 200
    assert (await recorder.end(replace_lost(lost, ()))).status == 409


def replace_lost(end: RecordingEnd, lost: tuple[tuple[int, int], ...]) -> RecordingEnd:
    return RecordingEnd(segments=end.segments, duration_us=end.duration_us, lost=lost)


# -- what is refused --------------------------------------------------------------------------------------------------


def _padded(body: bytes) -> bytes:
    return body + (16).to_bytes(4) + b"free" + bytes(8)


PIECE = FOOTAGE.pieces[1]
REFUSED: dict[str, tuple[int, int, Piece, dict[str, str | None]]] = {
    "wrong digest": (422, 1, PIECE, {DIGEST_HEADER: content_digest_of(b"another")}),
    "no digest": (422, 1, PIECE, {DIGEST_HEADER: None}),
    "broken digest": (422, 1, PIECE, {DIGEST_HEADER: "sha-256=:x:"}),
    "no head": (422, 1, PIECE, {SEGMENT_HEADER: None}),
    "broken head": (422, 1, PIECE, {SEGMENT_HEADER: "{"}),
    "number 10^9": (422, 10**9, PIECE, {}),
    "number 100000": (422, 100_000, PIECE, {}),
    "a page": (415, 1, PIECE, {"Content-Type": "text/html"}),
    "cut off with a digest that fits": (422, 1, replace(PIECE, body=PIECE.body[:-1]), {}),
    "nothing": (422, 1, replace(PIECE, body=b""), {}),
    "two fragments": (422, 1, replace(PIECE, body=PIECE.body * 2), {}),
    "an init": (422, 1, replace(PIECE, body=FOOTAGE.inits[0]), {}),
    "a replayed segment": (422, 1, replace(PIECE, body=FOOTAGE.pieces[0].body), {}),
    "an unknown init": (409, 1, PIECE, {SEGMENT_HEADER: '{"init": 1, "start_us": 2000000, "duration_us": 2000000}'}),
    "later than the next": (422, 1, FOOTAGE.pieces[4], {}),
    "beyond the end": (409, 5, PIECE, {}),
}


async def test_a_segment_that_is_none_is_refused_and_leaves_nothing(recorder: Recorder, tmp_path: Path) -> None:
    await recorder.send_all(FOOTAGE, without=(1,))
    before = _files(tmp_path)
    for what, (status, number, piece, headers) in REFUSED.items():
        answer = await recorder.segment(number, piece, **headers)
        assert answer.status == status, (what, answer)
        assert answer.told["reason"], what
        assert _files(tmp_path) == before, what
        assert (await recorder.state()).segments == ((0, 0), (2, 4)), what
    assert (await recorder.segment(1, PIECE)).status == 201, "and the right one is still taken"


async def test_an_init_that_is_none_is_refused_and_leaves_nothing(recorder: Recorder, tmp_path: Path) -> None:
    await recorder.begin()
    whole = FOOTAGE.inits[0]
    for wrong in (b"", bytes(32), PIECE.body, whole[:-4], whole * 2):
        assert (await recorder.init(0, wrong)).refusal == (422, "recording_refused")
    assert (await recorder.init(0, bytes(MAX_INIT_BYTES + 1))).status == 413
    assert _files(tmp_path) == set()
    assert (await recorder.state()).inits == ()


async def test_100_megabytes_are_refused_before_they_are_sent(relay: Served, kit: TokenKit, tmp_path: Path) -> None:
    recorder = Recorder(relay, kit)
    await recorder.begin()
    await recorder.init(0, FOOTAGE.inits[0])
    for length in (MAX_SEGMENT_BYTES + 1, 100 * 1024 * 1024):
        assert (await _raw_put(recorder, PIECE, length=length, sent=0)).startswith(b"HTTP/1.1 413")
    assert (await recorder.state()).segments == ()
    assert _files(tmp_path) == {f"{LESSON}/init-0.mp4"}


async def test_a_body_that_is_cut_off_leaves_nothing(relay: Served, kit: TokenKit, tmp_path: Path) -> None:
    recorder = Recorder(relay, kit)
    await recorder.begin()
    await recorder.init(0, FOOTAGE.inits[0])
    await _raw_put(recorder, PIECE, length=len(PIECE.body), sent=len(PIECE.body) // 2, hang_up=True)
    assert (await recorder.state()).segments == ()
    assert _files(tmp_path) == {f"{LESSON}/init-0.mp4"}
    assert (await recorder.segment(1, PIECE)).status == 201


async def _raw_put(recorder: Recorder, piece: Piece, *, length: int, sent: int, hang_up: bool = False) -> bytes:
    """A PUT with a length of its own and only a part of the body; the head of the answer."""
    path = f"/api/lessons/{recorder.lesson_id}/segments/1"
    token = recorder.kit.token("PUT", path, recorder.lesson_id)
    where = urlsplit(recorder.relay.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    lines = [
        f"PUT {path} HTTP/1.1",
        f"Host: {where.netloc}",
        f"Authorization: Bearer {token}",
        "Content-Type: video/mp4",
        f"{DIGEST_HEADER}: {content_digest_of(piece.body)}",
        f"{SEGMENT_HEADER}: {encode(piece.head)}",
        f"Content-Length: {length}",
    ]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + piece.body[:sent])
    await writer.drain()
    if hang_up:
        writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer


# -- whose lesson it is -----------------------------------------------------------------------------------------------


async def _all_but_begin(recorder: Recorder) -> list[tuple[int, str]]:
    return [
        (await recorder.init(0, FOOTAGE.inits[0])).refusal,
        (await recorder.segment(1, PIECE)).refusal,
        (await recorder.end(RecordingEnd(segments=1, duration_us=1))).refusal,
        (await recorder.send("GET", "recording", b"")).refusal,
    ]


async def test_a_foreign_kits_lesson_is_not_there(relay: Served, kit: TokenKit, tmp_path: Path) -> None:
    await Recorder(relay, kit).send_all(FOOTAGE, without=(1,))
    before = _files(tmp_path)
    other = Recorder(relay, await enrolled(relay.http, relay.url, await relay.code()))
    assert {(await other.begin()).refusal, *await _all_but_begin(other)} == {(404, "no_recording")}
    assert _files(tmp_path) == before


async def test_a_lesson_that_a_foreign_kit_is_live_with_is_not_there(relay: Served, kit: TokenKit) -> None:
    async with welcomed(relay, kit) as socket:
        await say(socket, lesson_status())
        await hear(socket)  # of its lesson: the relay knows it
        other = Recorder(relay, await enrolled(relay.http, relay.url, await relay.code()))
        assert (await other.begin()).status == 404
        assert (await Recorder(relay, kit).begin()).status == 201


async def test_a_lesson_without_a_recording_takes_nothing(recorder: Recorder, tmp_path: Path) -> None:
    assert set(await _all_but_begin(recorder)) == {(404, "no_recording")}
    await recorder.begin()
    other = Recorder(recorder.relay, recorder.kit, OTHER_LESSON)
    assert set(await _all_but_begin(other)) == {(404, "no_recording")}
    assert _files(tmp_path) == set()


async def test_a_token_for_another_lesson_or_request_or_used_before_opens_nothing(recorder: Recorder) -> None:
    await recorder.begin()
    body = FOOTAGE.inits[0]
    headers: dict[str, str | None] = {"Content-Type": "video/mp4", DIGEST_HEADER: content_digest_of(body)}
    path = f"/api/lessons/{LESSON}/inits/0"
    wrong: list[dict[str, object]] = [{"lesson_id": OTHER_LESSON}, {"lesson_id": None}, {"relay_id": "0" * 32}]
    for change in wrong:
        assert (await recorder.send("PUT", "inits/0", body, headers, **change)).refusal == (401, "not_authorised")
    once = recorder.kit.bearer("PUT", path)
    assert (await recorder.send("PUT", "inits/0", body, {**headers, **once})).status == 201
    assert (await recorder.send("PUT", "inits/0", body, {**headers, **once})).status == 401


async def test_a_document_that_is_none_is_refused(recorder: Recorder) -> None:
    assert (await recorder.send("PUT", "recording", b"{}")).refusal == (400, "bad_request")
    await recorder.begin()
    wrong = json.dumps({"segments": 1, "duration_us": 5, "lost": [[1, 1]]}).encode()
    assert (await recorder.send("POST", "recording/end", wrong)).refusal == (400, "bad_request")


# -- trouble ----------------------------------------------------------------------------------------------------------


async def test_a_full_disk_is_told_and_nothing_is_left(
    relay: Served, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorder.begin()
    await recorder.init(0, FOOTAGE.inits[0])

    files = relay.relay.archive.files
    monkeypatch.setattr(files, "_keep_free_bytes", 2 * shutil.disk_usage(tmp_path).total)
    answer = await recorder.segment(1, PIECE)
    assert answer.refusal == (507, "archive_full")
    assert int(answer.headers["Retry-After"]) > 0
    monkeypatch.undo()
    assert _files(tmp_path) == {f"{LESSON}/init-0.mp4"}
    assert (await recorder.segment(1, PIECE)).status == 201
