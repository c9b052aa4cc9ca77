"""Raw peers of any ``Engine``, wherever its sockets are: all they know is the answer that it gave."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from relay.engines.base import Answer, Engine
from tests.relay.engines.raw_peer import RawPeer, endpoint, fingerprint_of, offer


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
