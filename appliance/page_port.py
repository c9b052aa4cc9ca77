"""The port of a page that the kit itself serves: it is taken, or somebody reads why it cannot be.

Used by the simulated panel and the setup page. Not here: who may talk to the page (``page_guard.py``), its routes.
"""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress

from aiohttp import web


async def take_port(runner: web.AppRunner, host: str, port: int) -> None:
    """Serve there until ``runner`` is cleaned up. Raises ``OSError``.

    Goes on to its end when cancelled: asyncio forgets a port that it has taken by then, because ``create_server`` gives
    others a turn before it returns, and nobody could ever close it.
    """
    starting = asyncio.ensure_future(web.TCPSite(runner, host, port).start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(OSError):
            await starting
        raise


def why_not(section: str, host: str, port: int, error: OSError) -> str:
    """Why a page cannot be served there, and what to do about it; ``section`` is that of the settings."""
    if error.errno == errno.EADDRINUSE:
        return f"{section}.port: {port} on {host} is in use; stop what uses it, or set another {section}.port"
    if error.errno == errno.EACCES:
        return f"{section}.port: {port} on {host} is not allowed for this user; set {section}.port to 1024 or more"
    return f"{section}.host: cannot serve on {host} port {port} ({error.strerror}); set {section}.host to 127.0.0.1"
