"""Names and secrets: ids, class links, enrol codes and stream keys. Pure, apart from the system's randomness.

Links are kept as they are, because the page's address has to be shown again. Codes and stream keys are kept as digests.
"""

from __future__ import annotations

import hashlib
import re
import secrets

LINK_BYTES = 16  # 128 bits: 22 characters of base64url
STREAM_KEY_BYTES = 32
CODE_LENGTH = 8  # 31⁸ ≈ 2⁴⁰: with expiry, single use and rate limits, out of reach of guessing, and still easy to type
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # without 0 O 1 I L, which people mix up
_LINK = re.compile(r"[A-Za-z0-9_-]{22}")
_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """A fresh id: 32 hex digits."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an id."""
    return _ID.fullmatch(text) is not None


def new_link() -> str:
    """A fresh class link."""
    return secrets.token_urlsafe(LINK_BYTES)


def is_link(text: str) -> bool:
    """Whether ``text`` has the form of a class link."""
    return _LINK.fullmatch(text) is not None


def lesson_link_digest(token: str) -> str:
    """What is kept of the token in a link to one lesson, which is made as a class link is. It has 128 random bits."""
    return hashlib.sha256(f"parta lesson link\0{token}".encode()).hexdigest()


def new_code() -> str:
    """A fresh enrol code, as it is shown: two groups of four."""
    letters = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def plain_code(typed: str) -> str | None:
    """An enrol code as it is meant, however it was typed (case, dashes, spaces), or ``None`` for what cannot be one."""
    code = re.sub(r"[\s–—-]", "", typed).upper()
    return code if len(code) == CODE_LENGTH and set(code) <= set(CODE_ALPHABET) else None


def code_digest(code: str, relay_id: str) -> str:
    """What is kept of a plain code. Looked up by equality: timing tells about the digest, not about the code."""
    return hashlib.sha256(f"parta enrol code\0{relay_id}\0{code}".encode()).hexdigest()


def new_stream_key() -> str:
    """A fresh stream key; the prefix lets people and secret scanners see what it is."""
    return f"parta_{secrets.token_urlsafe(STREAM_KEY_BYTES)}"


def stream_key_digest(key: str) -> str:
    """What is kept of a stream key. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()
