"""One outgoing stream: a channel's timeline as one viewer gets it. The engine's hot path is ``send``.

A viewer joins at a key frame, catches up through the ring, and is live from then on. The pictures it catches up with
are squeezed: their timestamps are drawn together in front of the newest one's, so that the player runs through them at
once and stands at the live edge, instead of staying a whole group of pictures behind.

It may also stop at a picture's end and go on at a later key frame (``sparing.py``): the numbering then has no hole.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from relay.engines.embedded import rtcp
from relay.engines.embedded.agreement import Line, Outgoing
from relay.engines.embedded.batch import Batch
from relay.engines.embedded.burst import Burst, Layout
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.numbering import NEVER, Numbering
from relay.engines.embedded.resending import Resending
from relay.engines.embedded.rtp import EXTENDED, HEADER, SEQUENCE_MASK, TIMESTAMP_MASK, VERSION, Packet, send_time
from relay.engines.embedded.srtp import Sealer, SrtpError
from relay.engines.embedded.timeline import Timeline
from relay.engines.embedded.transport import Transport

CATCH_UP_BYTES_PER_S = 2_500_000  # 20 Mb/s: a group of pictures in a fifth of a second
CHUNK_BYTES = 16 * 1024  # that are sealed and leave back to back
MOST_REPORTS = 16  # that may be answered yet: four a second, behind a queue of seconds
_pack = HEADER.pack


class Outlet:
    """One viewer's picture or voice."""

    __slots__ = (
        "_counters",
        "_leaving",
        "_numbering",
        "_resending",
        "_rtx_sequence",
        "_rtx_type",
        "_seal_burst",
        "_seal_rtx",
        "_shift",
        "_tag_bytes",
        "_transport",
        "_type",
        "as_is_from",
        "cursor",
        "end",
        "octets",
        "outgoing",
        "packets",
        "reports",
        "timed",
        "timeline",
        "voice",
    )

    def __init__(
        self, timeline: Timeline, line: Line, outgoing: Outgoing, transport: Transport, counters: Counters
    ) -> None:
        self.timeline = timeline
        self.outgoing = outgoing
        self.timed = line.send_time  # the header extension in which the viewer reads when packets left; 0: in none
        self.voice: Outlet | None = None  # of a picture: the same viewer's voice, if it gets any
        self.cursor: int | None = None  # next packet to catch up with; None: live, paused, or not started
        self.end = 0  # after the newest packet that was sent
        self.packets = 0
        self.octets = 0
        self.reports: dict[int, float] = {}  # by what an answer calls them: when they left
        self._transport = transport
        self._counters = counters
        self._type = line.codec.payload_type
        self._rtx_type = line.rtx
        self._rtx_sequence = secrets.randbelow(0x4000)
        self._numbering = Numbering()
        self.as_is_from = NEVER  # the first packet that this viewer gets with the timeline's own timestamp
        self._shift = 0
        self._leaving: tuple[int, int | None] | None = None  # before which packet to stop, and at which picture's end
        self._resending = Resending()

    def connect(self, sealer: Sealer) -> None:
        """The viewer's keys are there."""
        self._tag_bytes = sealer.tag_bytes
        self._seal_burst = sealer.stream(self.outgoing.ssrc).seal_burst
        self._seal_rtx = sealer.stream(self.outgoing.rtx_ssrc).seal

    @property
    def started(self) -> bool:
        """Whether the viewer gets packets, or got any."""
        return self._numbering.begun

    @property
    def paused(self) -> bool:
        """Whether it has stopped at a picture's end."""
        return self.started and not self._numbering.is_open

    @property
    def free_from(self) -> int:
        """The first packet with which it may go on."""
        return self._numbering.newest.end if self.started else 0

    def start(self, first: int, moved: Mapping[int, int] | None = None) -> None:
        """Begin, or go on, with packet ``first``. ``moved``: timestamps that the viewer gets in place of others."""
        self._shift = self._numbering.begin(first, moved or {}).shift
        self.as_is_from = first
        self._leaving = None

    def catch_up(self, pictures: Sequence[Packet]) -> None:
        """Begin with the newest group of pictures, squeezed; ``pump`` sends it."""
        self.start(pictures[0].sequence, squeeze(pictures, self.timeline.clock_rate))
        self.cursor = pictures[0].sequence
        self.as_is_from = pictures[-1].sequence + 1

    def send_alone(self, first: int, moved: Mapping[int, int]) -> None:
        """Begin, or go on, with a key frame that is whole; ``pump`` sends it, and ``close`` is to follow."""
        self.start(first, moved)
        self.cursor = first
        self.as_is_from = NEVER

    def pause(self, frontier: int) -> None:
        """Stop at the end of the picture of which packets before ``frontier`` were sent."""
        at = self.cursor if self.cursor is not None else frontier
        last = self.timeline.get(at - 1)
        unfinished = last is not None and not last.marker and last.sequence in self._numbering.newest
        self._leaving = at, last.timestamp if last is not None and unfinished else None
        self.as_is_from = NEVER
        if not unfinished:
            self._leave(at)

    def _leave(self, end: int) -> None:
        self._numbering.close(max(end, self._numbering.newest.first))
        self.cursor = None

    def forget(self) -> None:
        """Send nothing again of what was sent so far: a line that is too slow for it is no better for getting it
        twice."""
        self._resending.forget(self._next_index)

    def close(self, end: int) -> None:
        """Stop before packet ``end``, all before which were sent."""
        self.as_is_from = NEVER
        self._leave(end)

    def admit(self, sequence: int) -> bool:
        """The beginning of the key frame that this viewer started with was lost on the way here, and came late.
        ``False``: it gets nothing before what it began with."""
        return self._numbering.admit(sequence)

    def pump(self, budget: int, end: int, now_s: float) -> bool:
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
                self.send(Burst(chunk, now_s))
            if self.paused:
                return True
        self.cursor = cursor if cursor < end else None
        return self.cursor is None

    def send(self, burst: Burst, batch: Batch | None = None) -> None:
        """Rewrite, seal, send, with the voice that rides along. What this viewer does not get is left out. ``batch``:
        in which it leaves with other viewers'."""
        shift, along = self._shift, burst.voice
        voice = self.voice if along is not None else None
        rewritten = burst.first < self.as_is_from
        if along is not None and voice is not None and (rewritten or along.first < voice.as_is_from):
            voice.send(along)  # by itself
            voice = None
        if rewritten:
            own, shift = self._own(burst.packets)
            if not own:
                return
            burst = Burst(own, burst.at_s)
        path = self._transport.path
        if path is None:
            return
        number = batch.peers if batch is not None else 0
        layout = burst.layout(self._tag_bytes, self.timed, voice.timed if voice is not None else None, number)
        try:
            self._seal_burst(layout, self._type, shift)
            if voice is not None:
                voice.seal_along(layout)
        except SrtpError:
            self._counters.send_failed += len(layout.slots) + len(layout.voice_slots)
            return
        if batch is None:
            path.send_runs(layout.runs)
        else:
            batch.add(path, layout.runs)
        self.count(burst)
        if along is not None and voice is not None:
            voice.count(along)

    def seal_along(self, layout: Layout) -> None:
        """Seal what is of this voice in the layout of a picture. Raises ``SrtpError``."""
        self._seal_burst(layout, self._type, self._shift, riding=True)

    def count(self, burst: Burst) -> None:
        """It was sent."""
        self.packets += len(burst.packets)
        self.octets += burst.octets
        if burst.end > self.end:
            self.end = burst.end

    def _own(self, packets: Sequence[Packet]) -> tuple[list[Packet], int]:
        """Those that this viewer gets, with the timestamps that it gets them with, and what to add to their numbers.
        What comes late may belong to an earlier stretch than what comes now, but it comes alone."""
        own: list[Packet] = []
        shift = self._shift
        for packet in packets:
            if self._leaving is not None and not self.paused:
                end, unfinished = self._leaving
                if packet.sequence >= end and packet.timestamp != unfinished:
                    self._leave(packet.sequence)
            stretch = self._numbering.of(packet.sequence)
            if stretch is not None:
                shift = stretch.shift
                timestamp = stretch.moved.get(packet.timestamp, packet.timestamp)
                own.append(Packet(packet.sequence, timestamp, packet.marker, packet.payload, packet.padding))
        return own, shift

    def mark(self, now_s: float) -> None:
        """A few times a second: bound what may be sent again."""
        if self.started:
            self._resending.mark(now_s, self._next_index, self.octets)

    @property
    def _next_index(self) -> int:
        return max(self.end, self._numbering.newest.first) + self._shift

    def resend(self, sequences: Sequence[int], now_s: float, round_trip_s: float) -> int:
        """Answer a NACK of 16-bit ``sequences``: each packet at most once a round trip, within the viewer's budget. How
        many were lost on the way from here, as far as was not known: asked for for the first time, and never missing
        here."""
        self._resending.fill(self.packets, self.octets)
        newest, fresh = self._next_index - 1, 0
        for number in sequences:
            index = newest - ((newest - number) & SEQUENCE_MASK)
            sequence = self._numbering.at(index)
            packet = self.timeline.get(sequence) if sequence is not None else None
            fresh += packet is not None and self._resending.is_new(index)
            if packet is None or not self._resending.grant(index, len(packet.payload), now_s, round_trip_s):
                self._counters.nacks_unanswered += 1
                continue
            self._counters.packets_resent += 1
            if self._rtx_type is None:
                self.send(Burst([packet], now_s))
            else:
                self._send_rtx(packet, self._rtx_type, index, now_s)
        return fresh

    def repeat_last(self, now_s: float) -> None:
        """Send the newest packet again where RTX was agreed: if it was lost, nothing follows soon that shows it."""
        packet = self.timeline.get(self.end - 1)
        if packet is not None and self._rtx_type is not None and packet.sequence in self._numbering.newest:
            self._send_rtx(packet, self._rtx_type, packet.sequence + self._numbering.newest.shift, now_s)

    def _send_rtx(self, packet: Packet, payload_type: int, index: int, now_s: float) -> None:
        """RFC 4588: its own source and numbering; the original number leads the payload."""
        path, stretch = self._transport.path, self._numbering.of(packet.sequence)
        if path is None or stretch is None:
            return
        self._rtx_sequence += 1
        sequence = self._rtx_sequence & SEQUENCE_MASK
        timestamp = stretch.moved.get(packet.timestamp, packet.timestamp)
        first, extension = VERSION, b""
        if self.timed:
            first, extension = VERSION | EXTENDED, send_time(self.timed, now_s)
        header = _pack(first, packet.marker | payload_type, sequence, timestamp, self.outgoing.rtx_ssrc)
        original = (index & SEQUENCE_MASK).to_bytes(2, "big")
        try:
            path.send(self._seal_rtx(header + extension, original + packet.payload, self._rtx_sequence))
        except SrtpError:
            self._counters.send_failed += 1

    def report(self, ntp: int, rtp: int, now_s: float) -> None:
        """Tell the viewer which instant (64-bit NTP) a timestamp is, so that picture and voice stay together."""
        self.reports[ntp >> 16 & 0xFFFFFFFF] = now_s
        if len(self.reports) > MOST_REPORTS:
            del self.reports[next(iter(self.reports))]
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
