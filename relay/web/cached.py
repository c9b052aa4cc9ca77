"""Answers that browsers and proxies may keep: strong ETags, ``If-None-Match``, gzip and byte ranges (RFC 9110)."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass

from aiohttp import hdrs, web

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that is asked for often: packed once."""

    plain: bytes
    packed: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, text: str, content_type: str, etag: str) -> Text:
        """``etag`` without quotes; it has to change with the text."""
        plain = text.encode()
        return cls(plain=plain, packed=gzip.compress(plain, 6, mtime=0), content_type=content_type, etag=etag)


def text_answer(request: web.Request, text: Text, cache_control: str) -> web.Response:
    """The text, packed if the reader likes that, or 304."""
    packed = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
    etag = f'"{text.etag}{"-gz" if packed else ""}"'
    headers = {hdrs.ETAG: etag, hdrs.CACHE_CONTROL: cache_control, hdrs.VARY: hdrs.ACCEPT_ENCODING}
    if is_known(request, etag):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = text.content_type
    if packed:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    return web.Response(body=text.packed if packed else text.plain, headers=headers)


def is_known(request: web.Request, etag: str) -> bool:
    """Whether the reader has what this quoted ETag names."""
    known = request.headers.get(hdrs.IF_NONE_MATCH, "")
    return known.strip() == "*" or etag in {item.strip().removeprefix("W/") for item in known.split(",")}


def wanted_range(request: web.Request, etag: str, length: int) -> tuple[int, int] | None:
    """The one byte range that is asked for, as first and last; ``None``: all of it. Raises 416.

    What we do not serve (several ranges, other units, a range of something older) is answered with all of it, as RFC
    9110 §14.2 allows.
    """
    found = _RANGE.fullmatch(request.headers.get(hdrs.RANGE, "").strip())
    condition = request.headers.get(hdrs.IF_RANGE)
    if found is None or found.groups() == ("", "") or condition not in {None, etag}:
        return None
    first_text, last_text = found.groups()
    if first_text:
        first, last = int(first_text), min(int(last_text or length), length - 1)
    else:
        first, last = max(0, length - int(last_text)), length - 1
    if first > last:
        unsatisfied = {hdrs.CONTENT_RANGE: f"bytes */{length}"}
        raise web.HTTPRequestRangeNotSatisfiable(text="there are not so many bytes", headers=unsatisfied)
    return first, last


def range_headers(wanted: tuple[int, int] | None, length: int) -> tuple[int, dict[str, str]]:
    """The status of an answer with this range, and what it carries."""
    if wanted is None:
        return 200, {hdrs.ACCEPT_RANGES: "bytes"}
    first, last = wanted
    return 206, {hdrs.ACCEPT_RANGES: "bytes", hdrs.CONTENT_RANGE: f"bytes {first}-{last}/{length}"}


def file_answer(request: web.Request, body: bytes, etag: str, content_type: str, cache_control: str) -> web.Response:
    """A file, or the part of it that is asked for, or 304. ``etag`` is quoted."""
    headers: dict[str, str] = {hdrs.ETAG: etag, hdrs.CACHE_CONTROL: cache_control}
    if is_known(request, etag):
        return web.Response(status=304, headers=headers)
    wanted = wanted_range(request, etag, len(body))
    status, more = range_headers(wanted, len(body))
    headers |= {hdrs.CONTENT_TYPE: content_type, **more}
    return web.Response(
        status=status, body=body if wanted is None else body[wanted[0] : wanted[1] + 1], headers=headers
    )
