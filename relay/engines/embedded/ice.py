"""ICE-lite (RFC 8445 §2.5): credentials, and the answer to a binding request that proves to know them.

Pure: bytes in, bytes out. Anything that fails a check gets no answer at all, so a stranger learns nothing and cannot
make the relay send. A lite agent sends no checks of its own (RFC 8445 §2.5), with one exception here: before media goes
to a new address, whoever claims it must prove to receive there. Not here: which session a request belongs to
(``demux.py``).
"""

from __future__ import annotations

import hmac
import secrets
import socket
import struct
import zlib
from dataclasses import dataclass

from aioice import stun

_COOKIE = stun.COOKIE.to_bytes(4, "big")
_COOKIE_TOP = stun.COOKIE >> 16
_USERNAME, _MESSAGE_INTEGRITY, _XOR_MAPPED_ADDRESS = 0x0006, 0x0008, 0x0020
_USE_CANDIDATE, _FINGERPRINT = 0x0025, 0x8028
_HEAD_BYTES, _INTEGRITY_BYTES, _FINGERPRINT_BYTES = 20, 24, 8
_DIGEST_BYTES = 20  # HMAC-SHA1
_ATTRIBUTE = struct.Struct("!HH")  # its type, and how many bytes follow
_FINGERPRINT_ATTRIBUTE = struct.Struct("!HHI")
_FINGERPRINT_MASK = 0x5354554E
_BINDING_REQUEST = b"\x00\x01"
_BINDING_SUCCESS = b"\x01\x01"
_PROBE_PRIORITY = 1


@dataclass(frozen=True, slots=True)
class Credentials:
    """One side's user fragment and password (RFC 8839 §5.4)."""

    ufrag: str
    password: str


def _ice_chars(count: int) -> str:
    return secrets.token_urlsafe(count).replace("-", "+").replace("_", "/")


#: What every user fragment that this process gives begins with, so that the kernel can tell ours from a stranger's.
HOUSE = _ice_chars(3)


def new_credentials(house: str = HOUSE) -> Credentials:
    """Fresh ones: ``house`` and 48 random bits, and 144 random bits, in the ice-char alphabet."""
    return Credentials(house + _ice_chars(6), _ice_chars(18))


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A binding request whose integrity holds."""

    transaction_id: bytes
    nominated: bool


def _is_request(data: bytes) -> bool:
    """Whether it has a binding request's head, and its length."""
    return (
        len(data) >= _HEAD_BYTES
        and data[:2] == _BINDING_REQUEST
        and data[4:8] == _COOKIE
        and len(data) == _HEAD_BYTES + int.from_bytes(data[2:4], "big")
    )


def user_of(data: bytes) -> tuple[str, str] | None:
    """``(local, remote)`` user fragments that a binding request claims; ``None`` for anything else.

    Cheap, so that a flood from strangers costs a dictionary look-up and no cryptography.
    """
    if not _is_request(data):
        return None
    position = _HEAD_BYTES
    while position + 4 <= len(data):
        kind, length = _ATTRIBUTE.unpack_from(data, position)
        if kind == _USERNAME:
            local, colon, remote = data[position + 4 : position + 4 + length].decode("latin-1").partition(":")
            return (local, remote) if colon else None
        position += 4 + length + -length % 4
    return None


def read_request(data: bytes, password: str) -> BindingRequest | None:
    """The request, if its MESSAGE-INTEGRITY was made with ``password`` and its FINGERPRINT, the last, holds (RFC 8489
    §14.5, §14.7); else ``None``. What stands between the two is signed by nobody and not read.

    By hand, as ``success`` is.
    """
    if not _is_request(data):
        return None
    signed, nominated, position, last = 0, False, _HEAD_BYTES, len(data) - _FINGERPRINT_BYTES
    while position < last:
        kind, length = _ATTRIBUTE.unpack_from(data, position)
        if not signed and kind == _MESSAGE_INTEGRITY:
            signed = position
        elif not signed and kind == _USE_CANDIDATE:
            nominated = True
        position += 4 + length + -length % 4
    if not signed or position != last or data[last:] != _fingerprint(data[:last]):
        return None
    body = _with_length(data[:signed], signed + _INTEGRITY_BYTES)
    if not hmac.compare_digest(data[signed : signed + _INTEGRITY_BYTES], _integrity(body, password)):
        return None
    return BindingRequest(data[8:20], nominated)


def success(request: BindingRequest, address: tuple[str, int], password: str) -> bytes:
    """The response: the peer's address as seen from here, signed (RFC 8489 §14.2, §14.5, §14.7). Never larger than what
    a full ICE agent asked.

    Written by hand, since every viewer asks each few seconds: a third of what aioice takes for it.
    """
    host = address[0].partition("%")[0]
    family, number = (socket.AF_INET6, 2) if ":" in host else (socket.AF_INET, 1)
    packed = socket.inet_pton(family, host)
    mask = (_COOKIE + request.transaction_id)[: len(packed)]
    hidden = (int.from_bytes(packed, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(packed), "big")
    head = _BINDING_SUCCESS + bytes(2) + _COOKIE + request.transaction_id
    mapped = struct.pack("!HHBBH", _XOR_MAPPED_ADDRESS, 4 + len(packed), 0, number, address[1] ^ _COOKIE_TOP) + hidden
    body = _with_length(head + mapped, len(head + mapped) + _INTEGRITY_BYTES)
    body += _integrity(body, password)
    body = _with_length(body, len(body) + _FINGERPRINT_BYTES)
    return body + _fingerprint(body)


def _with_length(data: bytes, size: int) -> bytes:
    """A message that says that all of it is ``size`` bytes long."""
    return data[:2] + (size - _HEAD_BYTES).to_bytes(2, "big") + data[4:]


def _integrity(data: bytes, password: str) -> bytes:
    """The MESSAGE-INTEGRITY that follows ``data``, which says how long it is with it."""
    return _ATTRIBUTE.pack(_MESSAGE_INTEGRITY, _DIGEST_BYTES) + hmac.digest(password.encode(), data, "sha1")


def _fingerprint(data: bytes) -> bytes:
    """The FINGERPRINT that follows ``data``, likewise."""
    return _FINGERPRINT_ATTRIBUTE.pack(_FINGERPRINT, 4, zlib.crc32(data) ^ _FINGERPRINT_MASK)


def probe(own_ufrag: str, peer: Credentials) -> tuple[bytes, bytes]:
    """``(transaction id, datagram)`` of a binding request that only ``peer`` can answer, and only where it receives."""
    message = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.REQUEST,
        attributes={
            "USERNAME": f"{peer.ufrag}:{own_ufrag}",
            "PRIORITY": _PROBE_PRIORITY,
            "ICE-CONTROLLED": secrets.randbits(64),
        },
    )
    message.add_message_integrity(peer.password.encode())
    return message.transaction_id, bytes(message)


def answered(data: bytes) -> bytes | None:
    """The transaction id that a success response claims to answer; ``None`` for anything else. Cheap."""
    return data[8:20] if len(data) >= 20 and data[:2] == _BINDING_SUCCESS and data[4:8] == _COOKIE else None


def proves(data: bytes, peer: Credentials) -> bool:
    """Whether a response was signed by ``peer``."""
    try:
        return bool(stun.parse_message(data).check_message_integrity(peer.password.encode()))
    except (ValueError, struct.error, IndexError):
        return False
