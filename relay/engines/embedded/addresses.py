"""Which addresses peers are told: the configured ones, or this machine's."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket

import ifaddr

from relay.engines.embedded.agreement import Candidate

_HOST_TYPE = 126  # RFC 8445 §5.1.2.1's recommended preference of host candidates
_WITH_PORT = re.compile(r"\[(?P<six>[^]]+)\](?::(?P<six_port>\d+))?|(?P<four>[^:]+):(?P<four_port>\d+)")


async def candidates(advertise: tuple[str, ...], port: int, families: frozenset[int]) -> tuple[Candidate, ...]:
    """Host candidates in order of preference. Names are resolved once, here. Raises ``OSError`` for a name that is
    unknown, or when there is no address at all."""
    found = (
        await _advertised(advertise, port, families) if advertise else [(address, port) for address in _own(families)]
    )
    if not found:
        raise OSError("this machine has no address to tell peers; set media.advertise")
    return tuple(
        Candidate(address, its_port, _HOST_TYPE << 24 | (65535 - place) << 8 | 255)
        for place, (address, its_port) in enumerate(dict.fromkeys(found))
    )


async def _advertised(advertise: tuple[str, ...], port: int, families: frozenset[int]) -> list[tuple[str, int]]:
    """Addresses as they stand, because a router may translate them; of a name's, those of a family that is bound."""
    found = []
    for entry in advertise:
        host, its_port = split(entry, port)
        try:
            found.append((str(ipaddress.ip_address(host)), its_port))
        except ValueError:
            loop = asyncio.get_running_loop()
            resolved = await loop.getaddrinfo(host, its_port, type=socket.SOCK_DGRAM)
            found += [(str(address[0]), its_port) for family, *_, address in resolved if family in families]
    return found


def split(entry: str, port: int) -> tuple[str, int]:
    """``203.0.113.7``, ``203.0.113.7:18443``, ``2001:db8::7`` or ``[2001:db8::7]:18443`` as host and port."""
    match = _WITH_PORT.fullmatch(entry)
    if match is None:
        return entry, port
    return match["six"] or match["four"], int(match["six_port"] or match["four_port"] or port)


def _own(families: frozenset[int]) -> list[str]:
    """This machine's, IPv4 first (some clients try only the first), loopback last, link-local IPv6 left out."""
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    for adapter in ifaddr.get_adapters():
        for item in adapter.ips:
            address = ipaddress.ip_address(item.ip if isinstance(item.ip, str) else item.ip[0])
            if not (address.version == 6 and address.is_link_local):
                found.append(address)
    bound = {4 if family == socket.AF_INET else 6 for family in families}
    usable = [address for address in found if address.version in bound]
    return [str(address) for address in sorted(usable, key=lambda a: (a.is_loopback, a.version))]
