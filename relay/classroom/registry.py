"""All classes as they are now: who teaches, what arrives, who must be told. One per relay, on the event loop.

Hears of kits (``relay/web/control.py``), publishers (``relay/web/whip.py``), the engine and the command line; tells
followers by waking them, and the lesson log what to keep. Does no I/O and starts no task: ``relay/app.py`` calls
``tick`` every second. Not here: the rules of one class (``live.py``).
"""

from __future__ import annotations

import logging
from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from relay.classroom.followers import Followers
from relay.classroom.links import new_id
from relay.classroom.live import LiveClass, Moment, Running, StateName
from relay.classroom.register import Register
from relay.classroom.school import EndReason, Lesson, Place
from relay.engines.base import ChannelDelivery
from relay.errors import LessonOver
from wire.messages import Command, Delivery, KitStatus

TICK_S = 1.0  # how often ``tick`` is called: viewer counts and expiries are this fresh
KEY_FRAME_PATIENCE_S = 3.0  # the engine's picture-loss requests were not heeded for so long: ask over the channel
STARTED_AT_MOST_S = 24 * 3600  # a kit whose clock says that its lesson began before this has no clock

_log = logging.getLogger(__name__)


class Stage(Protocol):
    """What the registry asks of the engine."""

    def delivery(self, channel: str) -> ChannelDelivery: ...
    def end_publisher(self, channel: str) -> None: ...
    def close_channel(self, channel: str) -> None: ...
    def request_key_frame(self, channel: str) -> None: ...


class LessonLog(Protocol):
    """Where lessons are kept; must not block and must not fail (``relay/store/lesson_log.py``)."""

    def keep(self, lesson: Lesson) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassState:
    """What pupils are told (docs/protocol.md). ``stills`` are capture times on the lesson's clock, µs;
    ``recorded_since_ms`` is when the recording of this lesson began, as soon as something of it is here."""

    state: StateName
    lesson: Lesson | None
    viewers: int
    stills: tuple[int, ...]
    sound_warning: str | None = None
    recorded_since_ms: int | None = None


class LiveRegistry:
    """See the module."""

    def __init__(self, stage: Stage, log: LessonLog, clock: Callable[[], Moment]) -> None:
        self.followers = Followers()
        self._stage = stage
        self._log = log
        self._clock = clock
        self._classes: dict[str, LiveClass] = {}
        self._lesson_of: dict[str, Running] = {}  # by publisher
        self._stills: dict[str, list[int]] = {}
        self._recorded: dict[str, int] = {}
        self._register: Register | None = None
        self._ended_by_hand: frozenset[str] = frozenset()
        self._shown: dict[str, ClassState] = {}
        self._no_picture_since_s: dict[str, float] = {}

    # -- what is asked ------------------------------------------------------------------------------------------------

    def class_state(self, class_id: str) -> ClassState:
        """What the pupils of a class are told now."""
        live, now = self._classes.get(class_id) or LiveClass(class_id), self._clock()
        state, lesson = live.state(now)
        stills = () if lesson is None else tuple(self._stills.get(lesson.lesson_id, ()))
        return ClassState(
            state=state,
            lesson=lesson,
            viewers=self._stage.delivery(class_id).viewers,
            stills=stills,
            sound_warning=live.sound_warning(now),
            recorded_since_ms=None if lesson is None else self._recorded.get(lesson.lesson_id),
        )

    def kit_delivery(self, kit_id: str) -> Delivery | None:
        """What the kit's tally rests on; ``None`` while it has no lesson."""
        running = self._lesson_of.get(kit_id)
        if running is None:
            return None
        found = self._stage.delivery(running.lesson.class_id)
        mine = found.publisher == kit_id
        return Delivery(
            lesson_id=running.lesson.lesson_id,
            on_air=mine and found.on_air,
            picture_fresh=mine and found.picture_fresh,
            sound_fresh=mine and found.sound_fresh,
            viewers=found.viewers,
            viewers_receiving=found.viewers_receiving if mine else 0,
        )

    def running_lesson(self, publisher: str) -> Lesson | None:
        """The lesson that this publisher is in."""
        running = self._lesson_of.get(publisher)
        return None if running is None else running.lesson

    def last_lesson(self, publisher: str) -> Lesson | None:
        """The lesson of this publisher that ended a little while ago: its late board stills are still taken."""
        ended = (live.last for live in self._classes.values())
        return next((lesson for lesson in ended if lesson is not None and lesson.publisher == publisher), None)

    def lesson_of(self, lesson_id: str) -> Lesson | None:
        """The lesson with this id, if it runs or ended a little while ago."""
        known = (lesson for live in self._classes.values() for lesson in _lessons_of(live))
        return next((lesson for lesson in known if lesson.lesson_id == lesson_id), None)

    def is_running(self, lesson_id: str) -> bool:
        """Whether this lesson is not over."""
        return any(running.lesson.lesson_id == lesson_id for running in self._lesson_of.values())

    def running_lessons(self) -> list[Lesson]:
        """Every lesson that is not over."""
        return [running.lesson for running in self._lesson_of.values()]

    # -- what is heard ------------------------------------------------------------------------------------------------

    def restore(self, register: Register, lessons: Iterable[Lesson], stills: Callable[[str], Iterable[int]]) -> None:
        """Take up the lessons that a former process left open; until somebody reports, they are reconnecting."""
        self._register, self._ended_by_hand = register, register.ended_by_hand
        for lesson in lessons:
            self._begin(lesson, media_seen=True, stills=stills(lesson.lesson_id))

    def kit_status(self, kit_id: str, place: Place, status: KitStatus) -> Command | None:
        """A kit's report; the answer, when there is one."""
        ref, running = status.lesson, self._lesson_of.get(kit_id)
        if running is not None and (ref is None or ref.lesson_id != running.lesson.lesson_id):
            self._end(running, "kit")
            running = None
        if ref is None or self._is_of_another(kit_id, ref.lesson_id):
            return None
        if ref.lesson_id in self._ended_by_hand:
            return Command(kind="end_lesson", lesson_id=ref.lesson_id, reason="ended by the school")
        now = self._clock()
        if running is None:
            running = self._begin_new(kit_id, place, ref.lesson_id, ref.started_unix_ms)
        elif running.lesson.started_unix_ms != ref.started_unix_ms == _believable(ref.started_unix_ms, now):
            running.lesson = replace(running.lesson, started_unix_ms=ref.started_unix_ms)  # WHIP came first
            self._log.keep(running.lesson)
        running.kit_says(status.state, now, sound_warning_of(status))
        self._publish_change(running.lesson.class_id)
        return self._missing_picture(running, now)

    def channel_for(self, publisher: str, place: Place, lesson_id: str | None) -> str:
        """Where a publisher goes: the class that its lesson began with, else its room's. Raises ``LessonOver``."""
        if lesson_id is not None and lesson_id in self._ended_by_hand:
            raise LessonOver("this lesson was ended by the school")
        if lesson_id is not None and self._is_of_another(publisher, lesson_id):
            raise LessonOver("this lesson belongs to another kit")
        running = self._lesson_of.get(publisher)
        if running is not None and lesson_id in {None, running.lesson.lesson_id}:
            return running.lesson.class_id
        return place.school_class.class_id

    def publishes(self, publisher: str, place: Place, lesson_id: str | None) -> None:
        """A publisher's session was accepted. A lesson begins unless it runs; ``lesson_id`` ``None``: a foreign one."""
        running = self._lesson_of.get(publisher)
        if running is not None and lesson_id not in {None, running.lesson.lesson_id}:
            self._end(running, "kit", keep_publisher=True)
            running = None
        if running is None:
            now_ms = self._clock().unix_ms
            running = self._begin_new(publisher, place, lesson_id or new_id(), now_ms, foreign=lesson_id is None)
        self.media_changed(running.lesson.class_id)

    def publisher_left(self, publisher: str) -> None:
        """A publisher ended its session in order: a foreign one's lesson ends by it, a kit's does not."""
        running = self._lesson_of.get(publisher)
        if running is not None and running.lesson.foreign:
            self._end(running, "gone")

    def still_taken(self, lesson_id: str, capture_us: int) -> None:
        """A board still is here."""
        for live in self._classes.values():
            known = lesson_id in {lesson.lesson_id for lesson in _lessons_of(live)}
            if known and capture_us not in self._stills.setdefault(lesson_id, []):
                insort(self._stills[lesson_id], capture_us)
                self._publish_change(live.class_id)

    def recorded(self, class_id: str, lesson_id: str, since_unix_ms: int) -> None:
        """There is something to be seen of this lesson's recording."""
        if self._recorded.get(lesson_id) != since_unix_ms and self.lesson_of(lesson_id) is not None:
            self._recorded[lesson_id] = since_unix_ms
            self._publish_change(class_id)

    def media_changed(self, class_id: str) -> None:
        """The engine says that something changed on a channel."""
        live = self._classes.get(class_id)
        if live is not None:
            live.media(self._stage.delivery(class_id), self._clock())
        self._publish_change(class_id)
        if live is not None:
            self.followers.wake_kits([running.lesson.publisher for running in live.running.values()])

    def note_register(self, after: Register) -> None:
        """The register as it is now. Acts on what the command line did: links, assignments, revocations, ends."""
        before, self._register = self._register, after
        if before is after:
            return  # nobody did anything: the usual case, once a second
        now_ms = self._clock().unix_ms
        self._ended_by_hand = after.ended_by_hand
        for running in list(self._lesson_of.values()):
            lesson = running.lesson
            if lesson.lesson_id in after.ended_by_hand or not after.may_publish(lesson.publisher, now_ms):
                self._end(running, "hand")
        for class_id, known in ({} if before is None else before.classes).items():
            now = after.classes.get(class_id)
            if now is None or now.link != known.link:
                self._stage.close_channel(class_id)
                self.followers.wake_class(class_id)
        self.followers.wake_kits()

    def tick(self) -> None:
        """Once a second: what ends by itself, and what changed without anybody saying so."""
        now = self._clock()
        for live in list(self._classes.values()):
            live.media(self._stage.delivery(live.class_id), now)
            for lesson, reason in live.overdue(now):
                self._end(self._lesson_of[lesson.publisher], reason)
            live.forget_last(now)
            if not live.running and live.last is None:
                del self._classes[live.class_id]
        for class_id in {*self._classes, *self.followers.classes()}:
            self._publish_change(class_id, with_viewers=True)
        kept = {lesson.lesson_id for live in self._classes.values() for lesson in _lessons_of(live)}
        for known in (self._stills, self._recorded):
            for lesson_id in known.keys() - kept:
                del known[lesson_id]

    # -- inside -------------------------------------------------------------------------------------------------------

    def _begin_new(
        self, publisher: str, place: Place, lesson_id: str, started_unix_ms: int, *, foreign: bool = False
    ) -> Running:
        lesson = Lesson(
            lesson_id=lesson_id,
            class_id=place.school_class.class_id,
            room_id=place.room.room_id,
            publisher=publisher,
            foreign=foreign,
            started_unix_ms=_believable(started_unix_ms, self._clock()),
        )
        own = {"parta_lesson": lesson_id}  # a field of its own in the journal
        _log.info(
            "lesson %s begins in room %s for class %s", lesson_id, place.room.name, place.school_class.name, extra=own
        )
        self._log.keep(lesson)
        return self._begin(lesson)

    def _begin(self, lesson: Lesson, *, media_seen: bool = False, stills: Iterable[int] = ()) -> Running:
        live = self._classes.setdefault(lesson.class_id, LiveClass(lesson.class_id))
        running = live.begin(lesson, self._clock(), media_seen=media_seen)
        self._lesson_of[lesson.publisher] = running
        if found := sorted(stills):
            self._stills[lesson.lesson_id] = found
        self._publish_change(lesson.class_id)
        return running

    def _end(self, running: Running, reason: EndReason, *, keep_publisher: bool = False) -> None:
        lesson = running.lesson
        live = self._classes[lesson.class_id]
        del self._lesson_of[lesson.publisher]
        self._no_picture_since_s.pop(lesson.publisher, None)
        self._log.keep(live.end(lesson.lesson_id, reason, self._clock()))
        _log.info("lesson %s is over (%s)", lesson.lesson_id, reason, extra={"parta_lesson": lesson.lesson_id})
        connected = self._stage.delivery(lesson.class_id).publisher
        if not keep_publisher and connected in {None, lesson.publisher}:  # None: it may be about to connect
            self._stage.end_publisher(lesson.class_id)
        self._publish_change(lesson.class_id)
        self.followers.wake_kits([lesson.publisher])

    def _is_of_another(self, publisher: str, lesson_id: str) -> bool:
        return any(
            running.lesson.lesson_id == lesson_id and other != publisher for other, running in self._lesson_of.items()
        )

    def _missing_picture(self, running: Running, now: Moment) -> Command | None:
        """Ask for a key frame over the control channel, where the media path's own requests have no effect."""
        lesson, delivery = running.lesson, self._stage.delivery(running.lesson.class_id)
        wanted = delivery.publisher == lesson.publisher and delivery.sound_fresh and not delivery.picture_fresh
        if not wanted or running.kit_state == "curtain":
            self._no_picture_since_s.pop(lesson.publisher, None)
            return None
        since_s = self._no_picture_since_s.setdefault(lesson.publisher, now.s)
        if now.s - since_s < KEY_FRAME_PATIENCE_S:
            return None
        self._stage.request_key_frame(lesson.class_id)
        return Command(kind="key_frame", lesson_id=lesson.lesson_id, reason="no fresh picture arrives")

    def _publish_change(self, class_id: str, *, with_viewers: bool = False) -> None:
        """Wake a class's followers if there is news. Viewer counts alone wait for the next tick, so that a whole class
        that joins at once costs one message each, not one for each other."""
        if not self.followers.follows_class(class_id):
            self._shown.pop(class_id, None)
            return
        state, shown = self.class_state(class_id), self._shown.get(class_id)
        if shown is not None and not with_viewers:
            shown = replace(shown, viewers=state.viewers)
        if state != shown:
            self._shown[class_id] = state
            self.followers.wake_class(class_id)


def sound_warning_of(status: KitStatus) -> str | None:
    """What is wrong with a kit's voice: ``lost`` without a microphone that works, else its own word."""
    if not status.microphone_ok:
        return "lost"
    return status.sound_warning if isinstance(status.sound_warning, str) else None


def _lessons_of(live: LiveClass) -> list[Lesson]:
    lessons = [running.lesson for running in live.running.values()]
    return lessons if live.last is None else [*lessons, live.last]


def _believable(started_unix_ms: int, now: Moment) -> int:
    """A kit without a battery-backed clock may think that it is 1970, or next year."""
    possible = now.unix_ms - STARTED_AT_MOST_S * 1000 <= started_unix_ms <= now.unix_ms
    return started_unix_ms if possible else now.unix_ms
