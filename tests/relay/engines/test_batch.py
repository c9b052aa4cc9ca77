"""Datagrams for several peers in one system call: on the wire they are what single sends would be."""

from __future__ import annotations

import ctypes
import errno
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from relay.engines.embedded.batch import MOST_MESSAGES, Batch, SendMany, send_many
from relay.engines.embedded.burst import Burst, Layout
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.rtp import Packet
from relay.engines.embedded.udp import Path

TAG_BYTES = 16
pytestmark = pytest.mark.skipif(send_many() is None, reason="no sendmmsg that we know: all is sent singly")


def udp(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """On loopback."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    sock.settimeout(5)
    return sock


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as stack:
        yield stack


def some_burst(sizes: list[int]) -> Burst:
    """Packets with payloads of these sizes."""
    return Burst([Packet(number, 0, 0, bytes(size)) for number, size in enumerate(sizes)], 0.0)


def layouts(burst: Burst, count: int) -> list[Layout]:
    """One for each peer, with bytes of its own in every packet."""
    hand, found = random.Random(count), [burst.layout(TAG_BYTES, number=number) for number in range(count)]
    for layout in found:
        layout.buffer[:] = hand.randbytes(len(layout.buffer))
    return found


def packets_of(layout: Layout) -> list[bytes]:
    """Each as one datagram."""
    return [bytes(part) for run in layout.runs for part in run.parts]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("sizes", [[40], [1150] * 5 + [300], [1150, 300, 1150, 1150, 20], list(range(100, 190, 3))])
def test_each_peer_gets_its_own_packets_and_nothing_else(
    opened: ExitStack, family: socket.AddressFamily, sizes: list[int]
) -> None:
    sender = opened.enter_context(closing(udp(family)))
    peers = [opened.enter_context(closing(udp(family))) for _ in range(5)]
    counters, batch = Counters(), Batch(send_many())
    made = layouts(some_burst(sizes), len(peers))
    for peer, layout in zip(peers, made, strict=True):
        batch.add(Path(sender, peer.getsockname(), (), counters), layout.runs)
    assert batch.peers == len(peers)
    batch.send()
    assert batch.peers == 0
    for peer, layout in zip(peers, made, strict=True):
        assert [peer.recv(2000) for _ in packets_of(layout)] == packets_of(layout)
    assert counters.send_dropped == 0


def test_one_call_sends_them_all(opened: ExitStack) -> None:
    calls, real = [], send_many()
    assert real is not None

    def counted(*arguments: int) -> int:
        calls.append(arguments)
        return real(*arguments)

    sender = opened.enter_context(closing(udp()))
    peers = [opened.enter_context(closing(udp())) for _ in range(7)]
    batch = Batch(counted)
    for peer, layout in zip(peers, layouts(some_burst([1150] * 4), 7), strict=True):
        batch.add(Path(sender, peer.getsockname(), (), Counters()), layout.runs)
    assert calls == []
    batch.send()
    assert [peer.recv(2000)[:0] for peer in peers for _ in range(4)] == [b""] * 28
    assert len(calls) == 1


def test_peers_on_two_sockets_keep_their_own_bytes(opened: ExitStack) -> None:
    """The places that a batch has given are taken until it has left, whichever socket they leave by."""
    senders = [opened.enter_context(closing(udp())) for _ in range(2)]
    peers = [opened.enter_context(closing(udp())) for _ in range(12)]
    hand, burst, batch, expected = random.Random(1), some_burst([400, 400]), Batch(send_many()), []
    for number, peer in enumerate(peers):
        layout = burst.layout(TAG_BYTES, number=batch.peers)
        layout.buffer[:] = hand.randbytes(len(layout.buffer))
        expected.append(packets_of(layout))
        batch.add(Path(senders[number // 3 % 2], peer.getsockname(), (), Counters()), layout.runs)
        if batch.peers >= 8:
            batch.send()
    batch.send()
    assert [[peer.recv(2000) for _ in range(2)] for peer in peers] == expected


def test_what_exceeds_a_batch_leaves_before_it(opened: ExitStack) -> None:
    sender = opened.enter_context(closing(udp()))
    peers = [opened.enter_context(closing(udp())) for _ in range(3)]
    batch = Batch(send_many())
    uneven = [size for number in range(MOST_MESSAGES // 2) for size in (100 + 20 * (number % 2), 600)]
    made = layouts(some_burst(uneven[: MOST_MESSAGES // 2]), len(peers))
    for peer, layout in zip(peers, made, strict=True):
        batch.add(Path(sender, peer.getsockname(), (), Counters()), layout.runs)
    batch.send()
    for peer, layout in zip(peers, made, strict=True):
        assert [peer.recv(2000) for _ in packets_of(layout)] == packets_of(layout)


def test_a_burst_that_no_batch_holds_is_sent_singly(opened: ExitStack) -> None:
    """As of a publisher who cuts pictures into hundreds of tiny, uneven packets."""
    sender, peer = opened.enter_context(closing(udp())), opened.enter_context(closing(udp()))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    batch = Batch(send_many())
    (layout,) = layouts(some_burst([10, 60, 35] * MOST_MESSAGES), 1)
    assert len(layout.runs) > MOST_MESSAGES
    batch.add(Path(sender, peer.getsockname(), (), Counters()), layout.runs)
    assert batch.peers == 0
    assert [peer.recv(2000) for _ in packets_of(layout)] == packets_of(layout)


def test_a_peer_that_the_kernel_refuses_costs_the_others_nothing(opened: ExitStack) -> None:
    sender = opened.enter_context(closing(udp()))
    peers = [opened.enter_context(closing(udp())) for _ in range(2)]
    counters, batch = Counters(), Batch(send_many())
    made = layouts(some_burst([500]), 3)
    addresses = [peers[0].getsockname(), ("127.0.0.1", 0), peers[1].getsockname()]
    for address, layout in zip(addresses, made, strict=True):
        batch.add(Path(sender, address, (), counters), layout.runs)
    batch.send()
    assert [peer.recv(2000) for peer in peers] == [*packets_of(made[0]), *packets_of(made[2])]
    assert counters.send_failed == 1


@pytest.mark.parametrize("reason", [errno.EAGAIN, errno.ENOSYS])
def test_what_the_call_refuses_is_sent_singly(opened: ExitStack, reason: int) -> None:
    def refuses(*_: int) -> int:
        ctypes.set_errno(reason)
        return -1

    everything_arrives(opened, refuses)


def test_an_interrupted_call_is_made_again(opened: ExitStack) -> None:
    real, calls = send_many(), []
    assert real is not None

    def interrupted(*arguments: int) -> int:
        calls.append(arguments)
        if len(calls) == 1:
            ctypes.set_errno(errno.EINTR)
            return -1
        return real(*arguments)

    everything_arrives(opened, interrupted)
    assert len(calls) == 2


def test_without_the_call_everything_is_sent_singly(opened: ExitStack) -> None:
    everything_arrives(opened, None)


def everything_arrives(opened: ExitStack, many: SendMany | None) -> None:
    """Three packets at each of two peers."""
    sender = opened.enter_context(closing(udp()))
    peers = [opened.enter_context(closing(udp())) for _ in range(2)]
    batch, made = Batch(many), layouts(some_burst([900, 900, 30]), 2)
    for peer, layout in zip(peers, made, strict=True):
        batch.add(Path(sender, peer.getsockname(), (), Counters()), layout.runs)
    batch.send()
    for peer, layout in zip(peers, made, strict=True):
        assert [peer.recv(2000) for _ in packets_of(layout)] == packets_of(layout)
