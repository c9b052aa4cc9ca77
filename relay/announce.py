"""Tells the local network that this relay is here, for kits that are not enrolled yet.

Used by ``app.py``, only when ``web.announce`` says so. Not here: multicast DNS (``wire/mdns.py``) and what an
announcement holds (``wire/announcement.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relay.settings import WebSection
from relay.version import software_version
from wire.announcement import RELAY_KIND, RelayAnnouncement
from wire.mdns import Service, announce


@asynccontextmanager
async def announce_relay(relay_id: str, web: WebSection) -> AsyncIterator[None]:
    """Announced as long as the context is open, and withdrawn then."""
    service = relay_service(relay_id, web)
    task = asyncio.create_task(announce(lambda: service), name="announcement")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])  # bounded: WITHDRAW_S
        if not task.cancelled():
            task.result()  # it ends by itself only because of a bug


def relay_service(relay_id: str, web: WebSection) -> Service:
    """What is announced. The name tells nothing and is the same after each start."""
    said = RelayAnnouncement(url=web.public_url.rstrip("/"), version=software_version())
    return Service(kind=RELAY_KIND, name=f"parta-relay-{relay_id[:8]}", port=web.port, txt=said.txt())
