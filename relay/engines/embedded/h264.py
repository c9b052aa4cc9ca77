"""Where a key frame starts, told from an RTP payload (RFC 6184). Pure; nothing is decoded."""

from __future__ import annotations

_IDR = 5
_SPS = 7
_STAP_A = 24
_FU_A = 28
_KEY = frozenset({_IDR, _SPS})


def starts_key_frame(payload: bytes) -> bool:
    """Whether this packet holds a sequence parameter set, or the first byte of an IDR picture."""
    if len(payload) < 2:
        return False
    kind = payload[0] & 0x1F
    if kind == _FU_A:
        return payload[1] & 0x9F == 0x80 | _IDR
    if kind == _STAP_A:
        return _holds_key_unit(payload)
    return kind in _KEY


def _holds_key_unit(payload: bytes) -> bool:
    position = 1
    while position + 2 < len(payload):
        if payload[position + 2] & 0x1F in _KEY:
            return True
        position += 2 + int.from_bytes(payload[position : position + 2], "big")
    return False
