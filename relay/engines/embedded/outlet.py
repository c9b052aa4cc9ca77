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
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.rtp import HEADER, SEQUENCE_MASK, TIMESTAMP_MASK, VERSION, Packet
from relay.engines.embedded.srtp import Sealer, SrtpError
from relay.engines.embedded.timeline import Timeline
from relay.engines.embedded.transport import Transport

CATCH_UP_BYTES_PER_S = 2_500_000  # 20 Mb/s: a group of pictures in a fifth of a second
RESEND_PER_S = 400  # one viewer's retransmissions: 10 % of 4,000 packets/s, and a storm is cut here
RESEND_AGAIN_LEAST_S = 0.02
MOST_ADMITTED = 64  # packets; more than one picture's delimiter and parameter sets is not a beginning
_RESENT_KEPT = 1024
_pack = HEADER.pack


class Outlet:
    """One viewer's picture or voice."""

    __slots__ = (
        "_counters",
        "_first",
        "_resend_budget",
        "_resend_filled_at_s",
        "_resent",
        "_rtx_sequence",
        "_rtx_type",
        "_seal",
        "_seal_rtx",
        "_shift",
        "_squeezed",
        "_squeezed_before",
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
        self._first = 1 << 62  # the first packet that this viewer gets
        self._shift = 0
        self._squeezed: dict[int, int] = {}
        self._squeezed_before = -1
        self._resent: dict[int, float] = {}
        self._resend_budget = float(RESEND_PER_S)
        self._resend_filled_at_s = 0.0

    def connect(self, sealer: Sealer) -> None:
        """The viewer's keys are there."""
        self._seal = sealer.stream(self.outgoing.ssrc).seal
        self._seal_rtx = sealer.stream(self.outgoing.rtx_ssrc).seal

    @property
    def started(self) -> bool:
        """Whether the viewer gets packets."""
        return self._first != 1 << 62

    def start(self, first: int) -> None:
        """Begin with packet ``first``. The own numbering starts low, so that losing the first packets cannot make the
        viewer guess a wrong rollover counter (RFC 3711 §3.3.1)."""
        self._first = first
        self._shift = 0x1000 + secrets.randbelow(0x3000) - first

    def catch_up(self, pictures: Sequence[Packet]) -> None:
        """Begin with the newest group of pictures, squeezed; ``pump`` sends it."""
        self.start(pictures[0].sequence)
        self.cursor = pictures[0].sequence
        self._squeezed = squeeze(pictures, self.timeline.clock_rate)
        self._squeezed_before = pictures[-1].sequence + 1

    def admit(self, sequence: int) -> bool:
        """The beginning of the key frame that this viewer started with was lost on the way here, and came late.
        ``False``: this viewer started with an earlier one."""
        if not 0 < self._first - sequence <= MOST_ADMITTED:
            return False
        self._first = sequence
        return True

    def pump(self, budget: int) -> bool:
        """Send up to ``budget`` bytes of the past. ``True``: caught up; from now on ``send`` is called."""
        timeline = self.timeline
        cursor = self.cursor
        if cursor is None:
            return True
        while cursor <= timeline.highest and budget > 0:
            packet = timeline.get(cursor)
            cursor += 1
            if packet is not None:
                self.send(packet)
                budget -= len(packet.payload)
        self.cursor = cursor if cursor <= timeline.highest else None
        return self.cursor is None

    def send(self, packet: Packet) -> None:
        """Rewrite, seal, send."""
        sequence = packet.sequence
        path = self._transport.path
        if sequence < self._first or path is None:
            return
        timestamp = packet.timestamp if sequence >= self._squeezed_before else self._timestamp(packet)
        index = sequence + self._shift
        header = _pack(VERSION, packet.marker | self._type, index & SEQUENCE_MASK, timestamp, self.outgoing.ssrc)
        try:
            path.send(self._seal(header, packet.payload, index))
        except SrtpError:
            self._counters.send_failed += 1
            return
        self.packets += 1
        self.octets += len(packet.payload)

    def _timestamp(self, packet: Packet) -> int:
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
                self.send(packet)
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
        timestamp = packet.timestamp if packet.sequence >= self._squeezed_before else self._timestamp(packet)
        sequence = self._rtx_sequence & SEQUENCE_MASK
        header = _pack(VERSION, packet.marker | payload_type, sequence, timestamp, self.outgoing.rtx_ssrc)
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
