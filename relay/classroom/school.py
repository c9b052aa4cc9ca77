"""What a school is made of, as plain facts. Not here: where they are kept (``relay/store``) and what is live now
(``live.py``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Why a lesson is over. ``kit``: the kit said so; ``hand``: somebody with the command line did, and the kit must
#: obey; ``gone``: a foreign publisher left; ``lost``: nothing was heard of its kit for too long.
EndReason = Literal["kit", "hand", "gone", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """A school; names are unique on a relay."""

    school_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolClass:
    """A group of pupils. ``link`` is the secret that lets them in: 128 random bits."""

    class_id: str
    school_id: str
    name: str
    link: str

    @property
    def path(self) -> str:
        """The path of the pupils' page."""
        return f"/c/{self.link}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Where a kit stands. Its lessons go to the class that is assigned to it."""

    room_id: str
    school_id: str
    name: str
    class_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """An enrolled kit: ``public_key`` is its raw Ed25519 key, 32 bytes."""

    kit_id: str
    room_id: str
    public_key: bytes
    software: str
    enrolled_unix_ms: int
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamKey:
    """A foreign publisher's bearer for a room (OBS, FFmpeg). Only its digest is kept."""

    key_id: str
    room_id: str
    digest: str
    expires_unix_ms: int
    revoked: bool

    def holds(self, now_unix_ms: int) -> bool:
        """Whether it opens anything now."""
        return not self.revoked and now_unix_ms < self.expires_unix_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One broadcast of a room to a class. ``publisher`` is a kit id, or a stream key's id when ``foreign``."""

    lesson_id: str
    class_id: str
    room_id: str
    publisher: str
    foreign: bool
    started_unix_ms: int
    ended_unix_ms: int | None = None
    end_reason: EndReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a publisher teaches, and whom."""

    school: School
    room: Room
    school_class: SchoolClass
