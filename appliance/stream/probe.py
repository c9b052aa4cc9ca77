"""The relay, as the pre-flight checks ask it (``preflight.RelayProbe``): small questions, and one short media session.

The session is put up by the same code as a lesson's, at ``POST /preflight`` instead of ``/whip``: it meets the same
port, ICE, DTLS and certificate, belongs to no class, and is taken down at once. An unauthenticated STUN check would
prove nothing: the relay answers none. Not here: what the answers mean for a person (``preflight.py``).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import msgspec
from yarl import URL

from appliance.capture.clock import LessonClock
from appliance.errors import RelayRefused, RelayUnreachable
from appliance.identity import Authoriser, Credentials, Identity
from appliance.preflight import Readiness, RelayProbe
from appliance.settings import RelaySection
from appliance.stream.ask import Reply, Request, ask
from appliance.stream.bearer import Bearer
from appliance.stream.queues import PictureQueue, VoiceQueue
from appliance.stream.uplink import Limits, Uplink
from appliance.stream.way import Way
from appliance.stream.whip import WhipAnswer, WhipClient

#: The first question opens the connection; of the others, the quickest is the network, and the rest is somebody's load.
QUESTIONS = 6
#: How long the media session stays up to be measured.
MEASURE_S = 1.0
_PROBE_EVERY_S = 0.2
#: Uploads are larger and larger until one takes so long that its handshakes and the first round trips no longer count.
UPLOAD_BYTES = (64 * 1024, 256 * 1024, 1024 * 1024)
LONG_ENOUGH_S = 1.0
#: The first upload within this is 44 kb/s: below, there is no lesson. The relay waits as long for a body, and more.
UPLOAD_S = 12.0
_NOTHING_TO_SEND = Limits(min_bps=0, max_bps=0, fps=1, pixels=1, voice_bps=0)


@asynccontextmanager
async def open_relay_probe(
    relay: RelaySection, state_dir: Path, credentials: Credentials | None
) -> AsyncIterator[RelayProbe]:
    """The relay as the pre-flight checks ask it. Raises ``StateUnusable``, ``RelayUnreachable``."""
    bearer = None if credentials is None else Authoriser(Identity.load_or_create(state_dir), credentials)
    async with Way(relay.proxy, relay.ca_file).session() as http:
        yield HttpRelayProbe(relay.url, bearer, http)


class _Status(msgspec.Struct, frozen=True):
    status: str
    database: str = ""


class HttpRelayProbe:
    """See the module. Without a ``bearer`` (a kit that is not enrolled) only the small questions can be asked."""

    def __init__(self, url: str, bearer: Bearer | None, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._bearer = bearer
        self._http = http

    async def readiness(self) -> Readiness:
        """Ask ``/readyz``."""
        reply = await self._get("readyz")
        ahead_s = _ahead_s(reply.headers.get("Date", ""))
        try:
            said = msgspec.json.decode(reply.body, type=_Status)
        except msgspec.DecodeError:
            return Readiness(serves=False, reason="not like a relay", clock_ahead_s=ahead_s)
        return Readiness(serves=reply.status == 200, reason=said.database or said.status, clock_ahead_s=ahead_s)

    async def round_trip_ms(self) -> float:
        """The quickest of a few questions."""
        took_s = []
        for _ in range(QUESTIONS):
            asked_s = time.monotonic()
            await self._get("healthz")
            took_s.append(time.monotonic() - asked_s)
        return min(took_s[1:]) * 1000

    async def media_round_trip_ms(self) -> float:
        """Put a media session up, and measure it by STUN."""
        from appliance.stream.session import PublishingSession, SessionTimes, ready_for

        if self._bearer is None:
            raise RelayRefused(401, "this kit is not enrolled")
        endpoint = URL(self.url) / "preflight"
        whip = WhipClient(str(endpoint), self._bearer, self._http)
        session = PublishingSession(
            pictures=PictureQueue(),
            voices=VoiceQueue(),
            clock=LessonClock.start(),
            on_picture_lost=lambda: None,
            on_key_frame_left=lambda unanswered_s: None,
            uplink=Uplink(_NOTHING_TO_SEND),
            on_target=lambda target: None,
            route=await ready_for(endpoint),
            times=SessionTimes(probe_every_s=_PROBE_EVERY_S),
        )
        answer: WhipAnswer | None = None
        try:
            answer = await whip.publish(await session.offer())
            await session.accept(answer.sdp)
            await session.connected()
            await _run_for(MEASURE_S, session.run())
        finally:
            await asyncio.gather(session.close(), whip.delete(None if answer is None else answer.resource))
        if session.counts.rtt_ms is None:
            raise RelayUnreachable("the media session came up, and then nothing came back by UDP")
        return session.counts.rtt_ms

    async def uplink_kbps(self) -> float:
        """Upload noise, which no proxy can shrink, and time it."""
        if self._bearer is None:
            raise RelayRefused(401, "this kit is not enrolled")
        kbps = 0.0
        for size in UPLOAD_BYTES:
            took_s = await self._upload(self._bearer, size)
            if took_s is None:  # the one before has gone through
                return kbps
            kbps = size * 8 / 1000 / took_s
            if took_s >= LONG_ENOUGH_S:
                break
        return kbps

    async def _upload(self, bearer: Bearer, size: int) -> float | None:
        """How long it took; None when it did not get through in time. Raises what the checks raise."""
        request = Request(method="PUT", url=URL(self.url) / "preflight" / "upload", body=os.urandom(size))
        began_s = time.monotonic()
        try:
            reply = await ask(self._http, request, bearer, answer_s=UPLOAD_S)
        except RelayUnreachable:
            if time.monotonic() - began_s < UPLOAD_S:
                raise
            return None
        if reply.status != 200:
            raise reply.refusal()
        return time.monotonic() - began_s

    async def _get(self, path: str) -> Reply:
        return await ask(self._http, Request(method="GET", url=URL(self.url) / path))


async def _run_for(for_s: float, running: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(for_s):
            await running
    except TimeoutError:
        return


def _ahead_s(date: str) -> float:
    """How far a Date header is ahead of this machine's clock. It has whole seconds: half of one is the best guess."""
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5 - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
