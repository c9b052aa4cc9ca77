"""A deterministic bad network: a UDP proxy in front of one port that drops, delays, reorders and doubles by pattern,
and that carries no more than it is given: a rate and a queue in front of it that overflows.

Every client gets an upstream socket of its own, as behind a NAT. Counting is per client and direction, so that what
happens to one client's n-th datagram does not depend on the others. ``cut`` takes the network away; ``rebind`` gives
every client a new outer address, as when a phone leaves the Wi-Fi.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

Address = tuple[str, int]
Pattern = Callable[[int], bool]

MAX_CLIENTS = 256
MAX_IN_FLIGHT = 20_000  # datagrams that are being delayed; more are dropped, as in a full router
REORDER_S = 0.03  # how long a datagram is held back so that later ones overtake it
UDP_IP_OCTETS = 28  # a link carries these too


def never(_: int) -> bool:
    """No datagram."""
    return False


def every(count: int) -> Pattern:
    """Each ``count``-th datagram."""
    return lambda number: number % count == count - 1


def share(fraction: float, seed: int = 1) -> Pattern:
    """About this share of the datagrams, scattered, and the same ones in every run."""
    return lambda number: random.Random(seed * 1_000_003 + number).random() < fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """What happens to the datagrams of one direction. ``shared``: the queue before a narrow link, where others use it,
    too; each client has its own otherwise."""

    drop: Pattern = never
    duplicate: Pattern = never
    reorder: Pattern = never
    delay_s: float = 0.0
    narrow: Narrow | None = None
    shared: Bottleneck | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow:
    """What a link carries: ``rate_bps``, and a queue of ``queue_octets`` before it. What comes to a full one is
    dropped."""

    rate_bps: float
    queue_octets: int = 64_000


class Bottleneck:
    """One client's one way through a narrow link. Pure: times are given. In order, also when the rate changes."""

    def __init__(self) -> None:
        self._leaving: deque[tuple[float, int]] = deque()
        self._octets = 0

    def leaves_s(self, narrow: Narrow, octets: int, now_s: float) -> float | None:
        """When a datagram that comes now has left the queue; ``None``: it is full."""
        while self._leaving and self._leaving[0][0] <= now_s:
            self._octets -= self._leaving.popleft()[1]
        size = octets + UDP_IP_OCTETS
        if self._octets + size > narrow.queue_octets:
            return None
        last_s = self._leaving[-1][0] if self._leaving else now_s
        self._leaving.append((last_s + 8 * size / narrow.rate_bps, size))
        self._octets += size
        return self._leaving[-1][0]


@dataclass
class _Client:
    """One client: its address, its socket towards the target, and how many datagrams went each way."""

    address: Address
    upstream: asyncio.DatagramTransport | None = None
    counts: dict[str, int] = field(default_factory=lambda: {"out": 0, "back": 0})
    bottlenecks: dict[str, Bottleneck] = field(default_factory=lambda: {"out": Bottleneck(), "back": Bottleneck()})


class LossyLink:
    """The link. ``target`` may be set after it is open: its ``address`` is needed to start what stands behind it."""

    def __init__(
        self,
        target: Address | None = None,
        *,
        drop: Pattern = never,
        delay_s: float = 0.0,
        reorder: Pattern = never,
        duplicate: Pattern = never,
        back: Impairment | None = None,
    ) -> None:
        """``back`` is the way from the target to the clients; ``None``: the same as the way there."""
        self.target = target
        self._out = Impairment(drop=drop, duplicate=duplicate, reorder=reorder, delay_s=delay_s)
        self._back = back or self._out
        self._clients: dict[Address, _Client] = {}
        self._front: asyncio.DatagramTransport | None = None
        self._pending: set[asyncio.TimerHandle] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._whole = True
        self.dropped = 0
        self.forwarded = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(self._from_client), local_addr=("127.0.0.1", 0)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for handle in self._pending:
            handle.cancel()
        for client in self._clients.values():
            if client.upstream is not None:
                client.upstream.abort()
        if self._front is not None:
            self._front.abort()

    @property
    def address(self) -> Address:
        """Where clients send to."""
        assert self._front is not None, "the link is not open"
        host, port = self._front.get_extra_info("sockname")[:2]
        return host, port

    @property
    def advertised(self) -> str:
        """``address`` as an entry of ``media.advertise``."""
        return "{}:{}".format(*self.address)

    def impair(self, out: Impairment, back: Impairment | None = None) -> None:
        """Change the weather from now on."""
        self._out, self._back = out, back or out

    def cut(self) -> None:
        """Nothing passes any more."""
        self._whole = False

    def restore(self) -> None:
        """The network is back."""
        self._whole = True

    def rebind(self) -> None:
        """Every client comes from a new address from now on; what is sent to the old one is lost."""
        for client in self._clients.values():
            if client.upstream is not None:
                client.upstream.abort()
        self._clients.clear()

    def _from_client(self, data: bytes, address: Address) -> None:
        client = self._clients.get(address)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS or self.target is None:
                self.dropped += 1
                return
            client = self._clients[address] = _Client(address)
            task = asyncio.get_running_loop().create_task(self._open(client, data), name="lossy-link-client")
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        elif client.upstream is not None:  # what comes while the socket opens is lost
            self._pass(client, "out", self._out, data)

    async def _open(self, client: _Client, first: bytes) -> None:
        upstream, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Receiver(lambda data, _: self._pass(client, "back", self._back, data)), remote_addr=self.target
        )
        client.upstream = upstream
        self._pass(client, "out", self._out, first)

    def _pass(self, client: _Client, way: str, impairment: Impairment, data: bytes) -> None:
        number = client.counts[way]
        client.counts[way] += 1
        if not self._whole or impairment.drop(number) or len(self._pending) >= MAX_IN_FLIGHT:
            self.dropped += 1
            return
        now_s = asyncio.get_running_loop().time()
        delay_s = impairment.delay_s + REORDER_S * impairment.reorder(number)
        if impairment.narrow is not None:
            queue = impairment.shared or client.bottlenecks[way]
            leaves_s = queue.leaves_s(impairment.narrow, len(data), now_s)
            if leaves_s is None:
                self.dropped += 1
                return
            delay_s += leaves_s - now_s
        for _ in range(1 + impairment.duplicate(number)):
            if delay_s:
                self._at(now_s + delay_s, client, way, data)
            else:
                self._deliver(client, way, data)

    def _at(self, when_s: float, client: _Client, way: str, data: bytes) -> None:
        """Deliver at that time of the loop's. Not after a delay: one that is counted from a moment later than the
        datagram's own would let the next one overtake it on a busy machine."""

        def arrive() -> None:
            self._pending.discard(handle)
            self._deliver(client, way, data)

        handle = asyncio.get_running_loop().call_at(when_s, arrive)
        self._pending.add(handle)

    def _deliver(self, client: _Client, way: str, data: bytes) -> None:
        if not self._whole or self._front is None or client.upstream is None or client.upstream.is_closing():
            self.dropped += 1
            return
        self.forwarded += 1
        if way == "out":
            client.upstream.sendto(data)
        else:
            self._front.sendto(data, client.address)


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._received(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at the other end: on this link that is loss like any other."""
