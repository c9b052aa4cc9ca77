"""Capture times as RTP timestamps, and the sender reports that say how the two belong together.

Pure. Picture and voice leave with different delays; a receiver lines them up by each stream's sender reports (RFC 3550
§6.4.1), so both streams' reports must speak of the *capture* time line: NTP time = the lesson's start + capture time.
Used by ``session.py``. Not here: RTP's random offsets, which aiortc draws and ``SenderTimeline`` learns.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

PICTURE_RATE_HZ = 90_000  # RFC 6184 §5.1
VOICE_RATE_HZ = 48_000  # RFC 7587 §4.1
VOICE_FRAME_TICKS = 960  # 20 ms
_VOICE_FRAME_US = 20_000
_NTP_EPOCH_S = 2_208_988_800  # 1900 to 1970, RFC 5905 §6
_SENDER_REPORT, _SOURCE_DESCRIPTION = 200, 202
_SENDER_INFO = struct.Struct("!QLLL")  # NTP, RTP, packets, octets: RFC 3550 §6.4.1
_SENDER_INFO_AT = 8
_RTP_HEADER = struct.Struct("!BBHLL")


def picture_ticks(capture_us: int) -> int:
    """A picture's capture time in ticks of RTP's picture clock."""
    return capture_us * 9 // 100


@dataclass(slots=True)
class VoiceTicks:
    """Voice frames' capture times in ticks of RTP's voice clock.

    Back-to-back frames are exactly one frame apart, however capture times wobble: a receiver's jitter buffer takes one
    missing tick for a lost packet, and smears. Slow drift is left to the sender reports, gaps stay whole frames.
    """

    _last_us: int | None = None
    _last_ticks: int = 0

    def ticks(self, capture_us: int) -> int:
        """Ticks for the frame captured from ``capture_us`` on. Call once for each frame, in order."""
        if self._last_us is None:
            self._last_ticks = capture_us * 48 // 1000
        else:
            frames = max(1, round((capture_us - self._last_us) / _VOICE_FRAME_US))
            self._last_ticks += frames * VOICE_FRAME_TICKS
        self._last_us = capture_us
        return self._last_ticks


def rtp_payload(packet: bytes) -> bytes:
    """An RTP packet without its header; aiortc sends neither contributing sources nor padding."""
    extension = 4 + 4 * int.from_bytes(packet[14:16], "big") if packet[0] & 0x10 else 0
    return packet[_RTP_HEADER.size + extension :]


def rtp_payload_octets(packet: bytes) -> int:
    """The size of an RTP packet without its header: what a sender report counts."""
    return len(rtp_payload(packet))


@dataclass(slots=True)
class SenderTimeline:
    """One stream's RTP clock against the lesson clock, and what it has sent; makes the stream's sender reports."""

    rate_hz: int
    started_unix_us: int
    packets: int = 0
    octets: int = 0
    _timestamp: int = field(default=0, init=False)
    _capture_us: int | None = field(default=None, init=False)

    def captured(self, capture_us: int, timestamp: int) -> None:
        """Note that what was captured at ``capture_us`` leaves with this RTP timestamp."""
        self._capture_us, self._timestamp = capture_us, timestamp

    def sent(self, payload_octets: int) -> None:
        """Count one packet that left."""
        self.packets = (self.packets + 1) & 0xFFFFFFFF
        self.octets = (self.octets + payload_octets) & 0xFFFFFFFF

    def report(self, now_us: int) -> tuple[int, int]:
        """The pair (NTP time, RTP timestamp) for ``now_us`` on the lesson clock: the same instant on both clocks."""
        if self._capture_us is None:
            raise ValueError("nothing was sent yet")
        ahead_ticks = round((now_us - self._capture_us) * self.rate_hz / 1_000_000)
        return ntp_time(self.started_unix_us + now_us), (self._timestamp + ahead_ticks) & 0xFFFFFFFF

    def first_report(self, ssrc: int, name: str, now_us: int) -> bytes:
        """A compound of a sender report and the CNAME (RFC 3550 §6.1 wants both), for before aiortc's first one."""
        item = bytes((1, len(name.encode()))) + name.encode()
        chunk = ssrc.to_bytes(4, "big") + item
        chunk += bytes(4 - len(chunk) % 4)  # at least one null ends the items
        report = struct.pack("!BBHL", 0x80, _SENDER_REPORT, 6, ssrc) + bytes(_SENDER_INFO.size)
        return self.rewrite(report + struct.pack("!BBH", 0x81, _SOURCE_DESCRIPTION, len(chunk) // 4) + chunk, now_us)

    def rewrite(self, compound: bytes, now_us: int) -> bytes:
        """A compound RTCP packet that begins with this stream's sender report, with the truth in it."""
        ntp, timestamp = self.report(now_us)
        head, tail = compound[:_SENDER_INFO_AT], compound[_SENDER_INFO_AT + _SENDER_INFO.size :]
        return head + _SENDER_INFO.pack(ntp, timestamp, self.packets, self.octets) + tail


def ntp_time(unix_us: int) -> int:
    """µs since 1970 as a 64-bit NTP timestamp (RFC 5905 §6): seconds since 1900, and a 32-bit fraction."""
    seconds, micros = divmod(unix_us, 1_000_000)
    return ((seconds + _NTP_EPOCH_S) & 0xFFFFFFFF) << 32 | (micros << 32) // 1_000_000


def sender_report_ssrc(packet: bytes) -> int | None:
    """Whose sender report this RTCP compound begins with; ``None`` if it begins with something else."""
    if len(packet) < _SENDER_INFO_AT + _SENDER_INFO.size or packet[1] != _SENDER_REPORT:
        return None
    return int.from_bytes(packet[4:8], "big")


def is_rtcp(packet: bytes) -> bool:
    """RTCP and RTP share the port; packet types 192–223 are RTCP (RFC 5761 §4)."""
    return len(packet) >= 2 and 192 <= packet[1] <= 223


def rtp_header(packet: bytes) -> tuple[int, int, int]:
    """An RTP packet's (sequence number, timestamp, SSRC)."""
    _, _, sequence, timestamp, ssrc = _RTP_HEADER.unpack_from(packet)
    return sequence, timestamp, ssrc
