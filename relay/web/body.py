"""Reads a request's body within bounds of size and time, before anything is allocated for it."""

from __future__ import annotations

import asyncio

from aiohttp import web

MAX_SDP_BYTES = 64 * 1024
BODY_S = 10.0  # for an offer of a few kB on a bad mobile link


async def read_body(request: web.Request, limit: int, timeout_s: float = BODY_S) -> bytes:
    """The body. Raises 413 as soon as it is seen to be longer than ``limit`` bytes, and 408 when it is slow."""
    if request.content_length is not None and request.content_length > limit:
        raise _too_large(limit)
    found = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                found += chunk
                if len(found) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text="the request came too slowly", headers={"Connection": "close"}) from error
    return bytes(found)


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
