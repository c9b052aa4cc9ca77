"""Keeps the lesson live: dials the relay, publishes, and dials again until the lesson is over.

A sink for what the encoders make (``picture``, ``voice``: non-blocking, on the event loop), and one task (``run``) that
a lesson owns. While there is no session, units are dropped: the record path keeps them. Not here: one session
(``session.py``), signalling (``whip.py``), whether pupils see it (``control.py`` hears that from the relay).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from yarl import URL

from appliance.capture.base import AccessUnit, OpusFrame
from appliance.capture.clock import LessonClock
from appliance.errors import RelayRefused, RelayUnreachable
from appliance.stream.ask import CONNECT_S, RelayBusy
from appliance.stream.bearer import Bearer
from appliance.stream.key_frames import DEBOUNCE_S, KeyFrameRequests
from appliance.stream.queues import PictureQueue, VoiceQueue
from appliance.stream.uplink import Limits, Target, Uplink
from appliance.stream.way import Way
from appliance.stream.whip import WhipAnswer, WhipClient
from appliance.supervise import Backoff

if TYPE_CHECKING:
    from appliance.stream.session import PublishingSession, SessionTimes

log = logging.getLogger(__name__)

LinkState = Literal["down", "connecting", "up"]

#: First redial at once, in case it was the session alone; then the network: live again within 2 s of its return.
REDIAL_S = (0.3, 1.2)
#: After this long it is an outage: dial less often, and give a slow network more time to connect.
HASTE_S = 60.0
PATIENT_CEILING_S = 5.0
PATIENT_CONNECT_S = 10.0
#: A session that lasted less did not work; the waits between dials go on growing.
SETTLED_S = 5.0
#: A refusal needs a person, or another lesson's end; asking again costs the relay little.
REFUSED_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherFigures:
    """The publisher now. ``rtt_ms`` and ``loss`` (a fraction) are ``None`` until they were measured."""

    state: LinkState
    rtt_ms: float | None
    loss: float | None
    bitrate_kbps: float
    target: Target
    reconnects: int
    nacked: int
    pictures_dropped: int
    voices_dropped: int
    last_error: str | None


class Publisher:
    """Publishes lessons to one WHIP endpoint, one after the other."""

    def __init__(
        self,
        endpoint: str,
        bearer: Bearer,
        *,
        on_key_frame_wanted: Callable[[], None],
        limits: Limits,
        on_target: Callable[[Target], None] = lambda target: None,
        on_state: Callable[[LinkState], None] | None = None,
        trusted_hosts: frozenset[str] = frozenset(),
        times: SessionTimes | None = None,
        redial_s: tuple[float, float] = REDIAL_S,
        refused_s: float = REFUSED_S,
        debounce_s: float = DEBOUNCE_S,
        way: Way | None = None,
    ) -> None:
        """``on_target`` is told what the encoder is to make, whenever that changes and at each lesson's start."""
        self._endpoint = URL(endpoint)
        self._limits = limits
        self._uplink = Uplink(limits)
        self._on_target = on_target
        self._told: Target | None = None
        self._bearer = bearer
        self._way = way or Way()
        self._on_state = on_state
        self._trusted_hosts = trusted_hosts
        self._times = times
        self._backoff = Backoff(*redial_s, settled_s=SETTLED_S)
        self._hasty_ceiling_s = redial_s[1]
        self._refused_s = refused_s
        self._key_frames = KeyFrameRequests(on_key_frame_wanted, debounce_s=debounce_s)
        self._pictures = PictureQueue()
        self._voices = VoiceQueue()
        self._session: PublishingSession | None = None
        self._state: LinkState = "down"
        self._dials = 0
        self._up_since_s = self._down_since_s = 0.0
        self._last_error: str | None = None

    async def warm_up(self) -> None:
        """Load aiortc, which takes half a second, while nobody waits: before the first press."""
        from appliance.stream.session import load_peer

        await load_peer()

    def picture(self, unit: AccessUnit) -> None:
        """Take an access unit. Never blocks."""
        if not self._pictures.put(unit) and self._state == "up":
            self._key_frames.demand()

    def voice(self, frame: OpusFrame) -> None:
        """Take a voice frame. Never blocks."""
        self._voices.put(frame)

    def suspect(self) -> None:
        """Something else says that the relay is gone (the control channel ended): find out soon."""
        if self._session is not None:
            self._session.suspect()

    def figures(self) -> PublisherFigures:
        """The publisher now."""
        counts = self._session.counts if self._session is not None else None
        return PublisherFigures(
            state=self._state,
            rtt_ms=counts.rtt_ms if counts else None,
            loss=counts.loss if counts else None,
            bitrate_kbps=counts.bitrate_kbps if counts else 0.0,
            nacked=counts.nacked if counts else 0,
            target=self._uplink.target,
            reconnects=max(0, self._dials - 1),
            pictures_dropped=self._pictures.dropped,
            voices_dropped=self._voices.dropped,
            last_error=self._last_error,
        )

    async def run(self, clock: LessonClock, lesson_id: str) -> None:
        """Publish one lesson until cancelled; then say goodbye, within a few seconds."""
        self._dials, self._last_error = 0, None
        self._uplink, self._told = Uplink(self._limits), None
        self._aim(self._uplink.target)
        self._backoff.reset()
        self._down_since_s = asyncio.get_running_loop().time()
        # A pooled connection may have died with the network, and would swallow the POST that matters.
        async with self._way.session(force_close=True) as http:
            hosts = self._trusted_hosts
            whip = WhipClient(str(self._endpoint), self._bearer, http, lesson_id=lesson_id, trusted_hosts=hosts)
            try:
                while True:
                    wait_s = await self._dial(whip, clock)
                    await asyncio.sleep(wait_s)
            finally:
                self._enter("down")

    async def _dial(self, whip: WhipClient, clock: LessonClock) -> float:
        """One session from dial to death. Returns how long to wait before the next, in seconds."""
        try:
            await self._publish(whip, clock)
        except RelayBusy as error:
            asked_s = self._refused_s if error.retry_after_s is None else error.retry_after_s
            return self._failed(error, max(asked_s, self._backoff.next_s()))
        except RelayRefused as error:
            return self._failed(error, self._refused_s)
        except RelayUnreachable as error:
            return self._failed(error, self._backoff.next_s())

    def _failed(self, error: Exception, wait_s: float) -> float:
        known = str(error) == self._last_error
        self._last_error = str(error)
        log.log(logging.DEBUG if known else logging.WARNING, "not live: %s; dialling in %.1f s", error, wait_s)
        self._enter("down")
        return wait_s

    async def _publish(self, whip: WhipClient, clock: LessonClock) -> NoReturn:
        self._enter("connecting")
        session = await self._new_session(clock)
        answer: WhipAnswer | None = None
        try:
            answer = await whip.publish(await session.offer(), connect_s=self._connect_s())
            await session.accept(answer.sdp)
            self._begin_queueing()
            await session.connected()
            self._connected(session)
            await session.run()
        finally:
            self._end_queueing()
            resource = None if answer is None or session.lost else answer.resource
            await _to_the_end(_hang_up(session, whip, resource))

    async def _new_session(self, clock: LessonClock) -> PublishingSession:
        from appliance.stream.session import PublishingSession, ready_for

        route = await ready_for(self._endpoint)
        self._uplink.begin()
        return PublishingSession(
            pictures=self._pictures,
            voices=self._voices,
            clock=clock,
            on_picture_lost=self._key_frames.request,
            on_key_frame_left=self._key_frames.key_frame_left,
            uplink=self._uplink,
            on_target=self._aim,
            route=route,
            times=self._times,
        )

    def _aim(self, target: Target) -> None:
        if target != self._told:
            self._told = target
            self._on_target(target)
        if target.hold:
            self._pictures.hold()
            self._key_frames.hold()
        else:
            self._pictures.release()
            self._key_frames.release()

    def _connect_s(self) -> float:
        """TCP's time to connect; and the ceiling of waits between dials follows the same thought."""
        hasty = asyncio.get_running_loop().time() - self._down_since_s < HASTE_S
        self._backoff.ceiling_s = self._hasty_ceiling_s if hasty else max(self._hasty_ceiling_s, PATIENT_CEILING_S)
        return CONNECT_S if hasty else PATIENT_CONNECT_S

    def _begin_queueing(self) -> None:
        """From the answer on, while ICE and DTLS still connect: so the key frame is ready when they are done."""
        self._pictures.open()
        self._voices.open()
        self._key_frames.demand()

    def _connected(self, session: PublishingSession) -> None:
        self._session = session
        self._dials += 1
        self._up_since_s = asyncio.get_running_loop().time()
        self._last_error = None
        if self._pictures.needs_key_frame:
            self._key_frames.demand()
        self._enter("up")

    def _end_queueing(self) -> None:
        if self._session is not None:
            self._down_since_s = asyncio.get_running_loop().time()
            if self._down_since_s - self._up_since_s >= self._backoff.settled_s:
                self._backoff.reset()
        self._session = None
        self._pictures.close()
        self._voices.close()
        self._key_frames.close()

    def _enter(self, state: LinkState) -> None:
        if state != self._state:
            self._state = state
            log.info("live link: %s", state)
            if self._on_state is not None:
                self._on_state(state)


async def _hang_up(session: PublishingSession, whip: WhipClient, resource: URL | None) -> None:
    await asyncio.gather(session.close(), whip.delete(resource))


async def _to_the_end(closing: Coroutine[Any, Any, None]) -> None:
    """Finish what is bounded by itself, although the lesson may be cancelled meanwhile; then be cancelled."""
    task = asyncio.create_task(closing, name="hanging up")
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
