"""From which of this machine's addresses a host is reached: the ones to try first when media connects.

Asks the kernel's routing table through an unsent UDP socket; no packet leaves. Used by ``publisher.py``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

#: For DNS; the request that follows meets the same resolver and says what is wrong.
LOOK_UP_S = 2.0
_LOOPBACK = "127.0.0.1"


async def source_addresses(host: str, port: int) -> tuple[str, ...]:
    """Local addresses, best first; empty when the host is unknown or unreachable now."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_UP_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError):
        return ()
    sources = [source for family, *_, address in found if (source := _source(family, address)) is not None]
    if any(ipaddress.ip_address(source).is_loopback for source in sources):
        sources.append(_LOOPBACK)  # "localhost" may mean ::1 first, and the relay's media may listen on this one alone
    return tuple(dict.fromkeys(sources))


def _source(family: int, address: tuple[str | int, ...] | tuple[int, bytes]) -> str | None:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(address)
        except OSError:
            return None
        return str(probe.getsockname()[0])
