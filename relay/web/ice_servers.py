"""The way for whom UDP is blocked: TURN servers, told by ``Link`` with credentials that end by themselves.

RFC 9725 §4.6 says how they are told; coturn's ``use-auth-secret`` how they are made (draft-uberti-behave-turn-rest):
the user name holds the time at which it ends, the password is an HMAC of it under a secret that only relay and TURN
server know. Nothing is kept, and no third party is named unless ``[turn]`` names one. Not here: TURN itself
(docs/turn.md).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from aiohttp import hdrs, web

NAME_BYTES = 6  # tells sessions apart in the TURN server's quotas and logs; says nothing about a pupil


@dataclass(frozen=True, slots=True)
class IceServers:
    """What is told to peers. Without ``urls``: nothing."""

    urls: tuple[str, ...] = ()
    secret: bytes = field(default=b"", repr=False)
    lifetime_s: int = 0

    def add_to(self, response: web.Response, now_unix_s: float) -> None:
        """Add the links, with credentials for one session."""
        if not self.urls:
            return
        username, credential = credentials(
            self.secret, int(now_unix_s) + self.lifetime_s, secrets.token_hex(NAME_BYTES)
        )
        for url in self.urls:
            response.headers.add(hdrs.LINK, link(url, username, credential))


def credentials(secret: bytes, ends_unix_s: int, name: str) -> tuple[str, str]:
    """User name and password that a TURN server with the same secret takes until ``ends_unix_s``."""
    username = f"{ends_unix_s}:{name}"
    digest = hmac.digest(secret, username.encode(), hashlib.sha1)  # the algorithm that coturn's REST API has
    return username, base64.b64encode(digest).decode()


def link(url: str, username: str, credential: str) -> str:
    """One ``Link`` header (RFC 8288) as RFC 9725 §4.6 has it."""
    quoted = {"username": username, "credential": credential, "credential-type": "password"}
    return f'<{url}>; rel="ice-server"; ' + "; ".join(f'{name}="{value}"' for name, value in quoted.items())
