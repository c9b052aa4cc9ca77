"""Packets that leave for every viewer together, laid out once for all of them.

What differs from viewer to viewer is the header's type, number and source, and the seal. So the places of headers and
sealed payloads in one buffer are found once per burst; each viewer's packets are then written over the last one's, and
leave in as few system calls as the kernel allows: one for neighbours of one size. Publishers cut a picture into packets
that differ by a byte or two (aiortc, Chromium), so what is so close is padded to one size. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from relay.engines.embedded.memory import InMemory
from relay.engines.embedded.rtp import EXTENDED, HEADER, PADDED, VERSION, Packet, send_time

UDP_SEGMENT = 103  # linux/udp.h: the kernel cuts one buffer into datagrams of this size (4.18 and later)
SOL_UDP = 17
MOST_SEGMENTS = 64  # UDP_MAX_SEGMENTS of kernels before 6.9
MOST_RUN_BYTES = 60_000  # an IP packet's 65,535, less headers of any kind

MOST_PADDING = 16  # a tenth of what a system call costs, in bytes that are encrypted instead; at most 255

#: One packet's place: its header's first byte, sequence, timestamp, marker, payload, offset of its header, the header's
#: and the sealed payload's views.
Slot = tuple[int, int, int, int, bytes, int, memoryview, memoryview]


class Run:
    """Neighbours in the buffer that one message holds: all of ``size`` bytes but the last, which may be smaller.

    ``ancillary`` tells the kernel to cut them apart. ``placed``: what ``batch.py`` has the kernel read about it.
    """

    __slots__ = ("ancillary", "count", "placed", "size", "view")

    def __init__(self, view: memoryview, size: int, count: int) -> None:
        self.view = view
        self.size = size
        self.count = count
        self.ancillary = [(SOL_UDP, UDP_SEGMENT, struct.pack("@H", size))] if count > 1 else None
        self.placed: InMemory | None = None

    @property
    def parts(self) -> list[memoryview]:
        """The same packets, for where the kernel cannot cut."""
        return [self.view[at : at + self.size] for at in range(0, len(self.view), self.size)]


class Plan:
    """Where a burst's packets are in a buffer, for seals of one length: its own, whose headers have one ``extension``
    (or none), and behind them the ``voice`` that rides along, with another."""

    __slots__ = ("_cuts", "_extended", "_own", "_rows", "_size")

    def __init__(
        self,
        packets: Sequence[Packet],
        tag_bytes: int,
        extension: bytes = b"",
        voice: Sequence[Packet] = (),
        voice_extension: bytes = b"",
    ) -> None:
        self._own = len(packets)
        self._rows: list[tuple[int, int, int, int, bytes, int, int, int]] = []
        self._extended: list[tuple[int, bytes]] = []
        at, sizes = 0, []
        for packet, added in [*((one, extension) for one in packets), *((one, voice_extension) for one in voice)]:
            payload, body = packet.padded, at + HEADER.size + len(added)
            end = body + len(payload) + tag_bytes
            first = VERSION | (EXTENDED if added else 0) | (PADDED if packet.padding else 0)
            self._rows.append((first, packet.sequence, packet.timestamp, packet.marker, payload, at, body, end))
            if added:
                self._extended.append((at + HEADER.size, added))
            sizes.append(end - at)
            at = end
        self._size = at
        starts = [row[5] for row in self._rows] + [at]
        self._cuts = [(starts[begin], starts[end], sizes[begin], end - begin) for begin, end in runs(sizes)]

    def layout(self) -> Layout:
        """Another buffer."""
        buffer = bytearray(self._size)
        view = memoryview(buffer)
        for at, extension in self._extended:
            view[at : at + len(extension)] = extension
        slots = [
            (first, sequence, timestamp, marker, payload, at, view[at:body], view[body:end])
            for first, sequence, timestamp, marker, payload, at, body, end in self._rows
        ]
        cut = [Run(view[at:end], size, count) for at, end, size, count in self._cuts]
        return Layout(buffer, cut, slots[: self._own], slots[self._own :])


class Layout:
    """The bytes of a burst for one viewer at a time: its own packets' places, those of the voice, and what is sent.
    ``places``: the same with addresses, by whether they are the voice's, which ``srtp.py`` works out when it first
    needs them."""

    __slots__ = ("buffer", "places", "runs", "slots", "voice_slots")

    def __init__(self, buffer: bytearray, cut: list[Run], slots: list[Slot], voice_slots: list[Slot]) -> None:
        self.buffer = buffer
        self.places: dict[bool, Sequence[Any]] = {}
        self.runs = cut
        self.slots = slots
        self.voice_slots = voice_slots

    def of(self, *, riding: bool) -> list[Slot]:
        """The places of its own packets, or of the voice that is ``riding`` along."""
        return self.voice_slots if riding else self.slots


class Burst:
    """Some packets of one timeline, in order, that leave at ``at_s``: number ``first`` up to before ``end``. ``voice``:
    what rides along with pictures, for whoever can take both in one system call."""

    __slots__ = ("_plans", "at_s", "end", "first", "octets", "packets", "voice")

    def __init__(self, packets: Sequence[Packet], at_s: float, voice: Burst | None = None) -> None:
        even_out(packets)
        self.packets = packets
        self.at_s = at_s
        self.voice = voice
        self.first = packets[0].sequence
        self.end = packets[-1].sequence + 1
        self.octets = sum([len(packet.payload) for packet in packets])
        self._plans: dict[tuple[int, int, int | None], tuple[Plan, list[Layout]]] = {}

    def layout(self, tag_bytes: int, timed: int = 0, voice_timed: int | None = None, number: int = 0) -> Layout:
        """The places for seals that make a packet ``tag_bytes`` longer. ``timed``: the header extension in which the
        viewer wants to read when packets left; 0: in none. ``voice_timed``: the same of the voice that rides along;
        ``None``: without it. ``number``: one of several with bytes of their own, for what leaves together."""
        found = self._plans.get((tag_bytes, timed, voice_timed))
        if found is None:
            voice = self.voice.packets if self.voice is not None and voice_timed is not None else ()
            own, other = self._extension(timed), self._extension(voice_timed or 0)
            found = Plan(self.packets, tag_bytes, own, voice, other), []
            self._plans[tag_bytes, timed, voice_timed] = found
        plan, layouts = found
        while len(layouts) <= number:
            layouts.append(plan.layout())
        return layouts[number]

    def _extension(self, timed: int) -> bytes:
        return send_time(timed, self.at_s) if timed else b""


def even_out(packets: Sequence[Packet]) -> None:
    """Decide the padding of packets that never left before: neighbours of about one size get the largest one's."""
    begin = 0
    while begin < len(packets):
        least = most = len(packets[begin].payload)
        end = begin + 1
        while end < len(packets):
            size = len(packets[end].payload)
            if max(most, size) - min(least, size) > MOST_PADDING:
                break
            least, most, end = min(least, size), max(most, size), end + 1
        for packet in packets[begin:end]:
            if packet.padding is None:
                packet.padding = most - len(packet.payload)
        begin = end


def runs(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Where ``sizes`` can be cut into what UDP_SEGMENT sends at once: ``(begin, end)`` of each."""
    found: list[tuple[int, int]] = []
    begin = 0
    while begin < len(sizes):
        size, total, end = sizes[begin], 0, begin
        while end < len(sizes) and end - begin < MOST_SEGMENTS and sizes[end] <= size:
            total += sizes[end]
            if total > MOST_RUN_BYTES and end > begin:
                break
            end += 1
            if sizes[end - 1] < size:  # only the last may be smaller
                break
        found.append((begin, end))
        begin = end
    return found
