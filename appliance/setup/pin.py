"""The setup page's PIN: eight digits of this kit alone, kept as a salted hash. There is no default.

Set by the card's file (``boot/apply.py``), by ``parta-kit setup-pin``, or by the kit's first start, which writes it to
the console once. Blocks (a hash takes a Pi some hundred milliseconds, on purpose): call it in a thread. Not here: how
often one may guess (``gate.py``).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

import msgspec

from appliance.durable import write_durably
from appliance.errors import StateUnusable

PIN_FILE = "setup-pin.json"
DIGITS = 8
#: scrypt's cost (RFC 7914): 16 MiB, which a Zero 2 W can spare.
_COST, _BLOCK, _LANES = 1 << 14, 8, 1
_FORM = re.compile(rf"[0-9]{{{DIGITS}}}")


class StoredPin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept, in hexadecimal."""

    salt: str
    digest: str


def new_pin() -> str:
    """A PIN that nobody knows yet."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def is_pin(text: str) -> bool:
    """Whether this could be one."""
    return _FORM.fullmatch(text) is not None


def spoken(pin: str) -> str:
    """The PIN as people read it out."""
    return f"{pin[:4]} {pin[4:]}"


def set_pin(state_dir: Path, pin: str) -> None:
    """From now on this is it, and whoever is in with the one before is out. Raises ``StateUnusable``."""
    salt = secrets.token_bytes(16)
    kept = StoredPin(salt=salt.hex(), digest=_digest(pin, salt).hex())
    path = state_dir / PIN_FILE
    try:
        write_durably(path, msgspec.json.encode(kept))
    except OSError as error:
        raise StateUnusable(f"{path}: cannot be written ({error.strerror}); check kit.state_dir") from error


def stored_pin(state_dir: Path) -> StoredPin | None:
    """What is kept; None before the first start. Raises ``StateUnusable``."""
    path = state_dir / PIN_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredPin)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise StateUnusable(f"{path}: cannot be read ({error}); set a new one with `parta-kit setup-pin`") from error


def is_right(kept: StoredPin, pin: str) -> bool:
    """Whether this is the PIN; takes as long for a wrong one."""
    return hmac.compare_digest(_digest(pin, bytes.fromhex(kept.salt)), bytes.fromhex(kept.digest))


def _digest(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, dklen=32)
