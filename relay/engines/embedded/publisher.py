"""A publisher's session: its packets go onto the channel's timelines, its losses are asked for, its reports answered.

Not here: ICE, DTLS and SRTP (``transport.py``), and who watches (``channel.py``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

from relay.engines.embedded import rtcp, rtp
from relay.engines.embedded.agreement import Agreement, Kind
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.losses import Losses
from relay.engines.embedded.reception import Reception
from relay.engines.embedded.rtp import SEQUENCE_MASK, TIMESTAMP_MASK, Packet, Unwrapper
from relay.engines.embedded.srtp import Sealer
from relay.engines.embedded.timeline import Timeline
from relay.engines.embedded.transport import Transport

GONE_S = 4.0  # without any packet a publisher counts as gone; a kit's own watchdog is as patient
MOST_JUMP = 3000  # sequence numbers: what jumps further has started anew
MOST_STRAYS = 20  # packets in a row from before anything we hold: it has started anew, backwards
REPORT_NAME = "parta-relay"
_NTP_MASK = (1 << 64) - 1


class Stage(Protocol):
    """What a publisher needs of its channel."""

    def timeline(self, kind: Kind) -> Timeline:
        """The channel's timeline of this kind."""
        ...

    def forward(self, timeline: Timeline, packet: Packet, now_s: float) -> None:
        """Give a packet, already kept, to everybody."""
        ...

    def report(self, timeline: Timeline, ntp: int, timestamp: int, now_s: float) -> None:
        """The publisher says which instant a timestamp is; both on the channel's own clocks."""
        ...

    def want_key_frame(self) -> None:
        """Pictures are lost for good."""
        ...

    def ntp(self, now_s: float) -> int:
        """The relay's own 64-bit NTP time."""
        ...

    def busy(self) -> None:
        """Something is due soon: call ``on_fast_tick`` until nothing is."""
        ...

    def publisher_connected(self) -> None:
        """Its packets may come now."""
        ...


class Source:
    """One incoming stream (SSRC) on its way onto a timeline."""

    __slots__ = (
        "first",
        "losses",
        "reception",
        "sequence_shift",
        "ssrc",
        "strays",
        "timeline",
        "timestamp_shift",
        "unwrapper",
    )

    def __init__(self, ssrc: int, timeline: Timeline, sequence: int, timestamp: int, now_s: float) -> None:
        self.ssrc = ssrc
        self.timeline = timeline
        self.first = sequence
        self.unwrapper = Unwrapper(sequence)
        self.reception = Reception(ssrc, timeline.clock_rate, sequence)
        self.losses = Losses()
        self.strays = 0
        self.sequence_shift, self.timestamp_shift = timeline.shift_for(sequence, timestamp, now_s)


class Publisher:
    """One WHIP session."""

    accepts_rtp = True

    def __init__(
        self, name: str, agreement: Agreement, stage: Stage, counters: Counters, ended: Callable[[], None]
    ) -> None:
        self.name = name
        self.agreement = agreement
        self.transport: Transport | None = None
        self._stage = stage
        self._counters = counters
        self._ended = ended
        self._ssrc = secrets.randbits(32)
        self._kinds: dict[int, Kind] = {line.codec.payload_type: line.kind for line in agreement.lines}
        self._rtx: dict[int, Kind] = {line.rtx: line.kind for line in agreement.lines if line.rtx is not None}
        self._sources: dict[Kind, Source] = {}
        self._past: set[int] = set()  # SSRCs that were replaced
        self._clock_shift: int | None = None  # from the publisher's NTP time to the relay's

    def detach(self) -> None:
        """The session is over: see ``Viewer.detach``."""
        self.transport = None

    def connected(self, now_s: float) -> bool:
        """Whether the session is up and its peer was heard lately."""
        transport = self.transport
        return transport is not None and transport.connected and now_s - transport.heard_at_s < GONE_S

    def on_connected(self, sealer: Sealer, now_s: float) -> None:
        self._stage.publisher_connected()

    def on_closed(self) -> None:
        self._ended()

    def on_rtp(self, packet: bytes, now_s: float) -> None:
        try:
            payload_type, marker, sequence, timestamp, ssrc, payload = rtp.read(packet)
        except rtp.RtpError:
            self._counters.rtp_malformed += 1
            return
        self._counters.packets_received += 1
        self._counters.bytes_received += len(packet)
        kind = self._kinds.get(payload_type)
        if kind is not None:
            source = self._sources.get(kind)
            if source is None or source.ssrc != ssrc:
                source = self._begin(kind, ssrc, sequence, timestamp, now_s)
            if source is not None:
                self._take(source, sequence, timestamp, marker, payload, now_s)
        elif payload_type in self._rtx:
            source = self._sources.get(self._rtx[payload_type])
            if source is not None and len(payload) > 2:  # without an original number it is padding that probes the line
                original = source.unwrapper.behind(int.from_bytes(payload[:2], "big"))
                self._take_late(source, original, timestamp, marker, payload[2:], now_s)
        else:
            self._counters.rtp_unexpected += 1

    def _begin(self, kind: Kind, ssrc: int, sequence: int, timestamp: int, now_s: float) -> Source | None:
        if ssrc in self._past:
            self._counters.rtp_late += 1
            return None
        old = self._sources.get(kind)
        if old is not None:
            self._past.add(old.ssrc)
        source = self._sources[kind] = Source(ssrc, self._stage.timeline(kind), sequence, timestamp, now_s)
        return source

    def _take(self, source: Source, number: int, timestamp: int, marker: int, payload: bytes, now_s: float) -> None:
        before = source.unwrapper.highest
        sequence = source.unwrapper.unwrap(number)
        if sequence - before > MOST_JUMP or self._strayed(source, before - sequence):
            restarted = Source(source.ssrc, source.timeline, number, timestamp, now_s)
            self._sources[source.timeline.kind] = source = restarted
            before = sequence = number
        source.reception.count(sequence, timestamp, now_s)
        if sequence > before + 1:
            self._miss(source, before + 1, sequence, now_s)
        elif sequence < before:
            self._take_late(source, sequence, timestamp, marker, payload, now_s)
            return
        self._put(source, sequence, timestamp, marker, payload, now_s)

    def _strayed(self, source: Source, behind: int) -> bool:
        source.strays = source.strays + 1 if behind > MOST_JUMP else 0
        return source.strays > MOST_STRAYS

    def _take_late(
        self, source: Source, sequence: int, timestamp: int, marker: int, payload: bytes, now_s: float
    ) -> None:
        if source.losses.arrived(sequence, now_s):
            self._counters.packets_recovered += 1
        self._put(source, sequence, timestamp, marker, payload, now_s)

    def _put(self, source: Source, sequence: int, timestamp: int, marker: int, payload: bytes, now_s: float) -> None:
        shifted = (timestamp + source.timestamp_shift) & TIMESTAMP_MASK
        packet = Packet(sequence + source.sequence_shift, shifted, marker, payload)
        if sequence >= source.first and source.timeline.put(packet, now_s):
            self._stage.forward(source.timeline, packet, now_s)
        else:
            self._counters.rtp_late += 1

    def _miss(self, source: Source, first: int, end: int, now_s: float) -> None:
        if source.losses.gap(first, end, now_s):
            self._stage.busy()
        else:
            self._lose(source, end - first, end - 1)

    def _lose(self, source: Source, count: int, newest: int) -> None:
        """A hole of pictures needs a key frame, but not where one has come since. The packet right before it may be its
        own first."""
        self._counters.packets_lost += count
        start = source.timeline.gop_start
        is_mended = start is not None and newest + source.sequence_shift < start - 1
        if source.timeline.kind == "video" and not is_mended:
            self._stage.want_key_frame()

    def on_rtcp(self, packet: bytes, now_s: float) -> None:
        try:
            items = rtcp.read(packet)
        except rtcp.RtcpError:
            self._counters.rtcp_malformed += 1
            return
        for item in items:
            if isinstance(item, rtcp.SenderReport):
                self._on_report(item, now_s)

    def _on_report(self, report: rtcp.SenderReport, now_s: float) -> None:
        source = next((item for item in self._sources.values() if item.ssrc == report.ssrc), None)
        if source is None:
            return
        source.reception.heard(report, now_s)
        if self._clock_shift is None:
            self._clock_shift = self._stage.ntp(now_s) - report.ntp
        timestamp = (report.rtp + source.timestamp_shift) & TIMESTAMP_MASK
        self._stage.report(source.timeline, (report.ntp + self._clock_shift) & _NTP_MASK, timestamp, now_s)

    def on_fast_tick(self, now_s: float) -> bool:
        """Ask for what is missing. Whether something still is."""
        waiting = False
        for source in self._sources.values():
            if not len(source.losses):
                continue
            asked, gone = source.losses.due(now_s)
            if asked:
                self._counters.nacks_sent += 1
                self._send(rtcp.nack(self._ssrc, source.ssrc, [number & SEQUENCE_MASK for number in sorted(asked)]))
            if gone:
                self._lose(source, len(gone), max(gone))
            waiting = waiting or len(source.losses) > 0
        return waiting

    @property
    def round_trip_s(self) -> float:
        """As learned from answered NACKs; 0 before any source."""
        return max((source.losses.round_trip_s for source in self._sources.values()), default=0.0)

    @property
    def sends_pictures(self) -> bool:
        """Whether there is a source that a PLI can refer to."""
        return "video" in self._sources

    def ask_for_key_frame(self) -> None:
        """Send a PLI."""
        self._counters.plis_sent += 1
        self._send(rtcp.pli(self._ssrc, self._sources["video"].ssrc))

    def send_report(self, now_s: float) -> None:
        """A receiver report, also while nothing comes: the kit's watchdog lives on it, behind the curtain too."""
        blocks = [source.reception.block(now_s) for source in self._sources.values()]
        if self.transport is not None:
            self.transport.send_rtcp(rtcp.receiver_report(self._ssrc, blocks) + rtcp.cname(self._ssrc, REPORT_NAME))

    def _send(self, feedback: bytes) -> None:
        """Feedback behind an empty report: the smallest compound that every client takes."""
        if self.transport is not None:
            self.transport.send_rtcp(rtcp.receiver_report(self._ssrc) + feedback)
