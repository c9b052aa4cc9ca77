"""Which way a host is reached, from which of this machine's addresses to which of its: what media is to try first.

Asks the kernel's routing table through an unsent UDP socket; no packet leaves. Used by ``publisher.py``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

#: For DNS; the request that follows meets the same resolver and says what is wrong.
LOOK_UP_S = 2.0
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Route:
    """Local addresses (``sources``) and the host's (``destinations``), best first; empty where none is known now."""

    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()


async def route_to(host: str, port: int) -> Route:
    """The way to a host, by this machine's resolver and routing table."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_UP_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError):
        return Route()
    ways = [(source, str(to[0])) for family, *_, to in found if (source := _source(family, to)) is not None]
    if any(ipaddress.ip_address(source).is_loopback for source, _ in ways):
        ways.append((_LOOPBACK, _LOOPBACK))  # "localhost" may mean ::1 first, and media may listen on this one alone
    sources, destinations = (tuple(dict.fromkeys(ends)) for ends in zip(*ways, strict=True)) if ways else ((), ())
    return Route(sources, destinations)


def _source(family: int, address: tuple[str | int, ...] | tuple[int, bytes]) -> str | None:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(address)
        except OSError:
            return None
        return str(probe.getsockname()[0])
