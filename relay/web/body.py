"""Reads a request's body within bounds of size and time, before anything is allocated for it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from aiohttp import web

MAX_SDP_BYTES = 64 * 1024
BODY_S = 10.0  # for an offer of a few kB on a bad mobile link


async def read_body(request: web.Request, limit: int, timeout_s: float = BODY_S) -> bytes:
    """The body. Raises 413 as soon as it is seen to be longer than ``limit`` bytes, and 408 when it is slow."""
    found = bytearray()
    await _read(request, limit, timeout_s, found.extend)
    return bytes(found)


async def read_digested_body(request: web.Request, limit: int, timeout_s: float) -> tuple[bytes, bytes]:
    """The body and its SHA-256, which is worked out while it comes. Raises as ``read_body`` does."""
    found, digest = bytearray(), hashlib.sha256()

    def take(chunk: bytes) -> None:
        found.extend(chunk)
        digest.update(chunk)

    await _read(request, limit, timeout_s, take)
    return bytes(found), digest.digest()


async def swallow_body(request: web.Request, limit: int, timeout_s: float) -> int:
    """How long the body is; nothing of it is kept. Raises as ``read_body`` does."""
    return await _read(request, limit, timeout_s, lambda chunk: None)


async def _read(request: web.Request, limit: int, timeout_s: float, take: Callable[[bytes], None]) -> int:
    if request.content_length is not None and request.content_length > limit:
        raise _too_large(limit)
    length = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                length += len(chunk)
                if length > limit:
                    raise _too_large(limit)
                take(chunk)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text="the request came too slowly", headers={"Connection": "close"}) from error
    return length


def need_content_type(request: web.Request, wanted: str, advertise: str) -> None:
    """Raise 415 unless the body is ``wanted``; ``advertise`` is the header that says so."""
    if request.content_type != wanted:
        reason = f"the content type has to be {wanted}"
        raise web.HTTPUnsupportedMediaType(text=reason, headers={advertise: wanted})


def _too_large(limit: int) -> web.HTTPRequestEntityTooLarge:
    # What is still to come is not read: the connection cannot be used again.
    return web.HTTPRequestEntityTooLarge(
        limit, text=f"the body is larger than {limit} bytes", headers={"Connection": "close"}
    )
