"""One publishing session: two queues of encoded media in, paced packets and truthful reports out, until it dies.

It lives once; ``publisher.py`` makes a new one for each dial. Not here: signalling (``whip.py``), aiortc (``peer.py``),
what is dropped (``queues.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from yarl import URL

from appliance.capture.clock import LessonClock
from appliance.errors import RelayUnreachable
from appliance.stream.feedback import read_feedback
from appliance.stream.liveness import LIVENESS_S, PROBE_EVERY_S, SUSPECT_S, Liveness
from appliance.stream.offer import canonical_names
from appliance.stream.pacer import Pacer
from appliance.stream.path import Sample
from appliance.stream.peer import Encoded, Peer
from appliance.stream.probing import Probing
from appliance.stream.queues import PictureQueue, VoiceQueue
from appliance.stream.repeats import Repeats
from appliance.stream.route import Route, route_to
from appliance.stream.timestamps import (
    PICTURE_RATE_HZ,
    VOICE_RATE_HZ,
    SenderTimeline,
    VoiceTicks,
    is_rtcp,
    picture_ticks,
    rtp_header,
    rtp_payload_octets,
    sender_report_ssrc,
)
from appliance.stream.uplink import PACE, WIRE_OVERHEAD_OCTETS, Target, Uplink
from appliance.supervise import expecting

#: ICE and DTLS take four round trips; aiortc alone would wait 75 s for candidates that are dead.
CONNECT_S = 5.0
#: The goodbye is a courtesy; the kit's stop is not to wait for it.
CLOSE_S = 2.0
#: Until it is measured.
TYPICAL_RTT_MS = 50.0
#: The bitrate is of this long at least: shorter would show each key frame as a peak.
MEASURE_S = 0.9
#: A watch that comes this late means that this machine was busy: round trips were not the network's.
BUSY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimes:
    """How long things may take, in seconds; tests shrink them."""

    connect_s: float = CONNECT_S
    close_s: float = CLOSE_S
    liveness_s: float = LIVENESS_S
    probe_every_s: float = PROBE_EVERY_S
    suspect_s: float = SUSPECT_S


@dataclass(slots=True)
class SessionCounts:
    """What a session sent, and what it heard about that. ``loss`` is a fraction, of the newest receiver report.

    ``octets`` are of RTP packets, the first time; ``wire_octets`` of all, with what the network adds.
    """

    packets: int = 0
    octets: int = 0
    wire_octets: int = 0
    nacked: int = 0
    picture_requests: int = 0
    bitrate_kbps: float = 0.0
    rtt_ms: float | None = None
    loss: float | None = None


async def load_peer() -> None:
    """Load aiortc, which takes half a second and more, in a thread.

    Imported on the event loop while a thread still imports it, it would hold the loop, on a slow machine until the
    watchdog ends the kit (seen: 15 s).
    """
    from appliance.stream.peer import load

    await asyncio.to_thread(load)


async def ready_for(endpoint: URL) -> Route:
    """What comes before each ``PublishingSession``: all that it is made of is loaded; the way to ``endpoint``."""
    await load_peer()
    return await route_to(endpoint.host, endpoint.port or 443) if endpoint.host else Route()


class PublishingSession:
    """``offer``, ``accept``, ``connected``, ``run`` until it dies; ``close`` whatever happened."""

    def __init__(
        self,
        *,
        pictures: PictureQueue,
        voices: VoiceQueue,
        clock: LessonClock,
        on_picture_lost: Callable[[], None],
        on_key_frame_left: Callable[[float], None],
        uplink: Uplink,
        on_target: Callable[[Target], None],
        route: Route,
        times: SessionTimes | None = None,
    ) -> None:
        """``on_key_frame_left`` is told how long, in seconds, a receiver cannot have answered that key frame;
        ``on_target`` what ``uplink`` makes of the network, several times a second."""
        self._pictures, self._picture_us = pictures, 0
        self._voices, self._voice_us, self._voice_ticks = voices, 0, VoiceTicks()
        self._uplink, self._on_target = uplink, on_target
        self._probing = Probing()
        self._repeats = Repeats()
        self._key_frame_begins = False
        self._reported_loss: float | None = None
        self._clock = clock
        self._on_picture_lost = on_picture_lost
        self._on_key_frame_left = on_key_frame_left
        self._times = times or SessionTimes()
        self._changed = asyncio.Event()
        #: Whether the session died of silence, so that nobody is there to say goodbye to.
        self.lost = False
        self._sending = True
        self.counts = SessionCounts()
        loop = asyncio.get_running_loop()
        self._now_s = loop.time
        self._measured = loop.time(), 0
        self._liveness = Liveness(loop.time(), self._times.liveness_s, self._times.suspect_s)
        self._peer = Peer(
            next_picture=self._next_picture,
            next_voice=self._next_voice,
            dispatch=self._dispatch,
            received=self._received,
            state_changed=self._changed.set,
            sender_ended=self._sender_ended,
            route=route,
        )
        self._names: dict[int, str] = {}
        self._timelines = {
            self._peer.picture_ssrc: SenderTimeline(PICTURE_RATE_HZ, clock.started_unix_us),
            self._peer.voice_ssrc: SenderTimeline(VOICE_RATE_HZ, clock.started_unix_us),
        }
        self._sequences = {self._peer.picture_ssrc: -1, self._peer.voice_ssrc: -1}
        self._pacer = Pacer(self._send_media, blocked=self._peer.blocked)
        self._pacing = loop.create_task(self._pacer.run(), name="picture pacer")

    async def offer(self) -> str:
        """The SDP to POST."""
        offer = await self._peer.offer()
        self._names = canonical_names(offer)
        return offer

    async def accept(self, answer: str) -> None:
        """Take the relay's answer and begin to connect. Raises ``RelayUnreachable``."""
        try:
            async with asyncio.timeout(self._times.connect_s):
                await self._peer.accept(answer)
        except TimeoutError as error:
            raise RelayUnreachable("the relay's candidates could not be looked up") from error

    async def connected(self) -> None:
        """Wait until media flows. Raises ``RelayUnreachable``."""
        with expecting(self._times.connect_s, self._no_path):
            while self._peer.state in {"new", "connecting"}:
                self._changed.clear()
                await self._changed.wait()
        if self._peer.state != "connected":
            raise RelayUnreachable(f"the media connection {self._peer.state} before it was up")
        self._liveness.heard(self._now_s())

    def _no_path(self) -> RelayUnreachable:
        return RelayUnreachable(f"no UDP path to the relay within {self._times.connect_s:g} s")

    async def run(self) -> NoReturn:
        """Publish until the session is dead, which raises ``RelayUnreachable`` with the reason."""
        try:
            await self._watch()
        except RelayUnreachable:
            self.lost = True
            raise

    async def _watch(self) -> NoReturn:
        while self._peer.state == "connected" and self._sending:
            now_s = self._now_s()
            if now_s >= self._liveness.dies_s:
                raise RelayUnreachable(f"the relay has not answered for {now_s - self._liveness.heard_s:.1f} s")
            self._measure(now_s)
            self._aim(now_s)
            self._probing.sent(now_s, self.counts.wire_octets)
            self._peer.probe(self._answered)
            every_s = self._times.suspect_s / 4 if self._liveness.suspected else self._times.probe_every_s
            every_s /= 2 if self._uplink.suspects else 1
            wait_s = min(every_s, self._liveness.dies_s - now_s)
            await self._pause(wait_s)
            if self._now_s() - now_s > wait_s + BUSY_S:
                self._probing.forget()
        raise RelayUnreachable("the media connection ended")

    def suspect(self) -> None:
        """Something else says that the relay is gone: find out within ``suspect_s``."""
        self._liveness.suspect(self._now_s())
        self._changed.set()

    async def close(self) -> None:
        """Tell the relay goodbye, and free every task and socket."""
        self._pacing.cancel()
        try:
            await self._peer.close(self._times.close_s)
        finally:
            await asyncio.gather(self._pacing, return_exceptions=True)

    def _measure(self, now_s: float) -> None:
        since_s, octets = self._measured
        if now_s - since_s >= MEASURE_S:
            self.counts.bitrate_kbps = (self.counts.octets - octets) * 8 / 1000 / (now_s - since_s)
            self._measured = now_s, self.counts.octets

    def _aim(self, now_s: float) -> None:
        """Have the encoder and the pacer follow what the network carries."""
        counts = self.counts
        sample = Sample(
            now_s=now_s,
            wire_octets=counts.wire_octets,
            packets=counts.packets,
            nacked=counts.nacked,
            answered=self._probing.take(),
            waiting_s=self._probing.waiting_s(now_s),
            lost=self._reported_loss,
            blocked=self._peer.blocked(),
        )
        self._reported_loss = None
        target = self._uplink.observe(sample)
        # A camera that cannot follow (a file passed through) is not held back: its pictures would only be dropped.
        pace = target.pace_bps
        self._pacer.rate_bps = None if pace is None else max(pace, PACE * 1000 * counts.bitrate_kbps)
        if target.hold:
            self._repeats.give_up()
        self._on_target(target)

    async def _pause(self, wait_s: float) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _next_picture(self) -> Encoded:
        await self._pacer.drained()  # the queue before this may drop; past this point nothing may
        unit = await self._pictures.get()
        if unit.key_frame:
            self._key_frame_begins = True
            self._on_key_frame_left(self._pacer.spread_s + (self.counts.rtt_ms or TYPICAL_RTT_MS) / 1000)
        self._pacer.picture(unit.capture_us)
        self._picture_us = unit.capture_us
        return Encoded(unit.data, picture_ticks(unit.capture_us))

    async def _next_voice(self) -> Encoded:
        frame = await self._voices.get()
        self._voice_us = frame.capture_us
        return Encoded(frame.data, self._voice_ticks.ticks(frame.capture_us))

    async def _dispatch(self, packet: bytes) -> None:
        """Everything that aiortc sends passes here: reports are corrected, picture is paced, the rest goes now."""
        if is_rtcp(packet):
            await self._send_rtcp(packet)
            return
        sequence, timestamp, ssrc = rtp_header(packet)
        if not self._is_new(ssrc, sequence):
            await self._send_again(packet, picture=ssrc != self._peer.voice_ssrc, rtx=ssrc not in self._timelines)
        elif ssrc == self._peer.voice_ssrc:
            self._timelines[ssrc].captured(self._voice_us, timestamp)
            await self._send_media(packet)
        else:
            if self._key_frame_begins:
                self._key_frame_begins = False
                self._repeats.key_frame(sequence, self._now_s())
            self._timelines[ssrc].captured(self._picture_us, timestamp)
            self._pacer.put(packet)

    def _is_new(self, ssrc: int, sequence: int) -> bool:
        """Whether it is the next packet of one of our streams. Voice is sent again under its own number, picture under
        another SSRC (RFC 4588)."""
        before = self._sequences.get(ssrc)
        if before is None or (before >= 0 and sequence != (before + 1) & 0xFFFF):
            return False
        self._sequences[ssrc] = sequence
        return True

    async def _send_again(self, packet: bytes, *, picture: bool, rtx: bool) -> None:
        """Somebody waits for it, so it passes everything that is new."""
        now_s = self._now_s()
        round_trip_s = self._probing.round_trip_s(now_s)
        if self._repeats.allows(packet, picture=picture, rtx=rtx, now_s=now_s, round_trip_s=round_trip_s):
            self.counts.wire_octets += len(packet) + WIRE_OVERHEAD_OCTETS
            await self._peer.send(packet)

    async def _send_media(self, packet: bytes) -> None:
        await self._peer.send(packet)
        ssrc = rtp_header(packet)[2]
        timeline = self._timelines[ssrc]
        timeline.sent(rtp_payload_octets(packet))
        self.counts.packets += 1
        self.counts.octets += len(packet)
        self.counts.wire_octets += len(packet) + WIRE_OVERHEAD_OCTETS
        if timeline.packets == 1:  # aiortc waits 0.5 to 1.5 s with its first report; no receiver lines up without one
            name = self._names.get(ssrc, "")
            await self._peer.send(timeline.first_report(ssrc, name, self._clock.now_us()))

    async def _send_rtcp(self, packet: bytes) -> None:
        timeline = self._timelines.get(sender_report_ssrc(packet) or -1)
        if timeline is None:
            await self._peer.send(packet)
        elif timeline.packets:  # before the first, aiortc would report the year 1900
            await self._peer.send(timeline.rewrite(packet, self._clock.now_us()))

    def _sender_ended(self) -> None:
        self._sending = False
        self._changed.set()

    def _received(self, compound: bytes) -> None:
        self._liveness.heard(self._now_s())
        feedback = read_feedback(compound, picture_ssrc=self._peer.picture_ssrc)
        self.counts.nacked += feedback.nacked
        ours = [lost for ssrc, lost in feedback.lost.items() if ssrc in self._timelines]
        if ours:
            self.counts.loss = self._reported_loss = feedback.lost.get(self._peer.picture_ssrc, max(ours))
        if feedback.picture_lost:
            self.counts.picture_requests += 1
            self._on_picture_lost()

    def _answered(self, took_s: float) -> None:
        self._liveness.heard(self._now_s())
        self._probing.answered(self._now_s(), took_s)
        before_ms = self.counts.rtt_ms
        took_ms = took_s * 1000
        self.counts.rtt_ms = took_ms if before_ms is None else before_ms + (took_ms - before_ms) / 4
