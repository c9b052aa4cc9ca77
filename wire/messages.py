"""The control channel's messages: JSON text frames over one WebSocket, kit ⇄ relay.

Not here: how they travel (``appliance/stream/control.py``, ``relay/web/control.py``) and media (WHIP).

Rules of change: a field may be added with a default; a field never changes its meaning; a reader ignores unknown
fields and skips unknown message types (``decode_*`` returns ``None``), so that either end may be the newer one.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

#: Versions of this vocabulary that this build speaks, newest first. ``Hello`` offers, ``Welcome`` chooses.
VERSIONS: tuple[int, ...] = (1,)

#: A frame larger than this is not one of ours, and is refused before it is parsed.
MAX_MESSAGE_BYTES = 16 * 1024

KitState = Literal["idle", "starting", "live", "degraded", "curtain", "ending", "fault"]
Tally = Literal["off", "connecting", "on_air", "not_live", "curtain", "fault"]
CommandKind = Literal["end_lesson", "key_frame"]


class WireError(ValueError):
    """A frame that breaks the protocol: not JSON, a known type with wrong fields, or too large."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages: immutable, tagged by ``type``."""


class LessonRef(msgspec.Struct, frozen=True, kw_only=True):
    """The lesson that a kit is in. ``lesson_id`` is 32 lower-case hex digits made by the kit."""

    lesson_id: str
    started_unix_ms: int


class Hello(_Message, frozen=True, kw_only=True, tag="hello"):
    """First frame, kit → relay: which versions the kit speaks, and what it runs."""

    versions: tuple[int, ...]
    software: str


class KitHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the kit's board is; ``None``: it cannot say. ``warnings`` are keys; a reader skips what it doesn't know."""

    temperature_c: int | None = None
    free_mb: int | None = None
    clock_synchronised: bool | None = None
    wifi_dbm: int | None = None
    warnings: tuple[str, ...] = ()


#: The warnings of this version, gravest first.
HEALTH_WARNINGS: tuple[str, ...] = (
    "under_voltage",
    "under_voltage_seen",
    "too_hot",
    "slowed",
    "disk_low",
    "clock_not_set",
    "wifi_weak",
)


class KitStatus(_Message, frozen=True, kw_only=True, tag="kit_status"):
    """Kit → relay, on every change and every ``STATUS_EVERY_S``.

    A state, not an event, so that a lost or repeated one does no harm: a status without a lesson, or with another
    one, means that the lesson before is over.
    """

    state: KitState
    tally: Tally
    lesson: LessonRef | None = None
    camera_ok: bool = True
    microphone_ok: bool = True
    health: KitHealth | msgspec.UnsetType = msgspec.UNSET
    #: What is plainly wrong with the microphone's sound: ``silent`` or ``clipping`` (a newer kit may know more);
    #: left out while nothing is. A microphone that gives no sound at all is ``microphone_ok``'s.
    sound_warning: str | msgspec.UnsetType = msgspec.UNSET
    #: Whether the running lesson is being recorded; left out without a lesson.
    recorded: bool | msgspec.UnsetType = msgspec.UNSET


class Welcome(_Message, frozen=True, kw_only=True, tag="welcome"):
    """Relay → kit, the answer to ``Hello``: the version chosen, and whom this kit teaches."""

    version: int
    school: str
    room: str
    class_name: str
    class_path: str


class Delivery(_Message, frozen=True, kw_only=True, tag="delivery"):
    """Relay → kit: what pupils really get. The tally rests on this alone.

    ``on_air`` is the relay's verdict on picture *and* sound; the rest is why. Sent on every change and at least every
    ``DELIVERY_EVERY_S``; a kit that has heard none for ``DELIVERY_STALE_S`` must not believe the last one.
    """

    lesson_id: str
    on_air: bool
    picture_fresh: bool
    sound_fresh: bool
    viewers: int
    viewers_receiving: int

    @property
    def picture_on_air(self) -> bool:
        """The verdict on the picture alone: all there is to say of a lesson that is meant to have no voice."""
        return self.picture_fresh and (self.viewers_receiving > 0 or self.viewers == 0)


class Command(_Message, frozen=True, kw_only=True, tag="command"):
    """Relay → kit: do this. ``lesson_id`` guards against a command that arrives after its lesson."""

    kind: CommandKind
    lesson_id: str
    reason: str = ""


STATUS_EVERY_S = 2.0  # slow enough for a mobile uplink, fast enough for the relay to notice a dead kit
DELIVERY_EVERY_S = 1.0
DELIVERY_STALE_S = 3.0  # two lost frames are bad luck; a third is the truth

FromKit = Hello | KitStatus
FromRelay = Welcome | Delivery | Command

_encoder = msgspec.json.Encoder()
_from_kit: msgspec.json.Decoder[FromKit] = msgspec.json.Decoder(FromKit)
_from_relay: msgspec.json.Decoder[FromRelay] = msgspec.json.Decoder(FromRelay)


class _Tag(msgspec.Struct):
    type: str


_tag = msgspec.json.Decoder(_Tag)
_KIT_TYPES = frozenset({"hello", "kit_status"})
_RELAY_TYPES = frozenset({"welcome", "delivery", "command"})


def encode(message: FromKit | FromRelay) -> str:
    """The message as one JSON text frame."""
    return _encoder.encode(message).decode()


def decode_from_kit(text: str) -> FromKit | None:
    """Read a frame that a kit sent; ``None`` for a type of a newer version. Raises ``WireError``."""
    return _decode(text, _KIT_TYPES, _from_kit)


def decode_from_relay(text: str) -> FromRelay | None:
    """Read a frame that a relay sent; ``None`` for a type of a newer version. Raises ``WireError``."""
    return _decode(text, _RELAY_TYPES, _from_relay)


_T = TypeVar("_T")


def _decode(text: str, known: frozenset[str], decoder: msgspec.json.Decoder[_T]) -> _T | None:
    if len(text) > MAX_MESSAGE_BYTES:
        raise WireError(f"a control message of {len(text)} characters; the limit is {MAX_MESSAGE_BYTES}")
    try:
        if _tag.decode(text).type not in known:
            return None
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:  # the last: 16 KiB of "[["
        raise WireError(f"not a control message: {error}") from error


def choose_version(offered: tuple[int, ...]) -> int | None:
    """The newest version that both ends speak, or ``None``."""
    return max(set(offered) & set(VERSIONS), default=None)
