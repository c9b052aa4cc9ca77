"""An engine for tests of the web layer: takes any offer that looks like SDP, and measures what it is told to.

The real engine is used where media matter (``test_real_engine.py``); here answers of every kind are wanted at will.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relay.engines.base import NOBODY, Answer, ChannelDelivery, PictureChoice, ViewerPicture
from relay.engines.subscribers import Subscribers
from relay.errors import RelayError, SessionUnknown

OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
ANSWER = "v=0\r\nan answer\r\n"


@dataclass
class RecordingEngine:
    """Implements ``relay.engines.base.Engine``."""

    refuse: RelayError | None = None
    fragment_answer: str | None = None
    channels: dict[str, str] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    publishers: dict[str, tuple[str, str]] = field(default_factory=dict)
    measured: dict[str, ChannelDelivery] = field(default_factory=dict)
    closed_channels: list[str] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)
    key_frames: list[str] = field(default_factory=list)
    chosen: dict[str, PictureChoice] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _subscribers: Subscribers = field(default_factory=Subscribers)

    async def start(self) -> None: ...

    async def close(self) -> None:
        self.channels.clear()

    async def publish(self, channel: str, publisher: str, offer: str) -> Answer:
        answer = self._accept(channel, offer)
        self.publishers[channel] = publisher, answer.session_id
        self.measure(channel, publisher=publisher)
        return answer

    async def watch(self, channel: str, offer: str) -> Answer:
        return self._accept(channel, offer)

    def _accept(self, channel: str, _offer: str) -> Answer:
        if self.refuse is not None:
            raise self.refuse
        session_id = f"session{next(self._numbers)}"
        self.channels[session_id], self.etags[session_id] = channel, "first"
        return Answer(session_id=session_id, sdp=ANSWER, etag="first")

    def channel_of(self, session_id: str) -> str:
        if session_id not in self.channels:
            raise SessionUnknown("no such session")
        return self.channels[session_id]

    def etag_of(self, session_id: str) -> str:
        self.channel_of(session_id)
        return self.etags[session_id]

    async def patch(self, session_id: str, fragment: str) -> str | None:
        self.channel_of(session_id)
        if self.refuse is not None:
            raise self.refuse
        self.fragments.append(fragment)
        if self.fragment_answer is not None:
            self.etags[session_id] = "second"
        return self.fragment_answer

    async def choose_picture(self, session_id: str, chosen: PictureChoice) -> None:
        self.channel_of(session_id)
        self.chosen[session_id] = chosen

    async def picture_of(self, session_id: str) -> ViewerPicture:
        self.channel_of(session_id)
        chosen = self.chosen.get(session_id, "auto")
        return ViewerPicture(chosen=chosen, sent="full" if chosen == "auto" else chosen)

    async def end(self, session_id: str) -> None:
        channel = self.channel_of(session_id)
        del self.channels[session_id]
        if self.publishers.get(channel, ("", ""))[1] == session_id:
            self.end_publisher(channel)

    def close_channel(self, channel: str) -> None:
        self.closed_channels.append(channel)
        self.channels = {session: on for session, on in self.channels.items() if on != channel}

    def end_publisher(self, channel: str) -> None:
        if self.publishers.pop(channel, None) is not None:
            self.measure(channel, publisher=None, picture=False, sound=False)

    def request_key_frame(self, channel: str) -> None:
        self.key_frames.append(channel)

    def delivery(self, channel: str) -> ChannelDelivery:
        return self.measured.get(channel, NOBODY)

    def subscribe(self, changed: Callable[[str], None]) -> Callable[[], None]:
        return self._subscribers.add(changed)

    def counters(self) -> Mapping[str, float]:
        """What the metrics show."""
        return {"packets_sent": 7, "sessions_now": len(self.channels)}

    def measure(
        self, channel: str, *, publisher: str | None, picture: bool = True, sound: bool = True, viewers: int = 0
    ) -> None:
        """From now on this is what pupils on the channel get."""
        self.measured[channel] = ChannelDelivery(
            publisher=publisher, picture_fresh=picture, sound_fresh=sound, viewers=viewers, viewers_receiving=viewers
        )
        self._subscribers.tell(channel)
