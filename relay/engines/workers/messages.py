"""What the relay and its engine processes say to each other: MessagePack over a socket pair, a length before each.

Both ends are of one version, as the relay starts the other from its own files; nothing of it leaves the machine. What
is asked with a ``number`` is answered with it. Not here: who says what when (``worker.py``, ``process.py``).
"""

from __future__ import annotations

import asyncio

import msgspec

from relay.engines.base import ChannelDelivery, Picture, PictureChoice
from relay.errors import ChannelBusy, EngineFull, FragmentRejected, OfferRejected, RelayError, SessionUnknown

LENGTH_BYTES = 4
MOST_BYTES = 1024 * 1024  # an offer has at most 64 KiB (relay/web/body.py)


class _Message(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    pass


class Start(_Message, frozen=True, kw_only=True):
    """The first that a process hears."""

    port: int
    host: str
    advertise: tuple[str, ...]
    max_sessions: int


class Publish(_Message, frozen=True, kw_only=True):
    """``Engine.publish``"""

    number: int
    channel: str
    publisher: str
    offer: str


class Watch(_Message, frozen=True, kw_only=True):
    """``Engine.watch``"""

    number: int
    channel: str
    offer: str


class Patch(_Message, frozen=True, kw_only=True):
    """``Engine.patch``"""

    number: int
    session_id: str
    fragment: str


class ChoosePicture(_Message, frozen=True, kw_only=True):
    """``Engine.choose_picture``, or, without a choice, ``Engine.picture_of``"""

    number: int
    session_id: str
    chosen: PictureChoice | None


class End(_Message, frozen=True, kw_only=True):
    """``Engine.end``; a session that is gone already is no error."""

    number: int
    session_id: str


class CloseChannel(_Message, frozen=True, kw_only=True):
    """``Engine.close_channel``"""

    channel: str


class EndPublisher(_Message, frozen=True, kw_only=True):
    """``Engine.end_publisher``"""

    channel: str


class RequestKeyFrame(_Message, frozen=True, kw_only=True):
    """``Engine.request_key_frame``"""

    channel: str


class Stop(_Message, frozen=True, kw_only=True):
    """End every session, and the process. The end of the connection says the same."""


class Started(_Message, frozen=True, kw_only=True):
    """The port is bound."""

    port: int


class StartFailed(_Message, frozen=True, kw_only=True):
    """It could not be; the process ends."""

    code: int
    reason: str


class Accepted(_Message, frozen=True, kw_only=True):
    """A session was opened."""

    number: int
    channel: str
    publisher: str | None
    session_id: str
    sdp: str
    etag: str


class Patched(_Message, frozen=True, kw_only=True):
    """What ``Engine.patch`` gave, and the ETag from now on."""

    number: int
    session_id: str
    fragment: str | None
    etag: str


class PictureIs(_Message, frozen=True, kw_only=True):
    """What a viewer chose and is sent."""

    number: int
    chosen: PictureChoice
    sent: Picture


class Done(_Message, frozen=True, kw_only=True):
    """A session is over, as was asked."""

    number: int


class Refused(_Message, frozen=True, kw_only=True):
    """The engine raised one of the errors that ``Engine`` names."""

    number: int
    key: str
    status: int
    reason: str


class Ended(_Message, frozen=True, kw_only=True):
    """A session is over, whoever ended it."""

    session_id: str


class Changed(_Message, frozen=True, kw_only=True):
    """What pupils on a channel get from now on."""

    channel: str
    delivery: ChannelDelivery


class Counted(_Message, frozen=True, kw_only=True):
    """The engine's counters; said every second, so that a process that hangs is noticed."""

    figures: dict[str, float]


Asked = Publish | Watch | Patch | ChoosePicture | End
ToWorker = Start | Asked | CloseChannel | EndPublisher | RequestKeyFrame | Stop
Answered = Accepted | Patched | PictureIs | Done | Refused
FromWorker = Started | StartFailed | Answered | Ended | Changed | Counted

_ENCODER = msgspec.msgpack.Encoder()
_TO_WORKER: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_FROM_WORKER: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
_ERRORS: dict[str, type[RelayError]] = {
    error.key: error for error in (ChannelBusy, EngineFull, FragmentRejected, SessionUnknown)
}


def framed(message: ToWorker | FromWorker) -> bytes:
    """A message as bytes to write."""
    data = _ENCODER.encode(message)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


async def read_to_worker(reader: asyncio.StreamReader) -> ToWorker:
    """The next message to a process. Raises ``EOFError`` at the end, ``ConnectionError``."""
    return _TO_WORKER.decode(await _read(reader))


async def read_from_worker(reader: asyncio.StreamReader) -> FromWorker:
    """The next message from a process. Raises ``EOFError`` at the end, ``ConnectionError``."""
    return _FROM_WORKER.decode(await _read(reader))


async def _read(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
    if length > MOST_BYTES:
        raise ConnectionError(f"a message of {length} bytes")
    return await reader.readexactly(length)


def refusal(number: int, error: RelayError) -> Refused:
    """An error as a message."""
    return Refused(number=number, key=error.key, status=error.status, reason=str(error))


def error_of(refused: Refused) -> RelayError:
    """The error that a message stands for."""
    if refused.key == OfferRejected.key:
        return OfferRejected(refused.status, refused.reason)
    return _ERRORS.get(refused.key, RelayError)(refused.reason)
