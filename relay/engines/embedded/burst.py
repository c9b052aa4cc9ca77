"""Packets that leave for every viewer together, laid out once for all of them.

What differs from viewer to viewer is the header's type, number and source, and the seal. So the places of headers and
sealed payloads in one buffer are found once per burst; each viewer's packets are then written over the last one's, and
leave in as few system calls as the kernel allows. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from relay.engines.embedded.rtp import HEADER, Packet

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
    """A burst's places, for seals of one length."""

    __slots__ = ("buffer", "runs", "slots")

    def __init__(self, packets: Sequence[Packet], tag_bytes: int) -> None:
        extra = HEADER.size + tag_bytes
        sizes = [extra + len(packet.payload) for packet in packets]
        self.buffer = bytearray(sum(sizes))
        view = memoryview(self.buffer)
        self.slots: list[Slot] = []
        parts: list[memoryview] = []
        at = 0
        for packet, size in zip(packets, sizes, strict=True):
            part = view[at : at + size]
            parts.append(part)
            header, body = part[: HEADER.size], part[HEADER.size :]
            self.slots.append((packet.sequence, packet.timestamp, packet.marker, packet.payload, at, header, body))
            at += size
        self.runs: list[Run] = []
        at = 0
        for begin, end in runs(sizes):
            length = sum(sizes[begin:end])
            self.runs.append(Run(view[at : at + length], sizes[begin], parts[begin:end]))
            at += length


class Burst:
    """Some packets of one timeline, in order. ``first`` is the first one's sequence number."""

    __slots__ = ("_layouts", "first", "octets", "packets")

    def __init__(self, packets: Sequence[Packet]) -> None:
        self.packets = packets
        self.first = packets[0].sequence
        self.octets = sum([len(packet.payload) for packet in packets])
        self._layouts: dict[int, Layout] = {}

    def layout(self, tag_bytes: int) -> Layout:
        """The places for seals that make a packet ``tag_bytes`` longer."""
        found = self._layouts.get(tag_bytes)
        if found is None:
            found = self._layouts[tag_bytes] = Layout(self.packets, tag_bytes)
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
