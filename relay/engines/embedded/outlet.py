"""One outgoing stream: a channel's timeline as one viewer gets it. The engine's hot path is ``send``.

A viewer joins at a key frame, catches up through the ring, and is live from then on. The pictures it catches up with
are squeezed: their timestamps are drawn together in front of the newest one's, so that the player runs through them at
once and stands at the live edge, instead of staying a whole group of pictures behind.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from relay.engines.embedded import rtcp
from relay.engines.embedded.agreement import Line, Outgoing
from relay.engines.embedded.burst import Burst
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.rtp import HEADER, SEQUENCE_MASK, TIMESTAMP_MASK, VERSION, Packet
from relay.engines.embedded.srtp import Sealer, SrtpError
from relay.engines.embedded.timeline import Timeline
from relay.engines.embedded.transport import Transport

CATCH_UP_BYTES_PER_S = 2_500_000  # 20 Mb/s: a group of pictures in a fifth of a second
RESEND_PER_S = 400  # one viewer's retransmissions: 10 % of 4,000 packets/s, and a storm is cut here
RESEND_AGAIN_LEAST_S = 0.02
CHUNK_BYTES = 16 * 1024  # that are sealed and leave back to back
MOST_ADMITTED = 64  # packets; more than one picture's delimiter and parameter sets is not a beginning
_RESENT_KEPT = 1024
_NEVER = 1 << 62
_pack = HEADER.pack


class Outlet:
    """One viewer's picture or voice."""

    __slots__ = (
        "_as_is_from",
        "_counters",
        "_first",
        "_resend_budget",
        "_resend_filled_at_s",
        "_resent",
        "_rtx_sequence",
        "_rtx_type",
        "_seal_burst",
        "_seal_rtx",
        "_shift",
        "_squeezed",
        "_squeezed_before",
        "_tag_bytes",
        "_transport",
        "_type",
        "cursor",
        "octets",
        "outgoing",
        "packets",
        "report_at_s",
        "report_id",
        "timeline",
    )

    def __init__(
        self, timeline: Timeline, line: Line, outgoing: Outgoing, transport: Transport, counters: Counters
    ) -> None:
        self.timeline = timeline
        self.outgoing = outgoing
        self.cursor: int | None = None  # next packet to catch up with; None: live, or not started
        self.packets = 0
        self.octets = 0
        self.report_id = 0
        self.report_at_s = 0.0
        self._transport = transport
        self._counters = counters
        self._type = line.codec.payload_type
        self._rtx_type = line.rtx
        self._rtx_sequence = secrets.randbelow(0x4000)
        self._first = _NEVER  # the first packet that this viewer gets
        self._as_is_from = _NEVER  # the first packet that it gets with the timeline's own timestamp
        self._shift = 0
        self._squeezed: dict[int, int] = {}
        self._squeezed_before = -1
        self._resent: dict[int, float] = {}
        self._resend_budget = float(RESEND_PER_S)
        self._resend_filled_at_s = 0.0

    def connect(self, sealer: Sealer) -> None:
        """The viewer's keys are there."""
        self._tag_bytes = sealer.tag_bytes
        self._seal_burst = sealer.stream(self.outgoing.ssrc).seal_burst
        self._seal_rtx = sealer.stream(self.outgoing.rtx_ssrc).seal

    @property
    def started(self) -> bool:
        """Whether the viewer gets packets."""
        return self._first != _NEVER

    def start(self, first: int) -> None:
        """Begin with packet ``first``; once. The own numbering starts low, so that losing the first packets cannot make
        the viewer guess a wrong rollover counter (RFC 3711 §3.3.1)."""
        if self.started:
            raise RuntimeError("an outlet that began anew would seal other packets under indices that were used")
        self._first = self._as_is_from = first
        self._shift = 0x1000 + secrets.randbelow(0x3000) - first

    def catch_up(self, pictures: Sequence[Packet]) -> None:
        """Begin with the newest group of pictures, squeezed; ``pump`` sends it."""
        self.start(pictures[0].sequence)
        self.cursor = pictures[0].sequence
        self._squeezed = squeeze(pictures, self.timeline.clock_rate)
        self._squeezed_before = self._as_is_from = pictures[-1].sequence + 1

    def admit(self, sequence: int) -> bool:
        """The beginning of the key frame that this viewer started with was lost on the way here, and came late.
        ``False``: this viewer started with an earlier one."""
        if not 0 < self._first - sequence <= MOST_ADMITTED:
            return False
        self._first = sequence
        return True

    def pump(self, budget: int, end: int) -> bool:
        """Send up to ``budget`` bytes of the past, which ends before packet ``end``. ``True``: caught up; ``end`` and
        what follows come by ``send``."""
        cursor = self.cursor
        if cursor is None:
            return True
        while cursor < end and budget > 0:
            chunk: list[Packet] = []
            room = min(budget, CHUNK_BYTES)
            while cursor < end and room > 0:
                packet = self.timeline.get(cursor)
                cursor += 1
                if packet is not None:
                    chunk.append(packet)
                    room -= len(packet.payload)
                    budget -= len(packet.payload)
            if chunk:
                self.send(Burst(chunk))
        self.cursor = cursor if cursor < end else None
        return self.cursor is None

    def send(self, burst: Burst) -> None:
        """Rewrite, seal, send. What comes before this viewer's beginning is left out."""
        if burst.first < self._as_is_from:
            own = [self._own(packet) for packet in burst.packets if packet.sequence >= self._first]
            if not own:
                return
            burst = Burst(own)
        path = self._transport.path
        if path is None:
            return
        layout = burst.layout(self._tag_bytes)
        try:
            self._seal_burst(layout, self._type, self._shift)
        except SrtpError:
            self._counters.send_failed += len(burst.packets)
            return
        path.send_runs(layout.runs)
        self.packets += len(burst.packets)
        self.octets += burst.octets

    def _own(self, packet: Packet) -> Packet:
        """A packet with the timestamp that this viewer gets it with."""
        return Packet(packet.sequence, self._timestamp(packet), packet.marker, packet.payload)

    def _timestamp(self, packet: Packet) -> int:
        if packet.sequence >= self._squeezed_before:
            return packet.timestamp
        return self._squeezed.get(packet.timestamp, packet.timestamp)

    def resend(self, sequences: Sequence[int], now_s: float, round_trip_s: float) -> None:
        """Answer a NACK of 16-bit ``sequences``: each packet at most once a round trip, within the viewer's budget."""
        elapsed_s, self._resend_filled_at_s = now_s - self._resend_filled_at_s, now_s
        self._resend_budget = min(RESEND_PER_S, self._resend_budget + elapsed_s * RESEND_PER_S)
        again_s = max(RESEND_AGAIN_LEAST_S, round_trip_s)
        for number in sequences:
            packet = self._asked_for(number)
            if (
                packet is None
                or self._resend_budget < 1
                or now_s - self._resent.get(packet.sequence, float("-inf")) < again_s
            ):
                self._counters.nacks_unanswered += 1
                continue
            self._resend_budget -= 1
            self._resent[packet.sequence] = now_s
            self._counters.packets_resent += 1
            if self._rtx_type is None:
                self.send(Burst([packet]))
            else:
                self._send_rtx(packet, self._rtx_type)
        if len(self._resent) > _RESENT_KEPT:
            self._resent = {number: at_s for number, at_s in self._resent.items() if now_s - at_s < again_s}

    def _asked_for(self, number: int) -> Packet | None:
        newest = (self.cursor - 1 if self.cursor is not None else self.timeline.highest) + self._shift
        index = newest - ((newest - number) & SEQUENCE_MASK)
        sequence = index - self._shift
        return self.timeline.get(sequence) if sequence >= self._first else None

    def _send_rtx(self, packet: Packet, payload_type: int) -> None:
        """RFC 4588: its own source and numbering; the original number leads the payload."""
        path = self._transport.path
        if path is None:
            return
        self._rtx_sequence += 1
        sequence = self._rtx_sequence & SEQUENCE_MASK
        second = packet.marker | payload_type
        header = _pack(VERSION, second, sequence, self._timestamp(packet), self.outgoing.rtx_ssrc)
        original = (packet.sequence + self._shift & SEQUENCE_MASK).to_bytes(2, "big")
        try:
            path.send(self._seal_rtx(header, original + packet.payload, self._rtx_sequence))
        except SrtpError:
            self._counters.send_failed += 1

    def report(self, ntp: int, rtp: int, now_s: float) -> None:
        """Tell the viewer which instant (64-bit NTP) a timestamp is, so that picture and voice stay together."""
        self.report_id, self.report_at_s = ntp >> 16 & 0xFFFFFFFF, now_s
        ssrc = self.outgoing.ssrc
        report = rtcp.sender_report(ssrc, ntp, rtp & TIMESTAMP_MASK, self.packets, self.octets)
        self._transport.send_rtcp(report + rtcp.cname(ssrc, self.outgoing.cname))


def squeeze(pictures: Sequence[Packet], clock_rate: int) -> dict[int, int]:
    """New timestamps for a group of pictures: the last keeps its own, the others stand before it as closely as they
    will be sent. A group that is closer together already stays as it is."""
    frames = list(dict.fromkeys(packet.timestamp for packet in pictures))
    size = sum(len(packet.payload) for packet in pictures)
    step = max(clock_rate // 1000, size * clock_rate // CATCH_UP_BYTES_PER_S // len(frames))
    last = frames[-1]
    squeezed: dict[int, int] = {}
    for place, timestamp in enumerate(reversed(frames)):
        distance = min(place * step, (last - timestamp) & TIMESTAMP_MASK)
        squeezed[timestamp] = (last - distance) & TIMESTAMP_MASK
    return squeezed
