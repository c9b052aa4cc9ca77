"""The engine protocol: what the web layer and the classroom ask of whatever carries live media.

A leaf of ``engines``. A *channel* is one class's live stage, named by the class's id: it exists as soon as somebody
publishes to it or watches it. At most one publisher is on it; its viewers belong to the channel, not to the
publisher, and outlive it. Not here: who may do what (``relay/web``), and what a lesson is (``relay/classroom``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

#: What a viewer is sent of the picture: all of it; key frames only; nothing.
Picture = Literal["full", "slow", "voice"]
#: What a viewer may ask for: one of these, whatever its line, or what its line bears.
PictureChoice = Literal["auto", "full", "slow", "voice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A session that was accepted. ``session_id`` is unguessable (128 bits, URL-safe); ``etag`` names its ICE
    credentials (RFC 9725 §4.3.3) and is unquoted here."""

    session_id: str
    sdp: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerPicture:
    """What one viewer ``chose``, and what it is ``sent`` now."""

    chosen: PictureChoice
    sent: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDelivery:
    """What pupils on a channel really get, as measured within the last second or so.

    ``publisher`` is who publishes (connected, media or not), or ``None``. ``picture_fresh``: pictures keep arriving
    and the newest key frame is recent enough for a joiner. ``sound_fresh``: voice packets keep arriving and are not
    dead silence. ``viewers``: connected sessions; ``viewers_receiving``: those whose own reports say that packets
    arrive.
    """

    publisher: str | None
    picture_fresh: bool
    sound_fresh: bool
    viewers: int
    viewers_receiving: int

    @property
    def on_air(self) -> bool:
        """Fresh picture and sound reach viewers, or would if one joined: the truth that the tally shows."""
        reached = self.viewers_receiving > 0 or self.viewers == 0
        return self.publisher is not None and self.picture_fresh and self.sound_fresh and reached


#: What pupils on a channel get where nobody is.
NOBODY = ChannelDelivery(publisher=None, picture_fresh=False, sound_fresh=False, viewers=0, viewers_receiving=0)


class Engine(Protocol):
    """Live media, one per relay. What is awaited may be answered by another process (``workers``); what is not is
    known here, and takes effect soon."""

    async def start(self) -> None:
        """Bind sockets and run. Raises ``OSError`` when the port is taken."""
        ...

    async def close(self) -> None:
        """End every session (peers get a DTLS close_notify) and release everything. Safe to call twice."""
        ...

    async def publish(self, channel: str, publisher: str, offer: str) -> Answer:
        """Accept a sendonly WHIP offer. The same publisher replaces its older session.

        Raises ``OfferRejected``, ``ChannelBusy``, ``EngineFull``; then nothing was allocated.
        """
        ...

    async def watch(self, channel: str, offer: str) -> Answer:
        """Accept a recvonly WHEP offer; the viewer may wait for a publisher. Raises ``OfferRejected``,
        ``EngineFull``."""
        ...

    def channel_of(self, session_id: str) -> str:
        """The channel that a session is on. Raises ``SessionUnknown``."""
        ...

    def etag_of(self, session_id: str) -> str:
        """The session's present ETag. Raises ``SessionUnknown``."""
        ...

    async def patch(self, session_id: str, fragment: str) -> str | None:
        """Apply an SDP fragment (RFC 8840). ``None``: trickled candidates taken; text: the fragment that answers an
        ICE restart, after which ``etag_of`` has changed. Raises ``SessionUnknown``, ``FragmentRejected``."""
        ...

    async def choose_picture(self, session_id: str, chosen: PictureChoice) -> None:
        """A viewer's own wish. Raises ``SessionUnknown``, also for a publisher's session."""
        ...

    async def picture_of(self, session_id: str) -> ViewerPicture:
        """What a viewer is sent of the picture. Raises ``SessionUnknown``, also for a publisher's session."""
        ...

    async def end(self, session_id: str) -> None:
        """End one session and free everything of it. Raises ``SessionUnknown``."""
        ...

    def close_channel(self, channel: str) -> None:
        """End every session on a channel: its class link was rotated, or it is gone."""
        ...

    def end_publisher(self, channel: str) -> None:
        """End the publisher's session on a channel, if there is one; viewers stay."""
        ...

    def request_key_frame(self, channel: str) -> None:
        """Ask the publisher for a key frame, merged and debounced."""
        ...

    def delivery(self, channel: str) -> ChannelDelivery:
        """What pupils on this channel get now."""
        ...

    def counters(self) -> Mapping[str, float]:
        """Totals since the start, and how things are now (``*_now``)."""
        ...

    def subscribe(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """Call ``changed(channel)`` on the event loop when a publisher or viewer comes or goes, or freshness turns.
        Returns the unsubscriber."""
        ...
