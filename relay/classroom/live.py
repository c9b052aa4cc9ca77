"""What is going on in one class now: pure. Reports of kit and engine in, the pupils' state out.

Time is an argument (``Moment``). Not here: who reports (``registry.py``) and how pupils hear of it (``relay/web``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from relay.classroom.school import EndReason, Lesson
from relay.engines.base import NOBODY, ChannelDelivery
from wire.messages import KitState

StateName = Literal["waiting", "starting", "live", "reconnecting", "curtain", "over"]

OVER_FOR_S = 15 * 60  # docs/protocol.md: who comes late learns that it is over
FOREIGN_GONE_S = 30  # a foreign publisher may stumble; it has no other way to say that it is still there
KIT_SILENT_S = 6  # three statuses missed: what the kit last said of itself counts no more
CURTAIN_OPENS_S = 3  # camera and encoder need a moment; a pupil is not told of trouble during it
LOST_AFTER_S = 6 * 3600  # longer than any school day's outage: a kit that never came back must not teach for ever


@dataclass(frozen=True, slots=True)
class Moment:
    """Now: on a monotonic clock, and as people tell time."""

    s: float
    unix_ms: int


@dataclass(slots=True)
class Running:
    """A lesson that is not over, and what was last heard of it."""

    lesson: Lesson
    heard_s: float
    kit_state: KitState | None = None
    kit_heard_s: float = float("-inf")
    media_seen: bool = False
    curtain_until_s: float = float("-inf")
    sound_warning: str | None = None

    def kit_says(self, state: KitState, now: Moment, sound_warning: str | None = None) -> None:
        """The kit reports its state, and what is wrong with its voice."""
        if self.kit_state == "curtain" and state != "curtain":
            self.curtain_until_s = now.s + CURTAIN_OPENS_S
        self.kit_state = state
        self.sound_warning = sound_warning
        self.kit_heard_s = self.heard_s = now.s

    def heard_lately(self, now: Moment) -> bool:
        """Whether the kit's own word still counts."""
        return now.s - self.kit_heard_s < KIT_SILENT_S


@dataclass(slots=True)
class LiveClass:
    """One class: its lessons that are not over (several kits may teach it, one is on stage), and the last one."""

    class_id: str
    delivery: ChannelDelivery = NOBODY
    running: dict[str, Running] = field(default_factory=dict)
    last: Lesson | None = None
    _staged: str | None = None

    def begin(self, lesson: Lesson, now: Moment, *, media_seen: bool = False) -> Running:
        """A lesson begins, or comes back (after a restart of the relay: ``media_seen``)."""
        running = Running(lesson, heard_s=now.s, media_seen=media_seen)
        self.running[lesson.lesson_id] = running
        self._look(now)
        return running

    def end(self, lesson_id: str, reason: EndReason, now: Moment) -> Lesson:
        """A lesson is over; the lesson as it is to be kept."""
        running = self.running.pop(lesson_id)
        ended_ms = now.unix_ms
        if reason in {"gone", "lost"}:  # it ended when it was last heard, not when patience did
            ended_ms -= round((now.s - running.heard_s) * 1000)
        ended_ms = max(ended_ms, running.lesson.started_unix_ms)
        self.last = replace(running.lesson, ended_unix_ms=ended_ms, end_reason=reason)
        return self.last

    def media(self, delivery: ChannelDelivery, now: Moment) -> None:
        """The engine's newest measurement."""
        self.delivery = delivery
        self._look(now)

    def overdue(self, now: Moment) -> list[tuple[Lesson, EndReason]]:
        """Lessons that nobody will end any more, and why."""
        found: list[tuple[Lesson, EndReason]] = []
        for running in self.running.values():
            silent_s = now.s - running.heard_s
            if running.lesson.foreign and silent_s >= FOREIGN_GONE_S:
                found.append((running.lesson, "gone"))
            elif silent_s >= LOST_AFTER_S:
                found.append((running.lesson, "lost"))
        return found

    def on_stage(self, now: Moment) -> Running | None:
        """The lesson that pupils are told of: who publishes, else who was heard lately, else who was there before."""

        def claim(running: Running) -> tuple[bool, bool, bool, int]:
            lesson = running.lesson
            publishes = lesson.publisher == self.delivery.publisher
            heard = lesson.foreign or running.heard_lately(now)
            return publishes, heard, lesson.lesson_id == self._staged, lesson.started_unix_ms

        chosen = max(self.running.values(), key=claim, default=None)
        self._staged = None if chosen is None else chosen.lesson.lesson_id
        return chosen

    def state(self, now: Moment) -> tuple[StateName, Lesson | None]:
        """What pupils are told: docs/protocol.md, "Pupil's state"."""
        running = self.on_stage(now)
        if running is not None:
            return self._running_state(running, now), running.lesson
        last = self.last
        if last is not None and last.ended_unix_ms is not None and now.unix_ms - last.ended_unix_ms < OVER_FOR_S * 1000:
            return "over", last
        return "waiting", None

    def sound_warning(self, now: Moment) -> str | None:
        """What pupils should know of the voice that they hear, or do not: as long as the kit's word counts."""
        running = self.on_stage(now)
        if running is None or not running.heard_lately(now) or self._running_state(running, now) != "live":
            return None
        return running.sound_warning

    def forget_last(self, now: Moment) -> None:
        """Drop the last lesson once it is no news any more."""
        if self.last is not None and self.state(now)[0] == "waiting":
            self.last = None

    def arriving(self, running: Running) -> bool:
        """Whether picture or sound of this very lesson arrives now."""
        delivery = self.delivery
        return delivery.publisher == running.lesson.publisher and (delivery.picture_fresh or delivery.sound_fresh)

    def _running_state(self, running: Running, now: Moment) -> StateName:
        heard = running.heard_lately(now)
        if heard and running.kit_state == "curtain":
            return "curtain"
        if self.arriving(running):
            return "live"
        if now.s < running.curtain_until_s:
            return "curtain"
        if not running.media_seen:
            return "starting"
        ending = heard and running.kit_state == "ending"  # the farewell second must not look like an outage
        return "live" if ending else "reconnecting"

    def _look(self, now: Moment) -> None:
        """Note which lesson is heard. A publisher that is connected is heard, be it silent."""
        for running in self.running.values():
            if running.lesson.publisher == self.delivery.publisher:
                running.heard_s = now.s
                if self.arriving(running):
                    running.media_seen = True
                    if running.kit_state != "curtain":
                        running.curtain_until_s = float("-inf")  # it is open
