"""A small school for tests of the domain."""

from __future__ import annotations

from dataclasses import dataclass, field

from relay.classroom.live import Moment
from relay.classroom.register import Register
from relay.classroom.school import Kit, Lesson, Place, Room, School, SchoolClass, StreamKey
from relay.engines.base import NOBODY, ChannelDelivery
from wire.messages import KitState, KitStatus, LessonRef

SCHOOL = School(school_id="5" * 32, name="Школа № 7")
CLASS = SchoolClass(class_id="c" * 32, school_id=SCHOOL.school_id, name="7Б", link="L" * 22)
OTHER_CLASS = SchoolClass(class_id="d" * 32, school_id=SCHOOL.school_id, name="8А", link="M" * 22)
ROOM = Room(room_id="1" * 32, school_id=SCHOOL.school_id, name="12", class_id=CLASS.class_id)
PLACE = Place(school=SCHOOL, room=ROOM, school_class=CLASS)
KIT, SECOND_KIT, KEY = "a" * 32, "b" * 32, "e" * 32
LESSON, NEXT_LESSON = "1e" * 16, "2e" * 16
START_MS = 1_700_000_000_000


def kit(kit_id: str, *, revoked: bool = False) -> Kit:
    """An enrolled kit in the room."""
    return Kit(
        kit_id=kit_id, room_id=ROOM.room_id, public_key=bytes(32), software="", enrolled_unix_ms=0, revoked=revoked
    )


def register(*, link: str = CLASS.link, revoked: bool = False, ended: frozenset[str] = frozenset()) -> Register:
    """The school's register."""
    known = SchoolClass(class_id=CLASS.class_id, school_id=SCHOOL.school_id, name=CLASS.name, link=link)
    key = StreamKey(key_id=KEY, room_id=ROOM.room_id, digest="", expires_unix_ms=2 * START_MS, revoked=False)
    return Register(
        relay_id="9" * 32,
        schools={SCHOOL.school_id: SCHOOL},
        classes={CLASS.class_id: known, OTHER_CLASS.class_id: OTHER_CLASS},
        rooms={ROOM.room_id: ROOM},
        kits={KIT: kit(KIT, revoked=revoked), SECOND_KIT: kit(SECOND_KIT)},
        stream_keys={KEY: key},
        ended_by_hand=ended,
    )


def lesson(lesson_id: str = LESSON, publisher: str = KIT, *, foreign: bool = False) -> Lesson:
    """A lesson that just began."""
    return Lesson(
        lesson_id=lesson_id,
        class_id=CLASS.class_id,
        room_id=ROOM.room_id,
        publisher=publisher,
        foreign=foreign,
        started_unix_ms=START_MS,
    )


def status(state: KitState, lesson_id: str | None = LESSON, started_unix_ms: int = START_MS) -> KitStatus:
    """A kit's report."""
    ref = None if lesson_id is None else LessonRef(lesson_id=lesson_id, started_unix_ms=started_unix_ms)
    return KitStatus(state=state, tally="off", lesson=ref)


def media(
    publisher: str | None = KIT, *, picture: bool = True, sound: bool = True, viewers: int = 0
) -> ChannelDelivery:
    """What the engine measures."""
    return ChannelDelivery(
        publisher=publisher, picture_fresh=picture, sound_fresh=sound, viewers=viewers, viewers_receiving=viewers
    )


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    passed_s: float = 0.0

    def __call__(self) -> Moment:
        return Moment(1000.0 + self.passed_s, START_MS + round(self.passed_s * 1000))


@dataclass
class RecordingStage:
    """An engine that measures what it is told to, and notes what it is asked."""

    measured: dict[str, ChannelDelivery] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def delivery(self, channel: str) -> ChannelDelivery:
        return self.measured.get(channel, NOBODY)

    def end_publisher(self, channel: str) -> None:
        self.asked.append(("end_publisher", channel))

    def close_channel(self, channel: str) -> None:
        self.asked.append(("close_channel", channel))

    def request_key_frame(self, channel: str) -> None:
        self.asked.append(("request_key_frame", channel))


@dataclass
class RecordingLog:
    """Remembers the lessons to keep."""

    kept: list[Lesson] = field(default_factory=list)

    def keep(self, lesson: Lesson) -> None:
        self.kept.append(lesson)
