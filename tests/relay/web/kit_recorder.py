"""A kit that sends a recording over HTTP, with each part of a request open to be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.relay.archive.footage import Footage, Piece
from tests.relay.web.served import LESSON, Reachable, TokenKit
from wire.recording import (
    DIGEST_HEADER,
    MEDIA_TYPE,
    SEGMENT_HEADER,
    RecordingEnd,
    RecordingHead,
    RecordingState,
    content_digest_of,
    decode,
    encode,
)

STARTED_US = 1_788_249_600_000_000


@dataclass(frozen=True)
class Answer:
    """What the relay said."""

    status: int
    told: Any
    headers: Any

    @property
    def refusal(self) -> tuple[int, str]:
        """The status and the error's key."""
        return self.status, self.told["error"]


@dataclass
class Recorder:
    """See the module."""

    relay: Reachable
    kit: TokenKit
    lesson_id: str = LESSON

    async def begin(self, started_unix_us: int = STARTED_US) -> Answer:
        """PUT …/recording"""
        return await self.send("PUT", "recording", encode(RecordingHead(started_unix_us=started_unix_us)).encode())

    async def state(self) -> RecordingState:
        """GET …/recording"""
        path = f"/api/lessons/{self.lesson_id}/recording"
        headers = self.kit.bearer("GET", path, self.lesson_id)
        async with self.relay.http.get(self.relay.url + path, headers=headers) as response:
            assert response.status == 200, await response.text()
            return decode(await response.read(), RecordingState)

    async def init(self, number: int, body: bytes, **change: Any) -> Answer:
        """PUT …/inits/<k>"""
        return await self.send("PUT", f"inits/{number}", body, {**_media(body), **change})

    async def segment(self, number: int, piece: Piece, **change: Any) -> Answer:
        """PUT …/segments/<n>; ``change`` makes other headers of it."""
        headers = {**_media(piece.body), SEGMENT_HEADER: encode(piece.head)}
        return await self.send("PUT", f"segments/{number}", piece.body, {**headers, **change})

    async def end(self, end: RecordingEnd) -> Answer:
        """POST …/recording/end"""
        return await self.send("POST", "recording/end", encode(end).encode())

    async def send_all(self, footage: Footage, *, without: tuple[int, ...] = ()) -> None:
        """A whole lesson but for these segments, and its end."""
        assert (await self.begin()).status in {200, 201}
        for number, init in enumerate(footage.inits):
            assert (await self.init(number, init)).status in {200, 201}
        for number, piece in enumerate(footage.pieces):
            if number not in without:
                answer = await self.segment(number, piece)
                assert answer.status in {200, 201}, answer
        end = RecordingEnd(segments=len(footage.pieces), duration_us=footage.duration_us)
        assert (await self.end(end)).status == 200

    async def send(
        self, method: str, what: str, body: bytes, headers: dict[str, str | None] | None = None, **change: Any
    ) -> Answer:
        """Any request of the lesson; a header that is ``None`` is left out."""
        path = f"/api/lessons/{self.lesson_id}/{what}"
        sent = {**self.kit.bearer(method, path, **{"lesson_id": self.lesson_id, **change}), **(headers or {})}
        kept = {name: value for name, value in sent.items() if value is not None}
        async with self.relay.http.request(method, self.relay.url + path, data=body, headers=kept) as response:
            return Answer(response.status, await _told(response), response.headers)


def _media(body: bytes) -> dict[str, str]:
    return {"Content-Type": MEDIA_TYPE, DIGEST_HEADER: content_digest_of(body)}


async def _told(response: aiohttp.ClientResponse) -> Any:
    return await response.json()
