"""A channel's own numbering of one kind of media, and its recent past.

Publishers come and go with sequence numbers and timestamps of their own; viewers see one stream that never jumps. Each
publisher's source is shifted once onto this timeline, so that a packet costs two additions however many watch. The
ring answers NACKs and holds the newest group of pictures for whoever joins. Pure; times in seconds.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from relay.engines.embedded.agreement import CLOCK_RATES, Kind
from relay.engines.embedded.h264 import starts_key_frame
from relay.engines.embedded.rtp import TIMESTAMP_MASK, Packet

RING: dict[Kind, int] = {"video": 2048, "audio": 1024}  # 8 s of 1.7 Mb/s, 20 s of voice
GOP_PACKETS = 1500  # a longer group of pictures is not replayed: catching up would take longer than a new key frame
GOP_BYTES = 2 * 1024 * 1024
RESTART_GAP = 100  # sequence numbers and milliseconds alike: enough to be told from loss, too little to be felt
_SILENCE_BYTES = 3  # Opus: a packet this small is DTX or digital silence


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A key frame that is whole: packets ``first`` up to, not including, ``end``, ``octets`` of payload. It began to
    arrive at ``at_s``."""

    first: int
    end: int
    timestamp: int
    octets: int
    at_s: float


class Timeline:
    """One kind of media of one channel. ``highest`` is the newest sequence number, -1 before the first."""

    __slots__ = (
        "_born_s",
        "_frame",
        "_gop_timestamp",
        "_mask",
        "_origin",
        "_ring",
        "_whole",
        "clock_rate",
        "gop_start",
        "groups",
        "highest",
        "key_at_s",
        "kind",
        "last_at_s",
        "loud_at_s",
        "newest_timestamp",
        "octets",
        "size",
    )

    def __init__(self, kind: Kind, now_s: float) -> None:
        self.kind = kind
        self.clock_rate = CLOCK_RATES[kind]
        self.highest = -1
        self.newest_timestamp = 0
        self.octets = 0  # of payload, so far
        self.gop_start: int | None = None
        self.groups = 0  # that have started so far
        self.last_at_s = self.key_at_s = self.loud_at_s = float("-inf")
        self._gop_timestamp: int | None = None
        self._frame = (-1, 0)  # timestamp and first sequence number of the newest picture
        self.size = RING[kind]  # packets that are kept
        self._ring: list[Packet | None] = [None] * self.size
        self._mask = self.size - 1
        self._born_s = now_s
        self._origin = secrets.randbits(32)
        self._whole: KeyFrame | None = None

    def shift_for(self, sequence: int, timestamp: int, now_s: float) -> tuple[int, int]:
        """What to add to a new source's sequence numbers and timestamps, so that it goes on where the last one
        stopped, as much later as it really is."""
        self.gop_start = self._gop_timestamp = None
        at = self._origin + int((now_s - self._born_s) * self.clock_rate)
        if self.highest >= 0:
            ahead = (at - self.newest_timestamp) & TIMESTAMP_MASK
            if ahead == 0 or ahead >= 0x80000000:  # the last source ran ahead of the clock
                at = self.newest_timestamp + RESTART_GAP * self.clock_rate // 1000
        return self.highest + 1 - sequence, (at - timestamp) & TIMESTAMP_MASK

    def get(self, sequence: int) -> Packet | None:
        """The packet with this number, if it is still here."""
        found = self._ring[sequence & self._mask]
        return found if found is not None and found.sequence == sequence else None

    def put(self, packet: Packet, now_s: float) -> bool:
        """Keep a packet. ``False``: it is too old, or is here already."""
        sequence = packet.sequence
        if sequence <= self.highest - self.size or sequence < 0 or self.get(sequence) is not None:
            return False
        self._ring[sequence & self._mask] = packet
        self.octets += len(packet.payload)
        if sequence > self.highest:
            self.highest = sequence
            self.newest_timestamp = packet.timestamp
        if packet.payload:  # padding alone, such as a sender's probe of the line, is no picture and no voice
            self.last_at_s = now_s
        if self.kind == "audio":
            if len(packet.payload) > _SILENCE_BYTES:
                self.loud_at_s = now_s
        else:
            self._see_picture(packet, now_s)
        return True

    def _see_picture(self, packet: Packet, now_s: float) -> None:
        """Note where pictures and groups of pictures start. A key frame starts with its picture's first packet, which
        may be a delimiter, or come late."""
        timestamp, first = self._frame
        if packet.timestamp != timestamp and packet.sequence == self.highest:
            self._frame = timestamp, first = packet.timestamp, packet.sequence
        if packet.timestamp == self._gop_timestamp:
            self.gop_start = min(packet.sequence, self.gop_start) if self.gop_start is not None else packet.sequence
        elif starts_key_frame(packet.payload) and (self.gop_start is None or packet.sequence > self.gop_start):
            self.gop_start = min(first, packet.sequence) if timestamp == packet.timestamp else packet.sequence
            self._gop_timestamp = packet.timestamp
            self.key_at_s = now_s
            self.groups += 1

    def group_of_pictures(self) -> list[Packet]:
        """What a joiner needs to see the newest picture; empty if there is no such group, or it is too large. Packets
        that are missing now are left out, and come when they come."""
        start = self.gop_start
        if start is None or self.highest - start >= GOP_PACKETS:
            return []
        packets = [packet for number in range(start, self.highest + 1) if (packet := self.get(number)) is not None]
        return packets if sum(len(packet.payload) for packet in packets) <= GOP_BYTES else []

    def key_frame(self) -> KeyFrame | None:
        """The newest group's key frame, once all of it is here."""
        start = self.gop_start
        if start is None or (self._whole is not None and self._whole.first == start):
            return self._whole if start is not None else None
        before, packet = self.get(start - 1), self.get(start)
        if packet is None or (before is None and start > 0) or (before and before.timestamp == packet.timestamp):
            return None  # its beginning may be missing
        number, octets, timestamp = start, 0, packet.timestamp
        while packet is not None and packet.timestamp == timestamp:
            number += 1
            octets += len(packet.payload)
            if packet.marker:
                self._whole = KeyFrame(start, number, timestamp, octets, self.key_at_s)
                return self._whole
            packet = self.get(number)
        return None

    def forget_pictures(self) -> None:
        """No joiner may see what was: the publisher has gone."""
        self.gop_start = self._gop_timestamp = None
