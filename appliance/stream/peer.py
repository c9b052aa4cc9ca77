"""aiortc, made to send what is already encoded: the only module that touches aiortc or aioice.

A ``Peer`` is one peer connection with two passthrough tracks, no STUN server and no receiver. It lives once. Used by
``session.py``, which decides when a packet leaves and what a report says; and by nobody else.

aiortc is made for other needs, so this reaches into private names, always on the instance, never on the class. The
libraries are pinned, and ``tests/appliance/stream/test_peer_seams.py`` fails when a name moves.
"""

# ruff: noqa: SLF001 - see above

from __future__ import annotations

import asyncio
import logging
import struct
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from appliance.errors import RelayUnreachable
from appliance.stream.offer import whip_offer
from appliance.stream.probing import MOST_OUT
from appliance.stream.route import Route
from appliance.stream.timestamps import PICTURE_RATE_HZ, VOICE_RATE_HZ

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection, RTCRtpTransceiver

log = logging.getLogger(__name__)

#: aiortc keeps 128 packets for retransmission, a third of a second; a key frame alone may be 94.
HISTORY_PACKETS = 1024
#: What fits an RTP, RTCP, DTLS or STUN datagram: others raise inside aiortc's loop and end the session.
DATAGRAM_BYTES = range(2, 1481)

_H264_PROFILE = "42e01f"  # constrained baseline, what every browser decodes
_ANSWER_UNUSABLE = (ValueError, LookupError, AttributeError, AssertionError, TypeError)  # what aiortc's parser raises


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a track sends next: an access unit or an Opus frame, at ``ticks`` of its RTP clock."""

    data: bytes
    ticks: int


class Peer:
    """One peer connection. Make it, then ``offer``, ``accept``; ``close`` whatever happened.

    ``next_picture`` and ``next_voice`` are awaited for what to send. Every RTP or RTCP packet that aiortc makes of it
    goes to ``dispatch``; ``send`` really sends one. ``received`` is given each decrypted RTCP compound. A sender that
    breaks leaves the connection up: ``sender_ended`` tells.
    """

    def __init__(
        self,
        *,
        next_picture: Callable[[], Awaitable[Encoded]],
        next_voice: Callable[[], Awaitable[Encoded]],
        dispatch: Callable[[bytes], Awaitable[None]],
        received: Callable[[bytes], None],
        state_changed: Callable[[], None],
        sender_ended: Callable[[], None],
        route: Route,
    ) -> None:
        """``route``: how the relay is reached; checked first, loopback included."""
        voice_track = _Track("audio", VOICE_RATE_HZ, next_voice, sender_ended)
        picture_track = _Track("video", PICTURE_RATE_HZ, next_picture, sender_ended)
        self._pc, voice, picture = _open(voice_track, picture_track)
        self._pc.on("connectionstatechange", state_changed)
        self.picture_ssrc: int = picture.sender._ssrc
        self.voice_ssrc: int = voice.sender._ssrc
        self.datagrams_refused = 0
        self._probes: deque[tuple[Any, bytes]] = deque()
        dtls: Any = picture.sender.transport  # the one transport, as of max-bundle
        self._connection: Any = dtls.transport._connection
        #: Sends one RTP or RTCP packet now. Raises ``ConnectionError``.
        self.send: Callable[[bytes], Awaitable[None]] = dtls._send_rtp
        dtls._send_rtp = dispatch
        _listen(dtls, received)
        self._filter_datagrams()
        gather_first(self._connection, route.sources)
        _check_first(self._connection, frozenset(route.destinations))
        stay_closed(self._connection)

    @property
    def state(self) -> str:
        """``new``, ``connecting``, ``connected``, ``failed`` or ``closed``."""
        return self._pc.connectionState

    @property
    def local_sdp(self) -> str:
        """The local description, after ``offer``."""
        return self._pc.localDescription.sdp

    async def offer(self) -> str:
        """The SDP to POST: all candidates are in it."""
        # Cancelled while gathering, aioice would forget the sockets that it has opened; it takes milliseconds.
        gathering = asyncio.create_task(self._pc.setLocalDescription(), name="gathering")
        try:
            await asyncio.shield(gathering)
        except asyncio.CancelledError:
            await gathering
            raise
        self._guard_sockets()
        return whip_offer(self.local_sdp)

    async def accept(self, answer: str) -> None:
        """Take the relay's answer and begin to connect. Raises ``RelayUnreachable`` for one that can't be used."""
        from aiortc import RTCSessionDescription
        from aiortc.exceptions import InvalidStateError, OperationError

        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
            await self._pc.addIceCandidate(None)  # without it, dead candidates are waited for beyond 75 s
        except (*_ANSWER_UNUSABLE, InvalidStateError, OperationError) as error:
            reason = str(error) or type(error).__name__
            raise RelayUnreachable(f"the relay's answer is no usable SDP: {reason}") from error

    def blocked(self) -> bool:
        """Whether the socket holds packets that the network does not take."""
        pair = self._connection._nominated.get(1)
        return pair is not None and pair.protocol.transport.get_write_buffer_size() > 0

    def probe(self, answered: Callable[[float], None]) -> None:
        """Ask the relay for a sign of life (RFC 7675): ``answered(seconds)`` is called when it gives one."""
        pair = self._connection._nominated.get(1)
        if pair is None:
            return
        key = self._connection.remote_password.encode()
        request = self._connection.build_request(pair, nominate=False)
        request.add_message_integrity(key)
        pair.protocol.transactions[request.transaction_id] = _Probe(key, answered)
        self._probes.append((pair.protocol, request.transaction_id))
        if len(self._probes) > MOST_OUT:
            protocol, transaction_id = self._probes.popleft()
            protocol.transactions.pop(transaction_id, None)
        pair.protocol.send_stun(request, pair.remote_addr)

    async def close(self, within_s: float) -> None:
        """Say goodbye (RTCP BYE, DTLS close_notify) and free every task and socket, in twice ``within_s`` at most.

        Once a step of aiortc's own close has failed, it skips the rest, and whoever closes next waits for ever.
        """
        await _bounded(self._pc.close(), "closing the media connection", within_s)
        if not self._connection._closed:
            await _bounded(self._connection.close(), "closing its sockets", within_s)
        for protocol in list(self._connection._protocols):
            protocol.transport.abort()

    def _filter_datagrams(self) -> None:
        """An empty datagram, or one over 1,500 bytes, from anybody raises inside the DTLS loop and ends the session."""
        take = self._connection.data_received

        def data_received(data: bytes, component: int) -> None:
            if len(data) in DATAGRAM_BYTES:
                take(data, component)
            else:
                self.datagrams_refused += 1

        self._connection.data_received = data_received

    def _guard_sockets(self) -> None:
        """A STUN message with a short attribute raises ``struct.error`` into the event loop; anybody can send one."""
        for protocol in self._connection._protocols:
            protocol.datagram_received = self._guarded(protocol.datagram_received)

    def _guarded(self, take: Callable[[bytes, Any], None]) -> Callable[[bytes, Any], None]:
        def datagram_received(data: bytes, address: Any) -> None:
            try:
                take(data, address)
            except struct.error:
                self.datagrams_refused += 1

        return datagram_received


def load() -> None:
    """Import aiortc: half a second of work, better done before somebody waits for it."""
    import aiortc  # noqa: F401


class _Track:
    """What aiortc's sender needs of a track. A new one for each session, because a sender's end stops its track."""

    def __init__(
        self, kind: str, rate_hz: int, following: Callable[[], Awaitable[Encoded]], ended: Callable[[], None]
    ) -> None:
        self.kind = kind
        #: Called by aiortc when the sender is over: stopped, or broken by a unit that it could not packetise.
        self.stop = ended
        self.id = str(uuid.uuid4())
        self._time_base = Fraction(1, rate_hz)
        self._following = following

    async def recv(self) -> Any:
        """The next packet; aiortc passes an ``av.Packet`` through without encoding."""
        from av import Packet

        encoded = await self._following()
        packet = Packet(encoded.data)
        packet.pts, packet.time_base = encoded.ticks, self._time_base
        return packet


class _Probe:
    """Stands where aioice keeps a STUN transaction; without a timer, because a late answer is a sign of life too."""

    def __init__(self, key: bytes, answered: Callable[[float], None]) -> None:
        self._key = key
        self._answered = answered
        self._sent_s = asyncio.get_running_loop().time()

    def response_received(self, message: Any, address: Any) -> None:
        """Called by aioice for any answer with this transaction's id."""
        from aioice.stun import Class

        if message.message_class == Class.RESPONSE and message.check_message_integrity(self._key):
            self._answered(asyncio.get_running_loop().time() - self._sent_s)


async def _bounded(closing: Coroutine[Any, Any, None], what: str, within_s: float) -> None:
    """Give a step of the close its time; what goes wrong with it is logged, because the next step must follow."""
    task = asyncio.create_task(closing, name=what)
    try:
        await asyncio.wait({task}, timeout=within_s)
    finally:
        task.cancel()
    (failure,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(failure, asyncio.CancelledError):
        log.warning("%s took over %g s and is given up", what, within_s)
    elif failure is not None:
        log.warning("%s failed: %s", what, failure, exc_info=failure)


def _open(voice: _Track, picture: _Track) -> tuple[RTCPeerConnection, RTCRtpTransceiver, RTCRtpTransceiver]:
    """A peer connection that will offer to send Opus and H.264 constrained baseline, on one transport."""
    from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, rtcrtpsender

    rtcrtpsender.RTP_HISTORY_SIZE = HISTORY_PACKETS  # type: ignore[attr-defined]
    # iceServers=None would ask a public STUN server.
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    transceivers = []
    for track in (voice, picture):
        transceiver = pc.addTransceiver(track.kind, direction="sendonly")
        # In the offer, because codec preferences have no effect once an offer was applied.
        wanted = [codec for codec in RTCRtpSender.getCapabilities(track.kind).codecs if _is_offered(codec)]
        transceiver.setCodecPreferences(wanted)
        transceiver.sender.replaceTrack(track)  # type: ignore[arg-type]
        transceivers.append(transceiver)
    return pc, transceivers[0], transceivers[1]


def _is_offered(codec: Any) -> bool:
    if codec.mimeType == "video/H264":
        return bool(codec.parameters.get("profile-level-id") == _H264_PROFILE)
    return codec.mimeType in {"audio/opus", "video/rtx"}


def _listen(dtls: Any, received: Callable[[bytes], None]) -> None:
    handle = dtls._handle_rtcp_data

    async def handle_rtcp_data(data: bytes) -> None:
        received(data)
        await handle(data)  # aiortc answers the NACKs

    dtls._handle_rtcp_data = handle_rtcp_data


def gather_first(connection: Any, first: tuple[str, ...]) -> None:
    """Check the addresses from which the relay is reached first; aioice leaves loopback out, and ranks none."""
    gather = connection.get_component_candidates

    async def get_component_candidates(component: int, addresses: list[str], timeout: int = 5) -> Any:
        ranked = list(dict.fromkeys((*first, *addresses)))
        return await gather(component=component, addresses=ranked, timeout=timeout)

    connection.get_component_candidates = get_component_candidates


def _check_first(connection: Any, destinations: frozenset[str]) -> None:
    """Checks start 20 ms apart, and a relay names all its addresses: begin with the one that answered the POST."""
    sort = connection.sort_check_list

    def sort_check_list() -> None:
        sort()
        connection._check_list.sort(key=lambda pair: pair.remote_candidate.host not in destinations)

    connection.sort_check_list = sort_check_list


def stay_closed(connection: Any) -> None:
    """A close that crosses the last step of connecting leaves aioice's consent task running, for ever."""
    connect = connection.connect

    async def connect_unless_closed() -> None:
        await connect()
        if connection._closing:
            connection._query_consent_task.cancel()
            raise ConnectionError("closed while connecting")

    connection.connect = connect_unless_closed
