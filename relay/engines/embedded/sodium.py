"""AES-256-GCM by libsodium, called without what PyNaCl wraps around it.

A packet's encryption takes less than the call that asks for it: OpenSSL copies a context and reads parameter lists for
each packet, libsodium does not. PyNaCl's own function takes longer still, as it checks and copies everything; so this
module calls the same C function through the same binding. That binding's name (``nacl._sodium``) is PyNaCl's own:
where it is not found, or the processor has no instructions for AES, ``SODIUM`` is ``None``, and ``srtp.py`` seals by
``cryptography``.

The only module that knows PyNaCl. Used by ``srtp.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from relay.engines.embedded.burst import Slot

Pointer = Any  # cffi's "unsigned char *", which has no type of its own
#: crypto_aead_aes256gcm_encrypt: where to, NULL, what, its length, what goes in clear, its length, NULL, the nonce
#: (12 bytes), the key (32). It writes the ciphertext and, behind it, the tag (16 bytes).
Encrypt = Callable[[Pointer, Pointer, bytes, int, Pointer, int, Pointer, bytes, bytes], int]
#: A packet's slot as ``encrypt`` wants it: its header's first byte, sequence, timestamp, marker, offset of its header;
#: the payload and its length, where the header is and how long, where the sealed payload goes.
Place = tuple[int, int, int, int, int, bytes, int, Pointer, int, Pointer]


class Sodium:
    """``encrypt``, and ``null`` for what it is not given."""

    __slots__ = ("_from_buffer", "encrypt", "null")

    def __init__(self, encrypt: Encrypt, null: Pointer, from_buffer: Callable[[str, bytearray], Pointer]) -> None:
        self.encrypt = encrypt
        self.null = null
        self._from_buffer = from_buffer

    def places(self, buffer: bytearray, slots: Sequence[Slot]) -> list[Place]:
        """The same, with addresses. Good for as long as ``buffer`` lives and keeps its size."""
        base = self._from_buffer("unsigned char[]", buffer)
        return [
            (first, sequence, timestamp, marker, at, payload, len(payload), base + at, len(head), base + at + len(head))
            for first, sequence, timestamp, marker, payload, at, head, _ in slots
        ]


def _find() -> Sodium | None:
    try:
        from nacl._sodium import ffi, lib
    except ImportError:
        return None
    encrypt: Encrypt | None = getattr(lib, "crypto_aead_aes256gcm_encrypt", None)
    if encrypt is None or lib.sodium_init() < 0 or not lib.crypto_aead_aes256gcm_is_available():
        return None
    return Sodium(encrypt, ffi.NULL, ffi.from_buffer)


SODIUM = _find()
