"""What pupils get of recordings: the list of lessons, playlists, inits, segments, the board (docs/protocol.md).

Under the class link, or under a link to one lesson. Everything is fit for a cache in front: what never changes says so,
and what grows has an ETag. Not here: one file to keep (``downloads.py``).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aiohttp import hdrs, web

from relay.archive import playlist
from relay.archive.files import init_name, segment_name
from relay.archive.recording import Init, Listed, Recording, Segment
from relay.classroom.links import is_id, is_link, lesson_link_digest
from relay.web.cached import Text, file_answer, text_answer
from relay.web.context import RELAY, Relay
from relay.web.pages import class_of, page

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
SEGMENT_TYPE = "video/iso.segment"
INIT_TYPE = "video/mp4"
#: Not longer than a day: a deleted lesson must leave the caches, too.
IMMUTABLE = "public, max-age=86400, immutable"
GROWING = "public, max-age=1"
SETTLED = "public, max-age=60"
#: A recording that nothing was added to for so long, of a lesson that is over, is closed: its kit does not come back.
CLOSED_AFTER_S = 6 * 3600
TEXTS = 256  # playlists kept ready: of every room of a school, and of the replays that are watched
_FILE = re.compile(r"(?P<init>init-)?(?P<number>0|[1-9][0-9]{0,5})\.(?P<kind>mp4|m4s)")


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording, and where its reader found it: ``base`` is the path without the file."""

    recording: Recording
    base: str


class Texts:
    """The playlists of the newest revisions."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, str, int, bool], Text] = OrderedDict()

    def get(self, recording: Recording, name: str, *, closed: bool) -> Text:
        """A playlist, ready to be sent."""
        key = (recording.lesson_id, name, recording.revision, closed)
        found = self._made.pop(key, None) or _playlist(recording, name, closed=closed)
        self._made[key] = found
        if len(self._made) > TEXTS:
            self._made.popitem(last=False)
        return found


PLAYLISTS = web.AppKey("playlists", Texts)


def playlist_path(base: str) -> str:
    """Where a player begins."""
    return f"{base}/index.m3u8"


async def class_lessons(request: web.Request) -> web.Response:
    """``GET /c/<link>/lessons``: the class's recordings, newest first."""
    relay = request.app[RELAY]
    school_class = await class_of(request)
    listed = await relay.recordings.of_class(school_class.class_id)
    return await _list_answer(request, listed, lambda item: f"{school_class.path}/lessons/{item.lesson_id}")


async def _list_answer(request: web.Request, listed: list[Listed], base_of: Callable[[Listed], str]) -> web.Response:
    relay = request.app[RELAY]
    boards = await asyncio.to_thread(_with_boards, relay, listed)
    text = json.dumps({"lessons": [_lesson(relay, item, base_of(item), boards) for item in listed]})
    return text_answer(request, Text.of(text, "application/json; charset=utf-8", _etag(text)), "private, no-cache")


async def class_replay(request: web.Request) -> Replay:
    """The recording that a path under a class link names. Raises 404."""
    school_class = await class_of(request)
    lesson_id = request.match_info["lesson"]
    recording = await request.app[RELAY].archive.shown(lesson_id) if is_id(lesson_id) else None
    if recording is None or recording.class_id != school_class.class_id or not recording.segments:
        raise web.HTTPNotFound(text="no such recording")
    return Replay(recording, f"{school_class.path}/lessons/{lesson_id}")


async def link_replay(request: web.Request) -> Replay:
    """The recording that a link to one lesson opens. Raises 404."""
    relay, token = request.app[RELAY], request.match_info["token"]
    digest = lesson_link_digest(token)
    lesson_id = await relay.keeping.lesson_by_link(digest, relay.clock().unix_ms) if is_link(token) else None
    recording = await relay.archive.shown(lesson_id) if lesson_id is not None else None
    if recording is None or not recording.segments:
        raise web.HTTPNotFound(text="this link opens nothing (any more)")
    return Replay(recording, f"/l/{token}")


async def link_page(request: web.Request) -> web.Response:
    """``GET /l/<token>``: the lesson as a film."""
    recording = (replay := await link_replay(request)).recording
    register = request.app[RELAY].registers.latest
    school_class = register.classes[recording.class_id]
    began = datetime.fromtimestamp(recording.started_unix_us / 1e6).astimezone()
    return page(
        request,
        "lesson.html",
        200,
        class_name=school_class.name,
        school=register.schools[school_class.school_id].name,
        began=f"{began:%d.%m.%Y, %H:%M}",
        began_iso=began.isoformat(timespec="minutes"),
        file=f"{replay.base}/lesson.mp4",
        complete=recording.complete,
    )


async def link_lessons(request: web.Request) -> web.Response:
    """``GET /l/<token>/lessons``: the one lesson, as in the class's list."""
    relay, replay = request.app[RELAY], await link_replay(request)
    listed = await relay.recordings.of_lesson(replay.recording.lesson_id)
    return await _list_answer(request, listed, lambda _listed: replay.base)


async def link_playlist(request: web.Request) -> web.Response:
    """``GET /l/<token>/{index,main}.m3u8``"""
    return playlist_answer(request, await link_replay(request))


async def link_file(request: web.Request) -> web.Response:
    """``GET /l/<token>/{init-<k>.mp4,<n>.m4s}``"""
    return await media_answer(request, await link_replay(request))


async def link_board(request: web.Request) -> web.StreamResponse:
    """``GET /l/<token>/board.jpg``"""
    return await board_answer(request, await link_replay(request))


async def class_playlist(request: web.Request) -> web.Response:
    """``GET /c/<link>/lessons/<lesson>/{index,main}.m3u8``"""
    return playlist_answer(request, await class_replay(request))


async def class_file(request: web.Request) -> web.Response:
    """``GET /c/<link>/lessons/<lesson>/{init-<k>.mp4,<n>.m4s}``"""
    return await media_answer(request, await class_replay(request))


async def class_board(request: web.Request) -> web.StreamResponse:
    """``GET /c/<link>/lessons/<lesson>/board.jpg``"""
    return await board_answer(request, await class_replay(request))


def _lesson(relay: Relay, listed: Listed, base: str, boards: set[str]) -> dict[str, object]:
    return {
        "id": listed.lesson_id,
        "started_unix_ms": listed.started_unix_ms,
        "duration_ms": listed.duration_ms,
        "live": not listed.complete and relay.live.is_running(listed.lesson_id),
        "complete": listed.complete,
        "thumbnail": f"{base}/board.jpg" if listed.lesson_id in boards else None,
        "playlist": playlist_path(base),
        "download": f"{base}/lesson.mp4",
        "gaps": listed.gaps_ms,
    }


def playlist_answer(request: web.Request, replay: Replay) -> web.Response:
    """One of the two playlists."""
    relay, recording = request.app[RELAY], replay.recording
    closed = is_closed(relay, recording)
    text = request.app[PLAYLISTS].get(recording, request.match_info["playlist"], closed=closed)
    return text_answer(request, text, SETTLED if closed else GROWING)


async def media_answer(request: web.Request, replay: Replay) -> web.Response:
    """An init or a segment."""
    files, recording = request.app[RELAY].archive.files, replay.recording
    found = _FILE.fullmatch(request.match_info["file"])
    if found is None or (found["init"] is None) != (found["kind"] == "m4s"):
        raise web.HTTPNotFound(text="no such file")
    number = int(found["number"])
    of_init = found["init"] is not None
    held: Init | Segment | None = (recording.inits if of_init else recording.segments).get(number)
    name = (init_name if of_init else segment_name)(recording.lesson_id, number)
    body = None if held is None else await files.get(name)
    if held is None or body is None:
        raise web.HTTPNotFound(text="no such file")
    return file_answer(request, body, f'"{held.sha256.hex()[:32]}"', INIT_TYPE if of_init else SEGMENT_TYPE, IMMUTABLE)


async def board_answer(request: web.Request, replay: Replay) -> web.StreamResponse:
    """The newest board still of the lesson."""
    newest = await asyncio.to_thread(_board, request.app[RELAY], replay.recording.lesson_id)
    if newest is None:
        raise web.HTTPNotFound(text="no board still")
    return web.FileResponse(newest, headers={hdrs.CACHE_CONTROL: SETTLED, hdrs.CONTENT_TYPE: "image/jpeg"})


def is_closed(relay: Relay, recording: Recording) -> bool:
    """Whether nothing will be added."""
    if recording.complete:
        return True
    quiet_ms = relay.clock().unix_ms - recording.changed_unix_ms
    return quiet_ms >= CLOSED_AFTER_S * 1000 and not relay.live.is_running(recording.lesson_id)


def _playlist(recording: Recording, name: str, *, closed: bool) -> Text:
    text = playlist.multivariant(recording) if name == "index" else playlist.media(recording, closed=closed)
    return Text.of(text, PLAYLIST_TYPE, _etag(text))


def _etag(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _with_boards(relay: Relay, listed: list[Listed]) -> set[str]:
    return {item.lesson_id for item in listed if relay.stills.of_lesson(item.lesson_id)}


def _board(relay: Relay, lesson_id: str) -> Path | None:
    taken = relay.stills.of_lesson(lesson_id)
    return relay.stills.path(lesson_id, taken[-1]) if taken else None
