"""Packets that leave for every viewer together, laid out once for all of them.

What differs from viewer to viewer is the header's type, number and source, and the seal. So the places of headers and
sealed payloads in one buffer are found once per burst; each viewer's packets are then written over the last one's, and
leave in as few system calls as the kernel allows: one for neighbours of one size. Publishers cut a picture into packets
that differ by a byte or two (aiortc, Chromium), so what is so close is padded to one size. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

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
    """Neighbours in the buffer that one system call sends: all of ``size`` bytes but the last, which may be smaller.

    ``ancillary`` tells the kernel to cut them apart; ``parts`` are the same packets for where it cannot.
    """

    __slots__ = ("ancillary", "parts", "view")

    def __init__(self, view: memoryview, size: int, parts: Sequence[memoryview]) -> None:
        self.view = view
        self.parts = parts
        self.ancillary = [(SOL_UDP, UDP_SEGMENT, struct.pack("@H", size))] if len(parts) > 1 else None


class Layout:
    """A burst's places, for seals of one length and headers with one ``extension`` (or none)."""

    __slots__ = ("buffer", "runs", "slots")

    def __init__(self, packets: Sequence[Packet], tag_bytes: int, extension: bytes = b"") -> None:
        head = HEADER.size + len(extension)
        payloads = [packet.padded for packet in packets]
        sizes = [head + len(payload) + tag_bytes for payload in payloads]
        self.buffer = bytearray(sum(sizes))
        first = VERSION | EXTENDED if extension else VERSION
        view = memoryview(self.buffer)
        self.slots: list[Slot] = []
        parts: list[memoryview] = []
        at = 0
        for packet, payload, size in zip(packets, payloads, sizes, strict=True):
            part = view[at : at + size]
            parts.append(part)
            header, body = part[:head], part[head:]
            header[HEADER.size :] = extension
            begins = first | PADDED if packet.padding else first
            self.slots.append((begins, packet.sequence, packet.timestamp, packet.marker, payload, at, header, body))
            at += size
        self.runs: list[Run] = []
        at = 0
        for begin, end in runs(sizes):
            length = sum(sizes[begin:end])
            self.runs.append(Run(view[at : at + length], sizes[begin], parts[begin:end]))
            at += length


class Burst:
    """Some packets of one timeline, in order, that leave at ``at_s``: number ``first`` up to before ``end``."""

    __slots__ = ("_layouts", "at_s", "end", "first", "octets", "packets")

    def __init__(self, packets: Sequence[Packet], at_s: float) -> None:
        even_out(packets)
        self.packets = packets
        self.at_s = at_s
        self.first = packets[0].sequence
        self.end = packets[-1].sequence + 1
        self.octets = sum([len(packet.payload) for packet in packets])
        self._layouts: dict[tuple[int, int], Layout] = {}

    def layout(self, tag_bytes: int, timed: int = 0) -> Layout:
        """The places for seals that make a packet ``tag_bytes`` longer. ``timed``: the header extension in which the
        viewer wants to read when packets left; 0: in none."""
        found = self._layouts.get((tag_bytes, timed))
        if found is None:
            extension = send_time(timed, self.at_s) if timed else b""
            found = self._layouts[tag_bytes, timed] = Layout(self.packets, tag_bytes, extension)
        return found


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
