"""What of the recorded lessons the relay lacks, and what goes up next. Pure: no disk, no network, no clock.

The live edge goes first, so that whoever watches by segments is not behind; then whatever is oldest. Used by
``upload.py``. Not here: the requests (``recording_client.py``), how fast (``upload_rate.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.recordings.lesson_folder import End, Head, IndexEntry
from wire.recording import Range, RecordingEnd, RecordingState, numbers_in, ranges_of


@dataclass(slots=True)
class LessonBacklog:
    """One lesson. ``told``: the relay knows of it, and has said what it holds. ``refused``: the relay will never take
    it. ``gone``: segments that nobody has any more, or that the relay refuses."""

    head: Head
    entries: dict[int, IndexEntry] = field(default_factory=dict)
    end: End | None = None
    told: bool = False
    refused: bool = False
    held: set[int] = field(default_factory=set)
    inits_held: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)

    @property
    def lacking(self) -> list[int]:
        """The segments that the relay lacks and could have, oldest first."""
        return sorted(self.entries.keys() - self.held - self.gone)

    def edge(self) -> int | None:
        """The newest segment of a lesson that goes on, if the relay lacks it."""
        newest = max(self.entries, default=None)
        is_lacking = newest is not None and newest not in self.held and newest not in self.gone
        return newest if self.end is None and is_lacking else None

    def learn(self, state: RecordingState) -> None:
        """The relay has said what it holds."""
        self.told = True
        self.held = set(numbers_in(state.segments))
        self.inits_held = set(numbers_in(state.inits))

    def ending(self) -> RecordingEnd | None:
        """What to say at the lesson's end; None while it goes on. What the index does not know is lost, too."""
        if self.end is None:
            return None
        lost = set(range(self.end.segments)) - self.entries.keys() | self.gone
        return RecordingEnd(
            segments=self.end.segments,
            duration_us=self.end.duration_us,
            lost=ranges_of(number for number in lost - self.held if number < self.end.segments),
        )

    def confirmed(self) -> tuple[Range, ...]:
        """What the relay holds."""
        return ranges_of(self.held)


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next for a lesson: tell of it, send this segment, or (neither) say that it is all."""

    lesson: LessonBacklog
    segment: int | None = None


class Backlog:
    """All lessons that the relay may lack something of."""

    def __init__(self) -> None:
        self._lessons: dict[str, LessonBacklog] = {}

    def put(self, lesson: LessonBacklog) -> None:
        """Take a lesson in."""
        self._lessons[lesson.head.lesson_id] = lesson

    def find(self, lesson_id: str) -> LessonBacklog | None:
        """A lesson that was taken in."""
        return self._lessons.get(lesson_id)

    def drop(self, lesson: LessonBacklog) -> None:
        """The relay has all of it."""
        self._lessons.pop(lesson.head.lesson_id, None)

    def doubt(self) -> None:
        """The relay may have been restarted: ask it again what it holds."""
        for lesson in self._lessons.values():
            lesson.told = False

    def next(self) -> Step | None:
        """What goes up next; None when the relay has everything there is."""
        open_lessons = [lesson for lesson in self._oldest_first() if not lesson.refused]
        for lesson in reversed(open_lessons):
            if (edge := lesson.edge()) is not None:
                return Step(lesson, edge)
        for lesson in open_lessons:
            if lacking := lesson.lacking:
                return Step(lesson, lacking[0])
            if lesson.end is not None:
                return Step(lesson)
        return None

    def waiting(self) -> int:
        """How many segments the relay lacks and could have."""
        open_lessons = (lesson for lesson in self._lessons.values() if not lesson.refused)
        return sum(len(lesson.entries.keys() - lesson.held - lesson.gone) for lesson in open_lessons)

    def _oldest_first(self) -> Iterable[LessonBacklog]:
        return sorted(self._lessons.values(), key=lambda lesson: lesson.head.started_unix_us)
