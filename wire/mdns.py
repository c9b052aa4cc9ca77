"""Multicast DNS (RFC 6762, 6763): announce one service on the local network, and see those of others.

The only module that knows zeroconf, for kit and relay alike. Not here: what is said (``announcement.py``). IPv4 carries
it: every network that a kit meets has that. A network without multicast costs a line in the log, never a lesson.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from zeroconf import Zeroconf
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

log = logging.getLogger(__name__)

#: How old an announced state or address may get. Asking for the addresses costs the kernel some 50 µs.
LOOK_EVERY_S = 2.0
#: After a failure: the network may come later, and nobody waits for this.
AGAIN_S = 10.0
#: Three goodbyes, 125 ms apart (RFC 6762 §10.1 wants one), and some air for a busy machine.
WITHDRAW_S = 0.8
#: For one service's address and text. Answers take a tenth of a second; Wi-Fi loses multicast.
RESOLVE_MS = 3000
#: Records that a newer announcement replaces are believed for one more second (RFC 6762 §10.2): look again after it.
FLUSHED_S = 1.1
#: More is no school; a flood must not fill the memory.
MAX_FOUND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service: ``kind`` is its DNS-SD type, ``name`` its instance and host label. ``port`` 0: nothing to open.

    ``addresses`` are those that were found; what is announced has this machine's.
    """

    kind: str
    name: str
    port: int
    txt: Mapping[str, str | None] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()


async def announce(
    current: Callable[[], Service], *, look_every_s: float = LOOK_EVERY_S, again_s: float = AGAIN_S
) -> NoReturn:
    """Announce what ``current()`` says, on every address of this machine, until cancelled; then withdraw it.

    Follows changes of both. Never raises for what a network does.
    """
    told = ""
    while True:
        try:
            if addresses := own_addresses():
                async with _opened(addresses) as mdns:
                    told = ""
                    await _keep_announced(mdns, addresses, current, look_every_s)
            else:
                await asyncio.sleep(look_every_s)
        except OSError as error:
            log.log(logging.DEBUG if str(error) == told else logging.WARNING, "not announced: %s", error)
            told = str(error)
            await asyncio.sleep(again_s)


@asynccontextmanager
async def browsing(kinds: Sequence[str], on_change: Callable[[str, Service | None], None]) -> AsyncIterator[None]:
    """Tell ``on_change`` of each service: its full name, and what it is now, or ``None`` when it has withdrawn.

    Raises ``OSError`` where there is no network to look at.
    """
    from zeroconf import ServiceStateChange
    from zeroconf.asyncio import AsyncServiceBrowser

    addresses = own_addresses()
    if not addresses:
        raise OSError("this machine has no network; plug in a cable or join a Wi-Fi")
    resolving: dict[str, asyncio.Task[None]] = {}

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        before = resolving.pop(name, None)
        if before is not None:
            before.cancel()
        if state_change is ServiceStateChange.Removed:
            on_change(name, None)
        elif len(resolving) < MAX_FOUND:
            resolving[name] = asyncio.create_task(_resolve(zeroconf, service_type, name, on_change), name="mdns")

    async with _opened(addresses) as mdns:
        browser = AsyncServiceBrowser(mdns.zeroconf, list(kinds), handlers=[changed])
        try:
            yield
        finally:
            await browser.async_cancel()
            for task in resolving.values():
                task.cancel()
            await asyncio.gather(*resolving.values(), return_exceptions=True)


def own_addresses() -> tuple[str, ...]:
    """This machine's IPv4 addresses on its networks, sorted; loopback is none."""
    import ifaddr

    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)]
    return tuple(sorted({address for address in found if not ipaddress.ip_address(address).is_loopback}))


@asynccontextmanager
async def _opened(addresses: Sequence[str]) -> AsyncIterator[AsyncZeroconf]:
    """zeroconf on these addresses; whatever is registered is withdrawn at the end. Raises ``OSError``."""
    from zeroconf import Error
    from zeroconf.asyncio import AsyncZeroconf

    # Its warnings are tracebacks of networks that went away, which is what this module is prepared for.
    logging.getLogger("zeroconf").setLevel(logging.ERROR)
    mdns = AsyncZeroconf(interfaces=list(addresses))
    try:
        yield mdns
    except Error as error:
        raise OSError(f"multicast DNS: {str(error) or type(error).__name__}") from error
    finally:
        try:
            async with asyncio.timeout(WITHDRAW_S):
                await mdns.async_close()
        except TimeoutError:
            log.warning("the announcement was not withdrawn within %.1f s", WITHDRAW_S)


async def _keep_announced(
    mdns: AsyncZeroconf, addresses: tuple[str, ...], current: Callable[[], Service], look_every_s: float
) -> None:
    """Announce, and announce anew what changes, until the addresses do."""
    said = current()
    info = _info(said, addresses)
    await (await mdns.async_register_service(info, allow_name_change=True))
    while own_addresses() == addresses:
        await asyncio.sleep(look_every_s)
        service = current()
        if service != said:
            said = service
            # The name that was registered: a copied card has the same key, and then the name got a number.
            await (await mdns.async_update_service(_info(service, addresses, info.name)))


def _info(service: Service, addresses: Sequence[str], full_name: str | None = None) -> AsyncServiceInfo:
    from zeroconf.asyncio import AsyncServiceInfo

    return AsyncServiceInfo(
        service.kind,
        full_name or f"{service.name}.{service.kind}",
        port=service.port,
        properties=dict(service.txt),
        server=f"{service.name}.local.",
        parsed_addresses=list(addresses),
    )


async def _resolve(
    zeroconf: Zeroconf, kind: str, full_name: str, on_change: Callable[[str, Service | None], None]
) -> None:
    told = None
    for wait_s in (0.0, FLUSHED_S):
        await asyncio.sleep(wait_s)
        service = await _asked(zeroconf, kind, full_name)
        if service is not None and service != told:
            told = service
            on_change(full_name, service)


async def _asked(zeroconf: Zeroconf, kind: str, full_name: str) -> Service | None:
    from zeroconf.asyncio import AsyncServiceInfo

    info = AsyncServiceInfo(kind, full_name)
    if not await info.async_request(zeroconf, RESOLVE_MS):
        return None
    return Service(
        kind=kind,
        name=full_name.removesuffix(f".{kind}"),
        port=info.port or 0,
        txt=dict(info.decoded_properties),
        addresses=tuple(sorted(info.parsed_addresses())),
    )
