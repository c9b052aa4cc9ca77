"""RTCP (RFC 3550 §6, RFC 4585, RFC 5104, REMB): reading compound packets and writing the ones that the relay sends.

Pure. Unknown packet types are skipped; anything malformed rejects the whole compound.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

SR, RR, SDES, BYE, RTPFB, PSFB = 200, 201, 202, 203, 205, 206
_NACK, _PLI, _FIR, _APP = 1, 1, 4, 15
_HEADER = struct.Struct("!BBH")
_BLOCK = struct.Struct("!IB3sIIII")
_SENDER_INFO = struct.Struct("!QIII")
_MAX_BLOCKS = 31


class RtcpError(ValueError):
    """Not an RTCP compound packet."""


class ReportBlock(NamedTuple):
    """What a receiver says about one source. ``lost`` is signed 24 bits; ``fraction_lost`` is in 1/256."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    lsr: int
    dlsr: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """``ntp`` is 64-bit NTP time, ``rtp`` the same instant on the stream's clock."""

    ssrc: int
    ntp: int
    rtp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...]


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """Reception as a viewer sees it."""

    ssrc: int
    blocks: tuple[ReportBlock, ...]


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets of ``media_ssrc`` that never came."""

    media_ssrc: int
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyFrameRequest:
    """A PLI, or a FIR."""

    media_ssrc: int


@dataclass(frozen=True, slots=True)
class Remb:
    """What a receiver thinks that its line bears, in b/s."""

    bitrate_bps: int


@dataclass(frozen=True, slots=True)
class Bye:
    """Sources that end."""

    ssrcs: tuple[int, ...]


Item = SenderReport | ReceiverReport | Nack | KeyFrameRequest | Remb | Bye


def read(data: bytes) -> list[Item]:
    """The known items of a compound (or reduced-size, RFC 5506) packet. Raises ``RtcpError``."""
    items: list[Item] = []
    position = 0
    while position < len(data):
        if len(data) - position < 4:
            raise RtcpError("header is cut off")
        first, kind, words = _HEADER.unpack_from(data, position)
        end = position + 4 + 4 * words
        if first & 0xC0 != 0x80 or end > len(data):
            raise RtcpError("wrong version, or longer than the datagram")
        body = data[position + 4 : end]
        if first & 0x20:
            body = _without_padding(body)
        items += _read_one(kind, first & 0x1F, body)
        position = end
    return items


def _without_padding(body: bytes) -> bytes:
    if not body or not 0 < body[-1] <= len(body):
        raise RtcpError("impossible padding")
    return body[: -body[-1]]


def _read_one(kind: int, count: int, body: bytes) -> Iterable[Item]:
    if kind in (SR, RR, RTPFB, PSFB) and len(body) < 4:
        raise RtcpError("no sender")
    if kind == SR:
        return (_read_sr(count, body),)
    if kind == RR:
        return (ReceiverReport(_u32(body, 0), _read_blocks(count, body[4:])),)
    if kind == BYE:
        if len(body) < 4 * count:
            raise RtcpError("BYE is cut off")
        return (Bye(struct.unpack_from(f"!{count}I", body)),)
    if kind == RTPFB and count == _NACK:  # other formats (transport-cc) are not NACKs
        return (_read_nack(body),)
    if kind == PSFB:
        return _read_psfb(count, body)
    return ()


def _u32(body: bytes, position: int) -> int:
    return int.from_bytes(body[position : position + 4], "big")


def _read_sr(count: int, body: bytes) -> SenderReport:
    if len(body) < 24:
        raise RtcpError("SR is cut off")
    ntp, rtp, packets, octets = _SENDER_INFO.unpack_from(body, 4)
    return SenderReport(_u32(body, 0), ntp, rtp, packets, octets, _read_blocks(count, body[24:]))


def _read_blocks(count: int, body: bytes) -> tuple[ReportBlock, ...]:
    if len(body) < count * _BLOCK.size:
        raise RtcpError("report blocks are cut off")
    found = []
    for position in range(0, count * _BLOCK.size, _BLOCK.size):
        ssrc, fraction, lost, highest, jitter, lsr, dlsr = _BLOCK.unpack_from(body, position)
        found.append(ReportBlock(ssrc, fraction, int.from_bytes(lost, "big", signed=True), highest, jitter, lsr, dlsr))
    return tuple(found)


def _read_nack(body: bytes) -> Nack:
    if len(body) < 12 or len(body) % 4:
        raise RtcpError("NACK is cut off")
    sequences: list[int] = []
    for packet_id, mask in struct.iter_unpack("!HH", body[8:]):
        sequences.append(packet_id)
        sequences += [(packet_id + 1 + bit) & 0xFFFF for bit in range(16) if mask >> bit & 1]
    return Nack(_u32(body, 4), tuple(sequences))


def _read_psfb(fmt: int, body: bytes) -> Iterable[Item]:
    if len(body) < 8:
        raise RtcpError("feedback is cut off")
    if fmt == _PLI:
        return (KeyFrameRequest(_u32(body, 4)),)
    if fmt == _FIR:
        return tuple(KeyFrameRequest(_u32(body, position)) for position in range(8, len(body) - 7, 8))
    if fmt == _APP and body[8:12] == b"REMB" and len(body) >= 16:
        word = int.from_bytes(body[13:16], "big")
        return (Remb((word & 0x3FFFF) << (word >> 18)),)
    return ()


def _packet(count: int, kind: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _write_block(block: ReportBlock) -> bytes:
    lost = max(-0x800000, min(0x7FFFFF, block.lost)).to_bytes(3, "big", signed=True)
    return _BLOCK.pack(
        block.ssrc, block.fraction_lost, lost, block.highest & 0xFFFFFFFF, block.jitter, block.lsr, block.dlsr
    )


def receiver_report(ssrc: int, blocks: Sequence[ReportBlock] = ()) -> bytes:
    """An RR; without blocks it is the smallest lawful head of a compound packet."""
    body = ssrc.to_bytes(4, "big") + b"".join(_write_block(block) for block in blocks[:_MAX_BLOCKS])
    return _packet(min(len(blocks), _MAX_BLOCKS), RR, body)


def sender_report(ssrc: int, ntp: int, rtp: int, packets: int, octets: int) -> bytes:
    """An SR without blocks: the relay receives nothing from a viewer."""
    body = ssrc.to_bytes(4, "big") + _SENDER_INFO.pack(ntp, rtp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    return _packet(0, SR, body)


def cname(ssrc: int, name: str) -> bytes:
    """An SDES with the CNAME, which every compound packet owes (RFC 3550 §6.1)."""
    text = name.encode()
    item = ssrc.to_bytes(4, "big") + bytes((1, len(text))) + text
    return _packet(1, SDES, item + bytes(4 - len(item) % 4))  # at least one zero ends the list


def nack(sender_ssrc: int, media_ssrc: int, sequences: Sequence[int]) -> bytes:
    """A generic NACK for 16-bit ``sequences`` in sending order."""
    pairs: list[tuple[int, int]] = []
    for sequence in sequences:
        step = (sequence - pairs[-1][0]) & 0xFFFF if pairs else 0
        if pairs and 0 < step <= 16:
            pairs[-1] = pairs[-1][0], pairs[-1][1] | 1 << step - 1
        elif not pairs or step:
            pairs.append((sequence, 0))
    body = struct.pack("!II", sender_ssrc, media_ssrc) + b"".join(struct.pack("!HH", *pair) for pair in pairs)
    return _packet(_NACK, RTPFB, body)


def pli(sender_ssrc: int, media_ssrc: int) -> bytes:
    """A picture-loss indication."""
    return _packet(_PLI, PSFB, struct.pack("!II", sender_ssrc, media_ssrc))
