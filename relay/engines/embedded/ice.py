"""ICE-lite (RFC 8445 §2.5): credentials, and the answer to a binding request that proves to know them.

Pure: bytes in, bytes out. Anything that fails a check gets no answer at all, so a stranger learns nothing and cannot
make the relay send. A lite agent sends no checks of its own (RFC 8445 §2.5), with one exception here: before media goes
to a new address, whoever claims it must prove to receive there. Not here: which session a request belongs to
(``demux.py``).
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import struct
import zlib
from dataclasses import dataclass

from aioice import stun

_COOKIE = stun.COOKIE.to_bytes(4, "big")
_USERNAME, _MESSAGE_INTEGRITY, _XOR_MAPPED_ADDRESS, _FINGERPRINT = 0x0006, 0x0008, 0x0020, 0x8028
_HEAD_BYTES, _INTEGRITY_BYTES, _FINGERPRINT_BYTES = 20, 24, 8
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
    remote_ufrag: str
    nominated: bool


def user_of(data: bytes) -> tuple[str, str] | None:
    """``(local, remote)`` user fragments that a binding request claims; ``None`` for anything else.

    Cheap, so that a flood from strangers costs a dictionary look-up and no cryptography.
    """
    if len(data) < 20 or data[:2] != _BINDING_REQUEST or data[4:8] != _COOKIE:
        return None
    if len(data) != 20 + int.from_bytes(data[2:4], "big"):
        return None
    position = 20
    while position + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, position)
        if kind == _USERNAME:
            local, colon, remote = data[position + 4 : position + 4 + length].decode("latin-1").partition(":")
            return (local, remote) if colon else None
        position += 4 + length + -length % 4
    return None


def read_request(data: bytes, password: str) -> BindingRequest | None:
    """The request, if its MESSAGE-INTEGRITY was made with ``password`` and its FINGERPRINT holds; else ``None``."""
    try:
        message = stun.parse_message(data)
    except (ValueError, struct.error, IndexError):  # aioice lets struct's own error through on a cut-off attribute
        return None
    if "FINGERPRINT" not in message.attributes or not message.check_message_integrity(password.encode()):
        return None
    remote = str(message.attributes.get("USERNAME", "")).partition(":")[2]
    return BindingRequest(message.transaction_id, remote, "USE-CANDIDATE" in message.attributes)


def success(request: BindingRequest, address: tuple[str, int], password: str) -> bytes:
    """The response: the peer's address as seen from here, signed (RFC 8489 §14.2, §14.5, §14.7). Never larger than what
    a full ICE agent asked.

    Written by hand, since every viewer asks each few seconds: a third of what aioice takes for it.
    """
    host = ipaddress.ip_address(address[0].partition("%")[0])
    mask = _COOKIE + request.transaction_id
    port = (address[1] ^ stun.COOKIE >> 16).to_bytes(2, "big")
    hidden = (int(host) ^ int.from_bytes(mask[: len(host.packed)], "big")).to_bytes(len(host.packed), "big")
    mapped = bytes((0, 1 if host.version == 4 else 2)) + port + hidden
    body = struct.pack("!HH", _XOR_MAPPED_ADDRESS, len(mapped)) + mapped
    body = _head(request, len(body) + _INTEGRITY_BYTES) + body
    digest = hmac.digest(password.encode(), body, "sha1")
    body = _head(request, len(body) + _INTEGRITY_BYTES + _FINGERPRINT_BYTES - _HEAD_BYTES) + body[_HEAD_BYTES:]
    body += struct.pack("!HH", _MESSAGE_INTEGRITY, len(digest)) + digest
    return body + struct.pack("!HHI", _FINGERPRINT, 4, zlib.crc32(body) ^ _FINGERPRINT_MASK)


def _head(request: BindingRequest, length: int) -> bytes:
    return _BINDING_SUCCESS + length.to_bytes(2, "big") + _COOKIE + request.transaction_id


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
