"""Who asks: a kit by its self-signed token, or a foreign publisher by its stream key (docs/protocol.md, "Who may ask").

Pupils need nothing but the class link. Memory of used tokens is per kit and bounded, and only tokens that verify enter
it, so a stranger cannot fill it. It lives as long as the process: a token of the last minute before a restart could be
used once more after it, for the same request.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import hdrs, web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from relay.classroom.links import stream_key_digest
from relay.classroom.register import Register
from relay.classroom.school import Place
from relay.errors import NotAuthorised
from relay.web.context import RELAY
from wire.token import CLOCK_SKEW_S, KitClaims, TokenError, check, kit_id_of

MAX_BEARER = 4096
MAX_TOKENS_PER_MINUTE = 1200  # twenty requests a second, sustained: no honest kit
STREAM_KEY_PREFIX = "parta_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Somebody who may publish. ``lesson_id`` is ``None`` for a foreign one, whose lesson the relay makes."""

    publisher_id: str
    place: Place
    lesson_id: str | None
    foreign: bool


class UsedTokens:
    """The ids of tokens that were used and have not expired."""

    def __init__(self) -> None:
        self._of_kit: defaultdict[str, OrderedDict[str, int]] = defaultdict(OrderedDict)

    def use(self, claims: KitClaims, now_unix_s: int) -> None:
        """Raises ``NotAuthorised`` when the token was used before, or the kit uses too many."""
        used = self._of_kit[claims.kit_id]
        while used and next(iter(used.values())) + CLOCK_SKEW_S < now_unix_s:
            used.popitem(last=False)
        if claims.token_id in used:
            raise NotAuthorised("token was used before")
        if len(used) >= MAX_TOKENS_PER_MINUTE:
            raise NotAuthorised("too many tokens within a minute")
        used[claims.token_id] = claims.expires_unix_s


class Authenticator:
    """See the module."""

    def __init__(self, now_unix_s: Callable[[], float] = time.time) -> None:
        self._now_unix_s = now_unix_s
        self._used = UsedTokens()

    async def kit(self, request: web.Request) -> KitClaims:
        """The kit that asks. Raises ``NotAuthorised``."""
        register = await request.app[RELAY].registers.current()
        return self._check(request, register, _bearer(request))

    async def lesson_kit(self, request: web.Request) -> tuple[KitClaims, str]:
        """The kit that asks, and the lesson it acts for. Raises ``NotAuthorised``."""
        claims = await self.kit(request)
        return claims, _lesson(claims)

    async def publisher(self, request: web.Request, *, names_lesson: bool = True) -> Publisher:
        """Who wants to publish. ``names_lesson``: a kit has to say for which lesson. Raises ``NotAuthorised``."""
        register = await request.app[RELAY].registers.current()
        bearer = _bearer(request)
        if bearer.startswith(STREAM_KEY_PREFIX):
            now_ms = round(self._now_unix_s() * 1000)
            key = register.stream_key(stream_key_digest(bearer), now_ms)
            if key is None:
                raise NotAuthorised("this stream key does not open anything")
            place = register.place(key.room_id)
            return Publisher(publisher_id=key.key_id, place=place, lesson_id=None, foreign=True)
        claims = self._check(request, register, bearer)
        place = register.place(register.kits[claims.kit_id].room_id)
        lesson_id = _lesson(claims) if names_lesson else claims.lesson_id
        return Publisher(publisher_id=claims.kit_id, place=place, lesson_id=lesson_id, foreign=False)

    def _check(self, request: web.Request, register: Register, token: str) -> KitClaims:
        now_unix_s = int(self._now_unix_s())
        try:
            kit = register.kit(kit_id_of(token))
            if kit is None:
                raise NotAuthorised("unknown kit")
            claims = check(
                token,
                Ed25519PublicKey.from_public_bytes(kit.public_key),
                relay_id=register.relay_id,
                method=request.method,
                path=request.rel_url.raw_path,
                now_unix_s=now_unix_s,
            )
        except TokenError as error:
            raise NotAuthorised(str(error)) from error
        self._used.use(claims, now_unix_s)
        return claims


AUTH = web.AppKey("auth", Authenticator)


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthorised("")
    if len(token) > MAX_BEARER:
        raise NotAuthorised("malformed token")
    return token


def _lesson(claims: KitClaims) -> str:
    if claims.lesson_id is None:
        raise NotAuthorised("token names no lesson")
    return claims.lesson_id
