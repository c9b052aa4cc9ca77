"""The page's own files under ``/static/``: read once at start, served from memory with a strong ETag.

Their names carry no version, so a browser asks each time whether its copy is still right: one 304, and an upgraded
relay never meets half of an old page. Most are in the repository; hls.js comes from npm (``scripts/set_up.sh hls``).
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from aiohttp import hdrs, web

FILES_DIR = Path(__file__).parent / "pages" / "static"
HLS = "hls.mjs"
REVALIDATE = "no-cache"
_COMPRESSIBLE = {"text/javascript", "text/css", "image/svg+xml", "application/json"}
#: Not left to the machine's own tables, which differ, and a module with a wrong type is not run.
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, ready to be sent."""

    body: bytes
    packed: bytes | None
    content_type: str
    etag: str


StaticFiles = dict[str, StaticFile]
STATIC: web.AppKey[StaticFiles] = web.AppKey("static", dict)

_log = logging.getLogger(__name__)


def read_files(folder: Path = FILES_DIR) -> StaticFiles:
    """All files below ``folder``, by relative path."""
    files = {
        str(path.relative_to(folder)): _read(path)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    if HLS not in files:
        _log.warning("%s is missing: only browsers with HLS of their own replay lessons; scripts/set_up.sh hls", HLS)
    return files


async def static_file(request: web.Request) -> web.Response:
    """``GET /static/<path>``"""
    found = request.app[STATIC].get(request.match_info["path"])
    if found is None:
        raise web.HTTPNotFound(text="no such file")
    packed = found.packed if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "") else None
    etag = f'"{found.etag}{"-gz" if packed else ""}"'
    headers = {hdrs.ETAG: etag, hdrs.CACHE_CONTROL: REVALIDATE, hdrs.VARY: hdrs.ACCEPT_ENCODING}
    if etag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=headers)
    if packed:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    charset = "utf-8" if found.content_type.startswith("text/") else None
    return web.Response(body=packed or found.body, content_type=found.content_type, charset=charset, headers=headers)


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    content_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    packed = gzip.compress(body, mtime=0) if content_type in _COMPRESSIBLE else None
    return StaticFile(body, packed, content_type, hashlib.sha256(body).hexdigest()[:24])
