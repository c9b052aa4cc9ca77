"""The embedded engine: live media inside one process, on one UDP port, without a decoder.

The composition of this package: it opens and ends sessions, owns the sockets and the two timers, and starts no task.
``relay/engines/base.py`` says what its methods promise, and ``in_process.py`` and ``engines/workers`` make that
protocol of them; ``docs/architecture.md`` shows a packet's way.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from relay.engines.base import NOBODY, Answer, ChannelDelivery, PictureChoice, ViewerPicture
from relay.engines.embedded import agreement as agreements
from relay.engines.embedded import sdp, srtp
from relay.engines.embedded.addresses import candidates
from relay.engines.embedded.agreement import Agreement, Candidate, Local
from relay.engines.embedded.channel import FAST_TICK_S, Channel
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.demux import Demux
from relay.engines.embedded.dtls import Endpoint, Fingerprint, Profile
from relay.engines.embedded.ice import HOUSE
from relay.engines.embedded.publisher import Publisher
from relay.engines.embedded.transport import Transport, new_generation
from relay.engines.embedded.turns import Turns
from relay.engines.embedded.udp import UdpPort
from relay.engines.embedded.viewer import Viewer
from relay.engines.subscribers import Subscribers
from relay.errors import ChannelBusy, EngineFull, SessionUnknown

SLOW_TICK_S = 0.25  # how late a change of freshness may be told
TICKS_PER_REPORT = 4
HANDSHAKE_S = 15.0  # ICE and DTLS together, on a bad network, by a person who was asked for nothing
SILENCE_S = 15.0  # RFC 7675 allows 30; a pupil who left should not count for so long
MAX_HALF_OPEN = 512  # a whole school that joins in the same second
MAX_HALF_OPEN_EACH = MAX_HALF_OPEN // 2  # of one channel: whoever has its link cannot shut out every other class
MAX_GENERATIONS = 3  # of ICE credentials: the used one, and restarts that may yet fail
_NTP_EPOCH_S = 2_208_988_800  # 1900 to 1970


@dataclass(slots=True, eq=False)
class _Session:
    id: str
    channel: Channel
    user: Publisher | Viewer
    agreement: Agreement
    transport: Transport
    opened_at_s: float


class EmbeddedEngine:
    """``Engine`` in this process. ``port`` 0 takes a free one; ``port`` then tells which."""

    def __init__(
        self,
        *,
        port: int,
        host: str = "",
        advertise: tuple[str, ...] = (),
        max_sessions: int = 2000,
        srtp_profiles: tuple[Profile, ...] = (),
    ) -> None:
        self._host, self._wanted_port, self._advertise = host, port, advertise
        self._max_sessions = max_sessions
        self._counters = Counters()
        self._endpoint = Endpoint(srtp_profiles or srtp.preferred())
        self._udp = UdpPort(self._counters, HOUSE)
        self._demux = Demux(self._counters, time.monotonic, self._udp.own)
        self._candidates: tuple[Candidate, ...] = ()
        self._sessions: dict[str, _Session] = {}
        self._half_open: dict[str, _Session] = {}
        self._channels: dict[str, Channel] = {}
        self.on_ended: Callable[[str], None] = lambda _: None  # told the id of every session that ends
        self._subscribers = Subscribers()
        self._told: dict[str, ChannelDelivery] = {}
        self._changed: set[str] = set()
        self._busy: set[Channel] = set()
        self._turns = Turns()
        self._fast: asyncio.TimerHandle | None = None
        self._slow: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._epoch_s = time.time() - time.monotonic() + _NTP_EPOCH_S  # fixed, so that a set clock moves no lip-sync

    # -- life

    async def start(self) -> None:
        """Bind sockets and run. Raises ``OSError`` when the port is taken."""
        self._udp.open(self._host, self._wanted_port, self._demux.receive)
        try:
            advertise = self._advertise or ((self._host,) if self._host else ())
            self._candidates = await candidates(advertise, self._udp.port, self._udp.families)
        except OSError:
            self._udp.close()
            raise
        self._slow = asyncio.get_running_loop().call_later(SLOW_TICK_S, self._on_slow_tick)

    async def close(self) -> None:
        """End every session and release everything. Safe to call twice."""
        for session in list(self._sessions.values()):
            self._drop(session)
        for handle in (self._fast, self._slow):
            if handle is not None:
                handle.cancel()
        self._fast = self._slow = None
        self._turns.close()
        self._changed.clear()
        self._candidates = ()
        self._udp.close()

    @property
    def port(self) -> int:
        """The UDP port that is bound."""
        return self._udp.port

    @property
    def fingerprint(self) -> Fingerprint:
        """The certificate that peers meet."""
        return self._endpoint.fingerprint

    # -- sessions

    def publish(self, channel: str, publisher: str, offer: str) -> Answer:
        """Accept a WHIP offer."""
        taken = agreements.agree_to_publish(sdp.read_offer(offer))
        now_s = time.monotonic()
        stage = self._channels.get(channel)
        old = self._publisher_session(stage) if stage is not None else None
        if old is not None and isinstance(old.user, Publisher) and old.user.name != publisher:
            half_open = not old.transport.connected
            if half_open or old.user.connected(now_s):
                raise ChannelBusy("another publisher is live here")
        self._make_room(channel, 1 if old is not None else 0)
        if old is not None:
            self._drop(old, keep_channel=True)
        stage = self._channel(channel)
        session_id = _session_id()
        user = Publisher(publisher, taken, stage, self._counters, lambda: self._drop_by_id(session_id))
        stage.publisher = user
        return self._open(session_id, stage, user, taken, now_s)

    def watch(self, channel: str, offer: str) -> Answer:
        """Accept a WHEP offer."""
        taken = agreements.agree_to_watch(sdp.read_offer(offer))
        self._make_room(channel, 0)
        stage = self._channel(channel)
        session_id = _session_id()
        now_s = time.monotonic()
        user = Viewer(taken, stage, self._counters, lambda: self._drop_by_id(session_id), now_s)
        stage.viewers.add(user)
        return self._open(session_id, stage, user, taken, now_s)

    def _make_room(self, channel: str, leaving: int) -> None:
        if not self._candidates:
            raise EngineFull("the engine is not running")
        if len(self._sessions) - leaving >= self._max_sessions:
            raise EngineFull("all sessions are taken")
        if len(self._half_open) - leaving >= MAX_HALF_OPEN:
            raise EngineFull("too many sessions are being opened at once")
        if sum(session.channel.name == channel for session in self._half_open.values()) >= MAX_HALF_OPEN_EACH:
            raise EngineFull("too many sessions of this class are being opened at once")

    def _open(
        self, session_id: str, channel: Channel, user: Publisher | Viewer, taken: Agreement, now_s: float
    ) -> Answer:
        transport = Transport(self._endpoint, taken, user, self._counters, now_s)
        if isinstance(user, Viewer):
            user.attach(transport)
        else:
            user.transport = transport
        session = _Session(session_id, channel, user, taken, transport, now_s)
        self._sessions[session_id] = self._half_open[session_id] = session
        self._demux.add(transport, transport.generations[0])
        self._counters.sessions_opened += 1
        self._run_fast()
        outgoing = user.outgoing if isinstance(user, Viewer) else None
        answer = agreements.write_answer(taken, self._local(session), outgoing)
        return Answer(session_id=session_id, sdp=answer, etag=transport.generations[-1].etag)

    def _local(self, session: _Session) -> Local:
        return Local(
            session_number=1 + secrets.randbits(62),
            credentials=session.transport.generations[-1].local,
            fingerprint=self._endpoint.fingerprint,
            candidates=self._candidates,
        )

    def _channel(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name, self._counters, clock=time.monotonic, ntp=self._ntp)
            channel.on_busy = self._on_busy
            channel.on_ready = self._turns.add
            channel.on_changed = self._on_changed
        return channel

    def _publisher_session(self, channel: Channel) -> _Session | None:
        return next((item for item in self._sessions.values() if item.user is channel.publisher), None)

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise SessionUnknown("no such session")
        return session

    def channel_of(self, session_id: str) -> str:
        """The channel that a session is on."""
        return self._session(session_id).channel.name

    def etag_of(self, session_id: str) -> str:
        """The session's present ETag."""
        return self._session(session_id).transport.generations[-1].etag

    def patch(self, session_id: str, fragment: str) -> str | None:
        """Trickle or ICE restart."""
        session = self._session(session_id)
        credentials = sdp.read_fragment(fragment)
        transport = session.transport
        if credentials is None or credentials.ufrag == transport.generations[-1].remote.ufrag:
            return None  # candidates: an ICE-lite agent sends no checks, so it has no use for them
        while len(transport.generations) >= MAX_GENERATIONS:
            self._demux.forget_generation(transport, transport.generations[1])
        transport.generations.append(new_generation(credentials))
        self._demux.add(transport, transport.generations[-1])
        return agreements.write_fragment(session.agreement, self._local(session))

    def choose_picture(self, session_id: str, chosen: PictureChoice) -> None:
        """A viewer's own wish."""
        self._viewer(session_id).choose_picture(chosen, time.monotonic())

    def picture_of(self, session_id: str) -> ViewerPicture:
        """What a viewer is sent of the picture."""
        adaptation = self._viewer(session_id).adaptation
        return ViewerPicture(chosen=adaptation.chosen, sent=adaptation.picture)

    def _viewer(self, session_id: str) -> Viewer:
        user = self._session(session_id).user
        if not isinstance(user, Viewer):
            raise SessionUnknown("no such viewer")
        return user

    def end(self, session_id: str) -> None:
        """End one session."""
        self._drop(self._session(session_id))

    def close_channel(self, channel: str) -> None:
        """End every session on a channel."""
        for session in [item for item in self._sessions.values() if item.channel.name == channel]:
            self._drop(session)

    def end_publisher(self, channel: str) -> None:
        """End the publisher's session."""
        stage = self._channels.get(channel)
        session = self._publisher_session(stage) if stage is not None else None
        if session is not None:
            self._drop(session)

    def _drop_by_id(self, session_id: str) -> None:
        session = self._sessions.get(session_id)
        if session is not None:
            self._drop(session)

    def _drop(self, session: _Session, *, keep_channel: bool = False) -> None:
        self._sessions.pop(session.id, None)
        self._half_open.pop(session.id, None)
        self._demux.remove(session.transport)
        session.transport.close()
        self._counters.sessions_ended += 1
        channel = session.channel
        if isinstance(session.user, Viewer):
            channel.remove_viewer(session.user)
        elif channel.publisher is session.user:
            channel.remove_publisher()
        if channel.empty and not keep_channel:
            self._channels.pop(channel.name, None)
            self._busy.discard(channel)
            self._turns.discard(channel)
        session.user.detach()
        self.on_ended(session.id)

    # -- what is asked of a channel

    def request_key_frame(self, channel: str) -> None:
        """Ask the publisher for a key frame."""
        stage = self._channels.get(channel)
        if stage is not None:
            stage.want_key_frame()

    def delivery(self, channel: str) -> ChannelDelivery:
        """What pupils on this channel get now."""
        stage = self._channels.get(channel)
        return stage.delivery(time.monotonic()) if stage is not None else NOBODY

    def subscribe(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """Be told of changes."""
        return self._subscribers.add(changed)

    def counters(self) -> Mapping[str, float]:
        """Totals since the start, and how things are now (``*_now``); loss and round trips are means."""
        now_s = time.monotonic()
        users = [session.user for session in self._sessions.values()]
        viewers = [user for user in users if isinstance(user, Viewer) and user.connected]
        publishers = [user for user in users if isinstance(user, Publisher) and user.connected(now_s)]
        return {
            **self._counters.as_mapping(),
            "datagrams_turned_away": self._udp.turned_away,
            "sessions_now": len(self._sessions),
            "sessions_half_open_now": len(self._half_open),
            "channels_now": len(self._channels),
            "publishers_now": len(publishers),
            "viewers_now": len(viewers),
            "viewers_receiving_now": sum(viewer.receiving(now_s) for viewer in viewers),
            "viewers_slow_now": sum(viewer.adaptation.picture == "slow" for viewer in viewers),
            "viewers_voice_only_now": sum(viewer.adaptation.picture == "voice" for viewer in viewers),
            "viewer_loss_now": _mean([viewer.fraction_lost for viewer in viewers]),
            "viewer_round_trip_s_now": _mean([viewer.round_trip_s for viewer in viewers]),
            "publisher_round_trip_s_now": _mean([publisher.round_trip_s for publisher in publishers]),
        }

    # -- time

    def _ntp(self, now_s: float) -> int:
        return int((now_s + self._epoch_s) * (1 << 32))

    def _on_busy(self, channel: Channel) -> None:
        self._busy.add(channel)
        self._run_fast()

    def _run_fast(self) -> None:
        if self._fast is None:
            self._fast = asyncio.get_running_loop().call_later(FAST_TICK_S, self._on_fast_tick)

    def _on_fast_tick(self) -> None:
        self._fast = None
        now_s = time.monotonic()
        for channel in list(self._busy):
            if not channel.on_fast_tick(now_s):
                self._busy.discard(channel)
        for session in list(self._half_open.values()):
            if not session.transport.resend_handshake(now_s):
                self._half_open.pop(session.id, None)
        if self._busy or self._half_open:
            self._run_fast()

    def _on_slow_tick(self) -> None:
        self._slow = asyncio.get_running_loop().call_later(SLOW_TICK_S, self._on_slow_tick)
        now_s = time.monotonic()
        self._ticks += 1
        if self._ticks % TICKS_PER_REPORT == 0:
            self._expire(now_s)
        for channel in list(self._channels.values()):
            channel.on_slow_tick(now_s)
            if self._ticks % TICKS_PER_REPORT == 0:
                channel.on_report_tick(now_s)
            if channel.delivery(now_s) != self._told.get(channel.name, NOBODY):
                self._on_changed(channel)

    def _expire(self, now_s: float) -> None:
        for session in list(self._sessions.values()):
            transport = session.transport
            silent = transport.connected and now_s - transport.heard_at_s > SILENCE_S
            if silent or (not transport.connected and now_s - session.opened_at_s > HANDSHAKE_S):
                self._counters.sessions_expired += 1
                self._drop(session)

    def _on_changed(self, channel: Channel) -> None:
        """Tell subscribers soon, not now: they may be in the middle of a call into the engine."""
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._tell)
        self._changed.add(channel.name)

    def _tell(self) -> None:
        changed, self._changed = self._changed, set()
        for name in changed:
            delivery = self.delivery(name)
            if delivery == self._told.get(name, NOBODY):
                continue
            if name in self._channels:
                self._told[name] = delivery
            else:
                self._told.pop(name, None)
            self._subscribers.tell(name)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _session_id() -> str:
    return secrets.token_urlsafe(16)
