"""One lesson's recording as the relay holds it, as plain facts; and its time line, holes included. Pure.

A recording is a value: what arrives makes a new one. Used by ``archive.py``, which keeps it, and by ``playlist.py`` and
``one_file.py``, which show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from wire.recording import RecordingEnd, RecordingState, numbers_in, ranges_of

NOMINAL_US = 2_000_000  # what a segment lasts when nothing says otherwise
SLACK_US = 100_000  # segments that are further apart do not follow each other
LONGEST_GAP_US = 4_400_000  # a hole with more time for each missing segment has a time without capture in it


class RecordingChanged(Exception):
    """Somebody else changed or deleted this recording meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """What a stretch of segments begins with; the file is in the store."""

    number: int
    size_bytes: int
    sha256: bytes
    codecs: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment that is held; the file is in the store. Times are of the lesson clock."""

    number: int
    init: int
    start_us: int
    duration_us: int
    discontinuity: bool
    size_bytes: int
    sha256: bytes

    @property
    def end_us(self) -> int:
        """Where the next one begins, unless nothing was captured in between."""
        return self.start_us + self.duration_us


class Entry(NamedTuple):
    """A place in the playlist. ``segment`` is ``None`` where one is lacking; ``begins_anew``: after a discontinuity.

    A tuple, because a long lesson has thousands, which are made anew when a hole closes.
    """

    number: int
    start_us: int
    duration_us: int
    segment: Segment | None
    begins_anew: bool


@dataclass(frozen=True, kw_only=True)
class Recording:
    """See the module. ``revision`` rises with every change; ``publisher`` is the kit that alone may add to it."""

    lesson_id: str
    class_id: str
    publisher: str
    started_unix_us: int
    revision: int = 0
    changed_unix_ms: int = 0
    inits: Mapping[int, Init] = field(default_factory=dict)
    segments: Mapping[int, Segment] = field(default_factory=dict)
    end: RecordingEnd | None = None

    def with_init(self, init: Init) -> Recording:
        """After an init has arrived."""
        return replace(self, inits={**self.inits, init.number: init}, revision=self.revision + 1)

    def with_segment(self, segment: Segment) -> Recording:
        """After a segment has arrived."""
        after = replace(self, segments={**self.segments, segment.number: segment}, revision=self.revision + 1)
        if self.end is None and self.entries and segment.number == len(self.entries):
            # The usual case, many times a second in a school: what was there stays as it is.
            last = self.entries[-1]
            after.__dict__["entries"] = (*self.entries, _entry(segment, last.start_us + last.duration_us, last.segment))
        return after

    def with_end(self, end: RecordingEnd) -> Recording:
        """After the kit has said what all there is."""
        return replace(self, end=end, revision=self.revision + 1)

    @property
    def state(self) -> RecordingState:
        """What the kit is told."""
        return RecordingState(
            segments=ranges_of(self.segments), inits=ranges_of(self.inits), ended=self.end is not None
        )

    @cached_property
    def complete(self) -> bool:
        """Whether all is here that will ever be."""
        if self.end is None:
            return False
        wanted = set(range(self.end.segments)) - set(numbers_in(self.end.lost))
        return wanted <= self.segments.keys()

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The time line, from the lesson's beginning: what is held, and the holes between."""
        return tuple(_entries(self))

    @cached_property
    def duration_us(self) -> int:
        """The playlist's time, which leaves out what was never captured."""
        return sum(entry.duration_us for entry in self.entries)

    @cached_property
    def gaps_us(self) -> tuple[tuple[int, int], ...]:
        """The holes in the playlist's time: begin and end."""
        found: list[tuple[int, int]] = []
        at_us = 0
        for entry in self.entries:
            end_us = at_us + entry.duration_us
            if entry.segment is None and found and found[-1][1] == at_us:
                found[-1] = (found[-1][0], end_us)
            elif entry.segment is None:
                found.append((at_us, end_us))
            at_us = end_us
        return tuple(found)

    def fits(self, number: int, start_us: int) -> bool:
        """Whether a segment of this number may begin then: later numbers begin later."""
        earlier = max((held for held in self.segments if held < number), default=None)
        later = min((held for held in self.segments if held > number), default=None)
        return (earlier is None or self.segments[earlier].start_us < start_us) and (
            later is None or start_us < self.segments[later].start_us
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A recording as a list of lessons shows it; times of ``gaps_ms`` are the playlist's."""

    lesson_id: str
    class_id: str
    started_unix_ms: int
    changed_unix_ms: int
    duration_ms: int
    complete: bool
    gaps_ms: tuple[tuple[int, int], ...]


def _entries(recording: Recording) -> list[Entry]:
    made: list[Entry] = []
    at_us, before = 0, None
    for number in sorted(recording.segments):
        segment = recording.segments[number]
        if number == len(made):
            made.append(_entry(segment, at_us, before))
        else:
            hole, jumps = _hole(len(made), number, at_us, segment.start_us)
            made += hole
            made.append(_entry(segment, segment.start_us, before, jumps=jumps))
        at_us, before = segment.end_us, segment
    if recording.end is not None:
        made += _hole(len(made), recording.end.segments, at_us, recording.end.duration_us)[0]
    return made


def _entry(segment: Segment, at_us: int, before: Segment | None, *, jumps: bool = False) -> Entry:
    """The entry of a segment that follows ``before``, the last that is held, and is expected at ``at_us``."""
    torn = abs(segment.start_us - at_us) > SLACK_US
    anew = segment.discontinuity or jumps or torn or (before is not None and segment.init != before.init)
    return Entry(segment.number, segment.start_us, segment.duration_us, segment, anew and segment.number > 0)


def _hole(first: int, after: int, from_us: int, to_us: int) -> tuple[list[Entry], bool]:
    """Entries for the numbers from ``first`` to before ``after``, with equal shares of the time between; and whether
    that was more time than they can have lasted, so that what follows begins anew."""
    count = after - first
    if count <= 0:
        return [], False
    span_us = to_us - from_us
    jumps = not count <= span_us <= count * LONGEST_GAP_US
    if jumps:
        span_us = count * NOMINAL_US
    edges = [from_us + span_us * index // count for index in range(count + 1)]
    lacking = [
        Entry(first + index, edges[index], edges[index + 1] - edges[index], None, begins_anew=False)
        for index in range(count)
    ]
    return lacking, jumps
