"""The lossy link does what its pattern says, the same every time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from tests.lossy_link import UDP_IP_OCTETS, Address, Bottleneck, Impairment, LossyLink, Narrow, every, never, share
from tests.relay.engines.waiting import until


class Echo(asyncio.DatagramProtocol):
    """Sends everything back, and remembers from where it came."""

    def __init__(self) -> None:
        self.seen: list[Address] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.seen.append(addr)
        self.transport.sendto(data, addr)  # type: ignore[attr-defined]


class Client(asyncio.DatagramProtocol):
    """Keeps what comes back."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.got.put_nowait(data)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    yield protocol
    transport.close()


async def exchange(link: LossyLink, count: int) -> tuple[Client, asyncio.DatagramTransport]:
    """A client that sends ``count`` numbered datagrams and waits for what must come back of the last."""
    transport, client = await asyncio.get_running_loop().create_datagram_endpoint(Client, remote_addr=link.address)
    transport.sendto(b"first")
    await asyncio.wait_for(client.got.get(), 5)
    for number in range(count):
        transport.sendto(number.to_bytes(2, "big"))
    return client, transport


async def numbers(client: Client, count: int) -> list[int]:
    return [int.from_bytes(await asyncio.wait_for(client.got.get(), 5), "big") for _ in range(count)]


def target(echo: Echo) -> Address:
    host, port = echo.transport.get_extra_info("sockname")
    return host, port


async def test_each_nth_datagram_is_dropped(echo: Echo) -> None:
    async with LossyLink(target(echo), drop=every(5), back=Impairment()) as link:
        client, transport = await exchange(link, 19)  # "first" is datagram 0
        assert await numbers(client, 15) == [n for n in range(19) if (n + 1) % 5 != 4]
        assert link.dropped == 4
        transport.close()


async def test_doubled_and_late_datagrams(echo: Echo) -> None:
    out = Impairment(duplicate=lambda n: n == 2, reorder=lambda n: n == 4)
    async with LossyLink(target(echo), back=Impairment()) as link:
        link.impair(out, Impairment())
        client, transport = await exchange(link, 6)
        assert await numbers(client, 7) == [0, 1, 1, 2, 4, 5, 3]
        transport.close()


async def test_delay_is_added(echo: Echo) -> None:
    async with LossyLink(target(echo), delay_s=0.05) as link:
        started_s = asyncio.get_running_loop().time()
        _, transport = await exchange(link, 0)
        assert asyncio.get_running_loop().time() - started_s >= 0.1
        transport.close()


async def test_a_cut_link_passes_nothing_until_it_is_restored(echo: Echo) -> None:
    async with LossyLink(target(echo)) as link:
        client, transport = await exchange(link, 0)
        link.cut()
        transport.sendto(b"lost")
        await until(lambda: link.dropped > 0)
        link.restore()
        transport.sendto(b"kept")
        assert await asyncio.wait_for(client.got.get(), 5) == b"kept"
        transport.close()


async def test_every_client_has_an_address_of_its_own_and_a_new_one_after_rebinding(echo: Echo) -> None:
    async with LossyLink(target(echo)) as link:
        _, one = await exchange(link, 0)
        _, two = await exchange(link, 0)
        assert len(set(echo.seen)) == 2
        link.rebind()
        one.sendto(b"again")
        await until(lambda: len(echo.seen) == 3)
        assert len(set(echo.seen)) == 3
        one.close()
        two.close()


def test_a_share_is_about_right_and_always_the_same() -> None:
    pattern = share(0.05, seed=2)
    lost = [number for number in range(10_000) if pattern(number)]
    assert 400 < len(lost) < 600
    assert lost == [number for number in range(10_000) if share(0.05, seed=2)(number)]
    assert not any(map(never, range(100)))


def test_a_narrow_link_spaces_what_comes_at_once_and_drops_what_overflows() -> None:
    bottleneck, narrow = Bottleneck(), Narrow(rate_bps=80_000, queue_octets=4_000)
    octets = 1000 - UDP_IP_OCTETS
    assert [bottleneck.leaves_s(narrow, octets, 0.0) for _ in range(6)] == [
        0.1,
        0.2,
        pytest.approx(0.3),
        0.4,
        None,
        None,
    ]
    assert bottleneck.leaves_s(narrow, octets, 0.15) == pytest.approx(0.5), "one has left, so one fits"
    assert bottleneck.leaves_s(narrow, octets, 9.0) == pytest.approx(9.1), "it has long been empty"


def test_a_narrow_link_keeps_the_order_when_its_rate_changes() -> None:
    bottleneck = Bottleneck()
    octets = 1000 - UDP_IP_OCTETS
    slow, fast = Narrow(rate_bps=8_000), Narrow(rate_bps=8_000_000)
    leaving = [bottleneck.leaves_s(narrow, octets, 0.0) for narrow in (slow, fast, slow)]
    assert leaving == [1.0, pytest.approx(1.001), pytest.approx(2.001)]


async def test_a_narrow_link_is_full_and_then_empties(echo: Echo) -> None:
    a_datagram_in_50_ms = 20 * (2 + UDP_IP_OCTETS) * 8  # slow enough that a busy machine sends twenty before one leaves
    out = Impairment(narrow=Narrow(rate_bps=a_datagram_in_50_ms, queue_octets=10 * (2 + UDP_IP_OCTETS)))
    async with LossyLink(target(echo)) as link:
        link.impair(out, Impairment())
        client, transport = await exchange(link, 0)
        with closing(transport):
            for number in range(20):
                transport.sendto(number.to_bytes(2, "big"))
            assert await numbers(client, 10) == list(range(10))
            assert link.dropped == 10
            transport.sendto(b"again")
            assert await asyncio.wait_for(client.got.get(), 5) == b"again"
