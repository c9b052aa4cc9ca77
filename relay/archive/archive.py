"""The archive: takes what kits send of their lessons, and hands out what is there. One per relay, on the event loop.

A file is in the store before its row is in the database, and only a row makes it part of a recording: whatever is
killed when, a recording is whole. Those in use are kept in memory and looked up again each second, because the command
line and other relays may change them. Not here: HTTP (``relay/web``), and the end of recordings (``retention.py``).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakValueDictionary

from relay.archive.boxes import VIDEO_TIMESCALE, NotFit, fragment_facts, init_facts
from relay.archive.files import FileStore, init_name, segment_name
from relay.archive.recording import Init, Recording, RecordingChanged, Segment
from relay.classroom.live import Moment
from relay.classroom.school import Lesson
from relay.errors import ArchiveUnavailable, NoRecording, RecordingRefused
from wire.recording import RecordingEnd, RecordingState, SegmentHead

FRESH_S = 1.0  # how old what pupils are shown may be
MAX_IN_MEMORY = 64  # recordings: every room of a school, and some replays; a lesson takes some 300 kB
TRIES = 3  # another relay may write the same lesson in the same moment, while a kit moves from one to the other
SLACK_US = 100_000  # between what the head says and what the media says


class Rows(Protocol):
    """What is kept of recordings beside their files (``relay/store/recordings.py``). Raises ``StoreUnavailable``."""

    async def begin(self, lesson: Lesson, started_unix_us: int, now_unix_ms: int) -> bool: ...
    async def load(self, lesson_id: str) -> Recording | None: ...
    async def revision(self, lesson_id: str) -> int | None: ...
    async def add(self, after: Recording, what: Init | Segment | RecordingEnd) -> None: ...


class Counts(Protocol):
    """Where what is taken is counted (``relay/web/metrics.py``)."""

    def segment_taken(self, size_bytes: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A body that came whole: its digest is the one that was announced."""

    body: bytes
    sha256: bytes


@dataclass(slots=True)
class _Remembered:
    recording: Recording
    checked_s: float


class Archive:
    """See the module. ``files`` are for reading."""

    def __init__(self, rows: Rows, files: FileStore, clock: Callable[[], Moment], counts: Counts) -> None:
        self._rows = rows
        self.files = files
        self._clock = clock
        self._counts = counts
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changed: Callable[[Recording], None] = _nobody

    def follow(self, changed: Callable[[Recording], None]) -> None:
        """Call ``changed`` with a recording that has segments, whenever something was added to it."""
        self._changed = changed

    # -- from kits ----------------------------------------------------------------------------------------------------

    async def begin(self, lesson: Lesson, started_unix_us: int) -> bool:
        """A kit has a recording of this lesson; False when that is known. Raises ``NoRecording``,
        ``RecordingRefused``."""
        return await self._rows.begin(lesson, started_unix_us, self._clock().unix_ms)

    async def of_kit(self, lesson_id: str, kit_id: str) -> Recording:
        """A recording as it is, for the kit that makes it. Raises ``NoRecording``."""
        recording = await self._current(lesson_id, fresh_s=0.0)
        if recording is None or recording.publisher != kit_id:
            raise NoRecording("no such recording; PUT …/recording begins one")
        return recording

    async def take_init(self, lesson_id: str, kit_id: str, number: int, upload: Upload) -> bool:
        """Keep an init; False when it is there. Raises ``NoRecording``, ``RecordingRefused``, ``ArchiveFull``,
        ``ArchiveUnavailable``."""
        try:
            facts = init_facts(upload.body)
        except NotFit as error:
            raise RecordingRefused(422, f"this is no init: {error}") from error
        init = Init(
            number=number,
            size_bytes=len(upload.body),
            sha256=upload.sha256,
            codecs=facts.codecs,
            width=facts.width,
            height=facts.height,
        )

        def add(recording: Recording) -> Recording | None:
            held = recording.inits.get(number)
            if held is not None:
                _need_same(held.sha256, upload, f"init {number}")
                return None
            return recording.with_init(init)

        return await self._take(lesson_id, kit_id, add, init, (init_name(lesson_id, number), upload.body))

    async def take_segment(self, lesson_id: str, kit_id: str, number: int, head: SegmentHead, upload: Upload) -> bool:
        """Keep a segment; False when it is there. Raises as ``take_init`` does."""
        _need_fragment(upload.body, head)
        segment = Segment(
            number=number,
            init=head.init,
            start_us=head.start_us,
            duration_us=head.duration_us,
            discontinuity=head.discontinuity,
            size_bytes=len(upload.body),
            sha256=upload.sha256,
        )

        def add(recording: Recording) -> Recording | None:
            held = recording.segments.get(number)
            if held is not None:
                _need_same(held.sha256, upload, f"segment {number}")
                return None
            _need_place(recording, segment)
            return recording.with_segment(segment)

        new = await self._take(lesson_id, kit_id, add, segment, (segment_name(lesson_id, number), upload.body))
        if new:
            self._counts.segment_taken(len(upload.body))
        return new

    async def end(self, lesson_id: str, kit_id: str, end: RecordingEnd) -> RecordingState:
        """The kit has said what all there is; what is held of it. Raises ``NoRecording``, ``RecordingRefused``."""

        def add(recording: Recording) -> Recording | None:
            if recording.end == end:
                return None
            if recording.end is not None and not _only_loses_more(recording.end, end):
                raise RecordingRefused(409, "this recording has ended otherwise")
            beyond = max(recording.segments, default=-1)
            if beyond >= end.segments:
                raise RecordingRefused(409, f"segment {beyond} is here, and there are said to be {end.segments}")
            return recording.with_end(end)

        await self._take(lesson_id, kit_id, add, end, None)
        return (await self.of_kit(lesson_id, kit_id)).state

    # -- for pupils ---------------------------------------------------------------------------------------------------

    async def shown(self, lesson_id: str) -> Recording | None:
        """A recording as it was within the last second."""
        return await self._current(lesson_id, fresh_s=FRESH_S)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _take(
        self,
        lesson_id: str,
        kit_id: str,
        add: Callable[[Recording], Recording | None],
        what: Init | Segment | RecordingEnd,
        file: tuple[str, bytes] | None,
    ) -> bool:
        """Make a recording what ``add`` makes of it (``None``: it is that already), file first."""
        async with self._lock(lesson_id):
            for _ in range(TRIES):
                after = add(await self.of_kit(lesson_id, kit_id))
                if after is None:
                    return False
                after = replace(after, changed_unix_ms=self._clock().unix_ms)
                if file is not None:
                    await self.files.put(*file)
                try:
                    await self._rows.add(after, what)
                except RecordingChanged:
                    await self._clean_up(lesson_id)
                    continue
                self._remember(after)
                if after.segments:
                    self._changed(after)
                return True
        raise ArchiveUnavailable("others write this recording at the same time")

    async def _clean_up(self, lesson_id: str) -> None:
        """After a file was put: it must not outlive a lesson that was deleted meanwhile."""
        if await self._rows.revision(lesson_id) is None:
            await self.files.forget(lesson_id)

    async def _current(self, lesson_id: str, *, fresh_s: float) -> Recording | None:
        now_s = self._clock().s
        held = self._remembered.get(lesson_id)
        if held is not None and now_s - held.checked_s < fresh_s:
            self._remembered.move_to_end(lesson_id)
            return held.recording
        revision = await self._rows.revision(lesson_id)
        if held is not None and revision == held.recording.revision:
            held.checked_s = now_s
            return held.recording
        recording = None if revision is None else await self._rows.load(lesson_id)
        if recording is None:
            self._remembered.pop(lesson_id, None)
            return None
        self._remember(recording)
        return recording

    def _remember(self, recording: Recording) -> None:
        self._remembered[recording.lesson_id] = _Remembered(recording, self._clock().s)
        self._remembered.move_to_end(recording.lesson_id)
        if len(self._remembered) > MAX_IN_MEMORY:
            self._remembered.popitem(last=False)

    def _lock(self, lesson_id: str) -> asyncio.Lock:
        return self._locks.setdefault(lesson_id, asyncio.Lock())


def _nobody(_recording: Recording) -> None:
    pass


def _need_same(held: bytes, upload: Upload, what: str) -> None:
    if held != upload.sha256:
        raise RecordingRefused(409, f"{what} is here already, with other content")


def _need_fragment(body: bytes, head: SegmentHead) -> None:
    try:
        facts = fragment_facts(body)
    except NotFit as error:
        raise RecordingRefused(422, f"this is no segment: {error}") from error
    media_us = facts.video.decode_time * 1_000_000 // VIDEO_TIMESCALE
    if abs(media_us - head.start_us) > SLACK_US:
        raise RecordingRefused(422, f"the picture begins at {media_us} µs, and start_us says {head.start_us}")


def _need_place(recording: Recording, segment: Segment) -> None:
    if segment.init not in recording.inits:
        raise RecordingRefused(409, f"init {segment.init} has not come yet")
    if recording.end is not None and segment.number >= recording.end.segments:
        raise RecordingRefused(409, f"the recording ended with {recording.end.segments} segments")
    if not recording.fits(segment.number, segment.start_us):
        raise RecordingRefused(422, "a segment with a later number begins later")


def _only_loses_more(before: RecordingEnd, after: RecordingEnd) -> bool:
    """Whether the kit says the same again, and has lost more since (its card was full)."""
    same = (before.segments, before.duration_us) == (after.segments, after.duration_us)
    return same and set(_numbers(before)) <= set(_numbers(after))


def _numbers(end: RecordingEnd) -> list[int]:
    return [number for first, last in end.lost for number in range(first, last + 1)]
