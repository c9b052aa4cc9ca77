"""The short-lived token with which a kit proves who it is: minted on the kit, checked by the relay.

An EdDSA JWT (RFC 7519, RFC 8037). Nothing secret travels: the relay holds the kit's public key from enrolment. A
token is good for one relay (``aud``), one method and path (``mth``, ``pth``; the idea is DPoP's, RFC 9449), once
(``jti``), and for a minute at most. Not here: key storage (``appliance/identity.py``), the memory of used ``jti``
and the look-up of kits (``relay/web/auth.py``).
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TOKEN_LIFETIME_S = 60  # the ceiling: long enough for a slow uplink, useless to whoever finds it in a log
CLOCK_SKEW_S = 5  # what an NTP-disciplined kit may be off; an undisciplined one corrects itself by the Date header
_ALGORITHM = "EdDSA"
_REQUIRED = ["iss", "aud", "iat", "exp", "jti", "mth", "pth"]
_ID = re.compile(r"[0-9a-f]{32}")


class TokenError(Exception):
    """A token that does not hold; the text says which check failed, in words fit for ``WWW-Authenticate``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KitClaims:
    """What a checked token says. ``lesson_id`` is set on tokens that act for one lesson."""

    kit_id: str
    token_id: str
    expires_unix_s: int
    lesson_id: str | None


def mint(
    key: Ed25519PrivateKey,
    *,
    kit_id: str,
    relay_id: str,
    method: str,
    path: str,
    now_unix_s: int,
    lesson_id: str | None = None,
) -> str:
    """Sign a token for one request. ``path`` is the request's path without query, as the relay will see it."""
    claims: dict[str, str | int] = {
        "iss": kit_id,
        "aud": relay_id,
        "iat": now_unix_s,
        "exp": now_unix_s + TOKEN_LIFETIME_S,
        "jti": secrets.token_urlsafe(16),
        "mth": method,
        "pth": path,
    }
    if lesson_id is not None:
        claims["les"] = lesson_id
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": kit_id})


def kit_id_of(token: str) -> str:
    """Whose token this claims to be, *unchecked*: only for finding the key to check it with. Raises ``TokenError``."""
    try:
        kit_id = jwt.get_unverified_header(token).get("kid")
    except jwt.InvalidTokenError as error:
        raise TokenError("malformed token") from error
    if not isinstance(kit_id, str) or not _ID.fullmatch(kit_id):
        raise TokenError("malformed token")
    return kit_id


def check(token: str, key: Ed25519PublicKey, *, relay_id: str, method: str, path: str, now_unix_s: int) -> KitClaims:
    """The claims of a token that holds for this very request. Raises ``TokenError`` for any other."""
    try:
        # Times are checked below against the caller's clock, so that tests and relay agree on what "now" is.
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=relay_id,
            options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidAudienceError as error:
        raise TokenError("token is for another relay") from error
    except jwt.InvalidTokenError as error:
        raise TokenError("token does not verify") from error
    if claims["iss"] != kit_id_of(token):  # the key was found by ``kid``: a kit may speak only for itself
        raise TokenError("token is for another kit")
    issued, expires = claims["iat"], claims["exp"]
    if not isinstance(issued, int) or not isinstance(expires, int):
        raise TokenError("malformed token")
    if expires - issued > TOKEN_LIFETIME_S:
        raise TokenError("token lives too long")
    if now_unix_s > expires + CLOCK_SKEW_S:
        raise TokenError("token has expired")
    if issued > now_unix_s + CLOCK_SKEW_S:
        raise TokenError("token is from the future")
    if (claims["mth"], claims["pth"]) != (method, path):
        raise TokenError("token is for another request")
    lesson_id = claims.get("les")
    if lesson_id is not None and not (isinstance(lesson_id, str) and _ID.fullmatch(lesson_id)):
        raise TokenError("malformed token")
    return KitClaims(
        kit_id=str(claims["iss"]), token_id=str(claims["jti"]), expires_unix_s=expires, lesson_id=lesson_id
    )
