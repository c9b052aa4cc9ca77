"""RTP (RFC 3550 §5.1): reading what a publisher sends, and the header that a viewer gets.

Pure. Header extensions are skipped on the way in, and left out on the way out but for the one by which a viewer
measures its line: when the packet left (abs-send-time).
"""

from __future__ import annotations

import struct

HEADER = struct.Struct("!BBHII")
VERSION = 0x80
MARKER = 0x80
SEQUENCE_MASK = 0xFFFF
TIMESTAMP_MASK = 0xFFFFFFFF

EXTENDED = 0x10  # the header has an extension
PADDED = 0x20  # the payload ends with padding, and its last byte says how much
_ONE_BYTE = 0xBEDE  # RFC 8285 §4.2
_SEND_TIME = struct.Struct("!HHI")


class RtpError(ValueError):
    """Not an RTP packet."""


class Packet:
    """One packet on a channel's own timeline: as every viewer gets it, but for its header's viewer-specific part.

    ``sequence`` is extended (it does not wrap), ``marker`` is 0 or ``MARKER``. ``padding``: how many bytes of it follow
    the payload; ``None`` until the packet leaves for the first time, and the same for ever then: two packets with one
    number that differ would give away what AES-GCM authenticates with (RFC 7714 §8.1, RFC 3711 §9.1).
    """

    __slots__ = ("marker", "padding", "payload", "sequence", "timestamp")

    def __init__(self, sequence: int, timestamp: int, marker: int, payload: bytes, padding: int | None = None) -> None:
        self.sequence = sequence
        self.timestamp = timestamp
        self.marker = marker
        self.payload = payload
        self.padding = padding

    @property
    def padded(self) -> bytes:
        """The payload with its padding (RFC 3550 §5.1)."""
        count = self.padding
        return self.payload + bytes(count - 1) + bytes((count,)) if count else self.payload


def read(data: bytes) -> tuple[int, int, int, int, int, bytes]:
    """``(payload_type, marker, sequence, timestamp, ssrc, payload)``, padding removed. Raises ``RtpError``."""
    if len(data) < HEADER.size:
        raise RtpError("shorter than an RTP header")
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    if first & 0xC0 != VERSION:
        raise RtpError("not RTP version 2")
    begin = HEADER.size + 4 * (first & 0x0F)
    if first & EXTENDED:
        if len(data) < begin + 4:
            raise RtpError("header extension is cut off")
        begin += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4], "big")
    end = len(data)
    if first & PADDED:
        end -= data[-1]
        if data[-1] == 0:
            raise RtpError("padding of length 0")
    if begin > end:
        raise RtpError("header or padding is longer than the packet")
    return second & 0x7F, second & MARKER, sequence, timestamp, ssrc, data[begin:end]


def send_time(identifier: int, now_s: float) -> bytes:
    """The header extension abs-send-time with this identifier (1 to 14): the moment of sending on any clock, in
    1/2**18 s and 24 bits (http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time). 8 bytes, to follow an
    ``EXTENDED`` header."""
    element = (identifier << 4 | 2) << 24 | int(now_s * (1 << 18)) & 0xFFFFFF
    return _SEND_TIME.pack(_ONE_BYTE, 1, element)


class Unwrapper:
    """Turns 16-bit sequence numbers into ones that do not wrap (RFC 3711 §3.3.1's guess: the nearest)."""

    __slots__ = ("highest",)

    def __init__(self, first: int) -> None:
        self.highest = first

    def unwrap(self, sequence: int) -> int:
        """The extended number nearest to the highest seen. May be negative for what came before the first."""
        step = (sequence - self.highest) & SEQUENCE_MASK
        if step >= 0x8000:
            return self.highest + step - 0x10000
        self.highest += step
        return self.highest

    def behind(self, sequence: int) -> int:
        """The extended number at or before the highest seen."""
        return self.highest - ((self.highest - sequence) & SEQUENCE_MASK)
