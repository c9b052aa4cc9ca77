"""Who this kit is: its Ed25519 key, what the relay told it at enrolment, and the tokens that it signs.

The key is made at the first start and never leaves the kit. Used by ``kit.py`` and, as a ``Bearer``, by everything in
``stream/`` that asks the relay. Not here: the enrolment request (``stream/enrol.py``) and the token's form
(``wire/token.py``).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from appliance.durable import write_durably
from appliance.errors import StateUnusable
from wire import token

log = logging.getLogger(__name__)

KEY_FILE = "kit.key"
CREDENTIALS_FILE = "credentials.json"

#: A Date header has whole seconds, so a smaller difference is no reason to sign anew.
_CLOCK_TOLERANCE_S = 1.5


@dataclass(frozen=True, slots=True)
class Identity:
    """The kit's own key. ``public_key`` is what enrolment sends: 32 raw bytes as base64url without padding."""

    private_key: Ed25519PrivateKey

    @property
    def public_key(self) -> str:
        raw = self.private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    @classmethod
    def load_or_create(cls, state_dir: Path) -> Identity:
        """The key in ``state_dir``, made now if there is none. Raises ``StateUnusable``."""
        path = state_dir / KEY_FILE
        pem = _read(path)
        if pem is None:
            key = Ed25519PrivateKey.generate()
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _write(path, pem, replace=False)
            pem = _read(path) or pem  # another process may have been first; then its key is the kit's
        return cls(_parse_key(pem, path))


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the relay told at enrolment: whom to ask, as whom, and which class this kit teaches."""

    relay_url: str
    kit_id: str
    relay_id: str
    school: str
    room: str
    class_name: str
    class_path: str
    code_digest: str = ""

    def was_given_by(self, code: str) -> bool:
        """Whether this is the code that they were got with. Of those that do not say, every code is."""
        return self.code_digest in {"", digest_of(code)}

    @classmethod
    def load(cls, state_dir: Path) -> Credentials | None:
        """Those kept in ``state_dir``; ``None`` for a kit that is not enrolled yet. Raises ``StateUnusable``."""
        path = state_dir / CREDENTIALS_FILE
        text = _read(path)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=cls, strict=True)
        except msgspec.DecodeError as error:
            raise StateUnusable(f"{path}: damaged ({error}); delete it and enrol this kit again") from error

    def save(self, state_dir: Path) -> None:
        """Keep them in ``state_dir``, in place of older ones, so that a power cut leaves either. Raises
        ``StateUnusable``."""
        _write(state_dir / CREDENTIALS_FILE, msgspec.json.format(msgspec.json.encode(self), indent=2), replace=True)


def digest_of(code: str) -> str:
    """What is kept of an enrolment code: enough to know it again."""
    return hashlib.sha256(code.strip().encode()).hexdigest()


class Authoriser:
    """Signs a fresh token for each request (``stream.bearer.Bearer``).

    A kit has no clock battery: until the network sets its clock it may be years off. The relay's Date header tells.
    """

    def __init__(
        self, identity: Identity, credentials: Credentials, *, unix_s: Callable[[], float] = time.time
    ) -> None:
        self._key = identity.private_key
        self._credentials = credentials
        self._unix_s = unix_s
        self._offset_s = 0.0

    def authorise(self, method: str, path: str, lesson_id: str | None = None) -> str:
        """A token good for this one request to the relay."""
        return token.mint(
            self._key,
            kit_id=self._credentials.kit_id,
            relay_id=self._credentials.relay_id,
            method=method,
            path=path,
            now_unix_s=int(self._unix_s() + self._offset_s),
            lesson_id=lesson_id,
        )

    def learn_time(self, date: str) -> bool:
        """Take the relay's Date header (RFC 9110 §6.6.1) as the time. True if that changed what tokens say."""
        try:
            relay_unix_s = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            return False
        offset_s = relay_unix_s - self._unix_s()
        if abs(offset_s - self._offset_s) < _CLOCK_TOLERANCE_S:
            return False
        log.warning("the relay's clock is %+.0f s from this kit's; tokens follow the relay's", offset_s)
        self._offset_s = offset_s
        return True


def _parse_key(pem: bytes, path: Path) -> Ed25519PrivateKey:
    advice = "restore it, or delete it and enrol this kit again"
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StateUnusable(f"{path}: not a private key; {advice}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StateUnusable(f"{path}: not an Ed25519 key; {advice}")
    return key


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateUnusable(f"{path}: cannot be read ({error.strerror}); check its owner and kit.state_dir") from error


def _write(path: Path, content: bytes, *, replace: bool) -> None:
    try:
        write_durably(path, content, replace=replace)
    except OSError as error:
        raise StateUnusable(f"{path}: cannot be written ({error.strerror}); check kit.state_dir") from error
