"""What the receiver says about our streams: RTCP compounds read down to what the kit acts on.

Pure, and never raises: a malformed tail ends the reading. Read here and not by aiortc, because aiortc keeps
picture-loss requests to its own encoders, never routes a FIR whose media SSRC is 0 (RFC 5104 §4.3.1.2 demands 0), and
takes every transport feedback for a NACK. Used by ``session.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_SENDER_REPORT, _RECEIVER_REPORT, _TRANSPORT_FEEDBACK, _PAYLOAD_FEEDBACK = 200, 201, 205, 206  # RFC 3550, RFC 4585
_NACK = 1  # RFC 4585 §6.2.1
_PLI, _FIR = 1, 4  # RFC 4585 §6.3.1, RFC 5104 §4.3.1
_REPORT_BYTES = 24
_SENDER_INFO_BYTES = 20


@dataclass(slots=True)
class Feedback:
    """One compound's content. ``lost`` holds, by SSRC, the fraction lost since the report before (0 to 1)."""

    picture_lost: bool = False
    nacked: int = 0
    lost: dict[int, float] = field(default_factory=dict)


def read_feedback(compound: bytes, *, picture_ssrc: int) -> Feedback:
    """Read a decrypted RTCP compound for the picture stream ``picture_ssrc`` and all receiver reports."""
    found = Feedback()
    for kind, count, body in _packets(compound):
        if kind == _RECEIVER_REPORT:
            found.lost.update(_reports(body[4:], count))
        elif kind == _SENDER_REPORT:
            found.lost.update(_reports(body[4 + _SENDER_INFO_BYTES :], count))
        elif kind == _PAYLOAD_FEEDBACK:
            found.picture_lost |= _asks_for_picture(count, body, picture_ssrc)
        elif kind == _TRANSPORT_FEEDBACK and count == _NACK:
            found.nacked += sum(1 + _word(body, at + 2, 2).bit_count() for at in range(8, len(body) - 3, 4))
    return found


def _packets(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Each packet's type, count (or format) and body."""
    at = 0
    while at + 4 <= len(compound) and compound[at] >> 6 == 2:
        end = at + 4 + 4 * _word(compound, at + 2, 2)
        if end > len(compound):
            return
        yield compound[at + 1], compound[at] & 0x1F, compound[at + 4 : end]
        at = end


def _reports(blocks: bytes, count: int) -> Iterator[tuple[int, float]]:
    for at in range(0, min(count * _REPORT_BYTES, len(blocks) - _REPORT_BYTES + 1), _REPORT_BYTES):
        yield _word(blocks, at, 4), blocks[at + 4] / 256


def _asks_for_picture(form: int, body: bytes, picture_ssrc: int) -> bool:
    if form == _PLI:
        return _word(body, 4, 4) == picture_ssrc
    if form == _FIR:
        return any(_word(body, at, 4) == picture_ssrc for at in range(8, len(body) - 7, 8))
    return False


def _word(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
