"""The school as it is at one moment, looked at from every side a request needs. Immutable; read whole from the store.

A school has hundreds of rows, not millions: one small picture of it serves every request from memory, and goes on
serving when the database is locked or its disk is full.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from relay.classroom.school import Kit, Place, Room, School, SchoolClass, StreamKey


@dataclass(frozen=True, kw_only=True)
class Register:
    """Everything that is known about a relay's schools, by id; ``ended_by_hand`` are the lessons ended by command."""

    relay_id: str
    schools: dict[str, School] = field(default_factory=dict)
    classes: dict[str, SchoolClass] = field(default_factory=dict)
    rooms: dict[str, Room] = field(default_factory=dict)
    kits: dict[str, Kit] = field(default_factory=dict)
    stream_keys: dict[str, StreamKey] = field(default_factory=dict)
    ended_by_hand: frozenset[str] = frozenset()
    _by_link: dict[str, SchoolClass] = field(init=False, repr=False, compare=False)
    _by_digest: dict[str, StreamKey] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_link", {item.link: item for item in self.classes.values()})
        object.__setattr__(self, "_by_digest", {item.digest: item for item in self.stream_keys.values()})

    def class_by_link(self, link: str) -> SchoolClass | None:
        """The class that this link opens."""
        return self._by_link.get(link)

    def stream_key(self, digest: str, now_unix_ms: int) -> StreamKey | None:
        """The stream key with this digest, if it holds now."""
        key = self._by_digest.get(digest)
        return key if key is not None and key.holds(now_unix_ms) else None

    def kit(self, kit_id: str) -> Kit | None:
        """An enrolled kit that was not revoked."""
        kit = self.kits.get(kit_id)
        return None if kit is None or kit.revoked else kit

    def place(self, room_id: str) -> Place:
        """The surroundings of a room."""
        room = self.rooms[room_id]
        return Place(school=self.schools[room.school_id], room=room, school_class=self.classes[room.class_id])

    def may_publish(self, publisher: str, now_unix_ms: int) -> bool:
        """Whether a kit or stream key with this id is still welcome."""
        key = self.stream_keys.get(publisher)
        return key.holds(now_unix_ms) if key is not None else self.kit(publisher) is not None

    def room_of(self, publisher: str) -> Room | None:
        """The room that a kit or stream key belongs to."""
        owner = self.kits.get(publisher) or self.stream_keys.get(publisher)
        return None if owner is None else self.rooms[owner.room_id]
