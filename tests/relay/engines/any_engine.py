"""Raw peers of any ``Engine``, wherever its sockets are: all they know is the answer that it gave."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager

from relay.engines.base import Answer, Engine
from tests.relay.engines.raw_peer import RawPeer, endpoint, fingerprint_of, offer

PORTS = range(20_000, 32_000)  # below those that the kernel gives to whoever asks for any


def free_ports(count: int) -> int:
    """The first of so many UDP ports in a row that were free on this machine a moment ago."""
    while True:
        port = random.choice(PORTS)
        with ExitStack() as held:
            try:
                for number in range(count):
                    sock = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    sock.bind(("", port + number))
            except OSError:
                continue
        return port


def port_of(sdp: str) -> int:
    """The UDP port that an answer leads to."""
    found = re.search(r"a=candidate:.* 127\.0\.0\.1 (\d+) typ host", sdp)
    assert found is not None, sdp
    return int(found[1])


@asynccontextmanager
async def _connected(ask: Callable[[str], Awaitable[Answer]], direction: str) -> AsyncIterator[RawPeer]:
    peer = RawPeer(endpoint())
    await peer.open()
    try:
        answer = await ask(offer(*peer.offer_args, direction=direction))
        peer.session_id = answer.session_id
        await peer.connect(answer, port_of(answer.sdp), fingerprint_of(answer.sdp))
        yield peer
    finally:
        peer.socket.close()


def viewer_of(engine: Engine, channel: str = "7B") -> AbstractAsyncContextManager[RawPeer]:
    """A connected viewer; the port that it found is in ``to``."""
    return _connected(lambda offered: engine.watch(channel, offered), "recvonly")


def publisher_of(engine: Engine, channel: str = "7B", name: str = "kit") -> AbstractAsyncContextManager[RawPeer]:
    """A connected publisher."""
    return _connected(lambda offered: engine.publish(channel, name, offered), "sendonly")
