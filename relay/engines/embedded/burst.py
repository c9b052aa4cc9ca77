"""Packets that leave for every viewer together, laid out once for all of them.

What differs from viewer to viewer is the header's type, number and source, and the seal. So the places of headers and
sealed payloads in one buffer are found once per burst; each viewer's packets are then written over the last one's, and
leave in as few system calls as the kernel allows. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from relay.engines.embedded.rtp import EXTENDED, HEADER, VERSION, Packet, send_time

UDP_SEGMENT = 103  # linux/udp.h: the kernel cuts one buffer into datagrams of this size (4.18 and later)
SOL_UDP = 17
MOST_SEGMENTS = 64  # UDP_MAX_SEGMENTS of kernels before 6.9
MOST_RUN_BYTES = 60_000  # an IP packet's 65,535, less headers of any kind

#: One packet's place: sequence, timestamp, marker, payload, offset of its header, the header's and the sealed
#: payload's views.
Slot = tuple[int, int, int, bytes, int, memoryview, memoryview]


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
    """A burst's places, for seals of one length and headers with one ``extension`` (or none). ``first`` is what every
    header begins with."""

    __slots__ = ("buffer", "first", "runs", "slots")

    def __init__(self, packets: Sequence[Packet], tag_bytes: int, extension: bytes = b"") -> None:
        head = HEADER.size + len(extension)
        sizes = [head + len(packet.payload) + tag_bytes for packet in packets]
        self.buffer = bytearray(sum(sizes))
        self.first = VERSION | EXTENDED if extension else VERSION
        view = memoryview(self.buffer)
        self.slots: list[Slot] = []
        parts: list[memoryview] = []
        at = 0
        for packet, size in zip(packets, sizes, strict=True):
            part = view[at : at + size]
            parts.append(part)
            header, body = part[:head], part[head:]
            header[HEADER.size :] = extension
            self.slots.append((packet.sequence, packet.timestamp, packet.marker, packet.payload, at, header, body))
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
