"""The embedded engine as the relay's only one, in its own process: ``Engine`` without a way between."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relay.engines.base import Answer, ChannelDelivery, PictureChoice, ViewerPicture
from relay.engines.embedded.engine import EmbeddedEngine


class InProcess:
    """``Engine`` by ``engine``, which its owner may also use as it is."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine

    async def start(self) -> None:
        """Bind sockets and run. Raises ``OSError`` when the port is taken."""
        await self._engine.start()

    async def close(self) -> None:
        """End every session and release everything. Safe to call twice."""
        await self._engine.close()

    async def publish(self, channel: str, publisher: str, offer: str) -> Answer:
        """Accept a WHIP offer."""
        return self._engine.publish(channel, publisher, offer)

    async def watch(self, channel: str, offer: str) -> Answer:
        """Accept a WHEP offer."""
        return self._engine.watch(channel, offer)

    def channel_of(self, session_id: str) -> str:
        """The channel that a session is on."""
        return self._engine.channel_of(session_id)

    def etag_of(self, session_id: str) -> str:
        """The session's present ETag."""
        return self._engine.etag_of(session_id)

    async def patch(self, session_id: str, fragment: str) -> str | None:
        """Trickle or ICE restart."""
        return self._engine.patch(session_id, fragment)

    async def choose_picture(self, session_id: str, chosen: PictureChoice) -> None:
        """A viewer's own wish."""
        self._engine.choose_picture(session_id, chosen)

    async def picture_of(self, session_id: str) -> ViewerPicture:
        """What a viewer is sent of the picture."""
        return self._engine.picture_of(session_id)

    async def end(self, session_id: str) -> None:
        """End one session."""
        self._engine.end(session_id)

    def close_channel(self, channel: str) -> None:
        """End every session on a channel."""
        self._engine.close_channel(channel)

    def end_publisher(self, channel: str) -> None:
        """End the publisher's session."""
        self._engine.end_publisher(channel)

    def request_key_frame(self, channel: str) -> None:
        """Ask the publisher for a key frame."""
        self._engine.request_key_frame(channel)

    def delivery(self, channel: str) -> ChannelDelivery:
        """What pupils on this channel get now."""
        return self._engine.delivery(channel)

    def counters(self) -> Mapping[str, float]:
        """What the engine counted."""
        return self._engine.counters()

    def subscribe(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """Be told of changes."""
        return self._engine.subscribe(changed)
