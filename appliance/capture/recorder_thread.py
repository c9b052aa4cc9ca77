"""The recorder's thread: takes what was captured, and has durable segments written of it, one lesson at a time.

Sound is encoded, segments are cut, written and fsynced here, so that a slow card stalls nobody. What the card refuses
is told, and tried again with the next segment. Used by ``recorder.py``, which owns the thread. Not here: where to cut
(``segmenter.py``), a segment's bytes (``cmaf.py``), the files (``recordings/``).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from typing import Protocol

from appliance.capture import cmaf
from appliance.capture.base import AccessUnit, PcmBlock
from appliance.capture.clock import LessonClock
from appliance.capture.h264 import H264Encoder
from appliance.capture.pictures import new_frame, plane_views
from appliance.capture.segmenter import Segment, Segmenter
from appliance.errors import RecordingLost
from appliance.kept_lesson import boot_id
from appliance.recordings.lesson_folder import Head, IndexEntry, LessonFolder
from appliance.recordings.shelf import Shelf

_HEADS_BYTES = 16 * 1024  # what an init, the boxes of a fragment and its line in the index need at most
_GREY = 128
_GREY_BPS = 400_000
_CAUSES = {
    errno.ENOSPC: "the card is full: remove what is not Parta's, or use a larger card",
    errno.EDQUOT: "the card is full: remove what is not Parta's, or use a larger card",
    errno.EROFS: "the card is read-only, as a worn-out one becomes: replace it",
    errno.EIO: "the card has errors: replace it",
}


@dataclass(frozen=True, slots=True)
class Begin:
    """A lesson begins, or (``goes_on``) is taken up again; ``cut_off``: a segment was in the making."""

    lesson_id: str
    clock: LessonClock
    goes_on: bool
    cut_off: bool


class Word(Enum):
    """What else there is to say to the thread."""

    PAUSE = "capture has closed, and the lesson goes on"
    FINISH = "the lesson is over"
    STOP = "the kit stops"


@dataclass(frozen=True, slots=True)
class Settled:
    """Call this when all that came before is done."""

    tell: Callable[[], object]


PAUSE, FINISH, STOP = Word.PAUSE, Word.FINISH, Word.STOP
Item = AccessUnit | PcmBlock | Begin | Settled | Word | None


class Told(Protocol):
    """Whoever hears of it, on the event loop."""

    def lost(self, trouble: RecordingLost) -> None:
        """A segment could not be kept."""
        ...

    def recorded(self, lesson_id: str, entry: IndexEntry | None) -> None:
        """A segment is kept, or (``None``) a lesson closed."""
        ...

    def key_frame_wanted(self) -> None:
        """The segment in the making has to end."""
        ...


class RecorderThread:
    """The thread's side: one lesson at a time."""

    def __init__(self, shelf: Shelf, size: tuple[int, int], told: Told, loop: asyncio.AbstractEventLoop) -> None:
        self._shelf = shelf
        self._grey = partial(_grey_key_frame, *size)
        self._told = told
        self._loop = loop
        self._lesson: Begin | None = None
        self._segmenter = Segmenter(self._grey)
        self._folder: LessonFolder | None = None
        self._newest_init: int | None = None
        self._hole = False  # a segment could not be kept
        self._to_close: list[tuple[LessonFolder, int]] = []

    def run(self, next_item: Callable[[], Item]) -> None:
        """Work until told to stop."""
        while (item := next_item()) is not STOP:
            self._do(item)
            if self._segmenter.wants_key_frame:
                self._segmenter.wants_key_frame = False
                self._tell(self._told.key_frame_wanted)
            self._close_folders()
        self._store(self._segmenter.close())

    def _do(self, item: Item) -> None:
        if isinstance(item, Begin):
            self._lesson, self._folder, self._newest_init, self._hole = item, None, None, False
            self._segmenter = Segmenter(self._grey, goes_on=item.goes_on)
        elif isinstance(item, Settled):
            item.tell()
        elif self._lesson is not None:
            self._store(self._segments(item, self._lesson.clock))
            if item is FINISH:
                self._finish(self._lesson)

    def _segments(self, item: Item, clock: LessonClock) -> list[Segment]:
        if isinstance(item, AccessUnit):
            return self._segmenter.picture(item)
        if isinstance(item, PcmBlock):
            return self._segmenter.sound(item)
        return self._segmenter.tick(clock.now_us()) if item is None else self._segmenter.close()

    def _store(self, segments: list[Segment]) -> None:
        for segment in segments:
            if self._lesson is None:
                return
            try:
                entry = self._write(self._lesson, segment)
            except OSError as error:
                self._hole = True
                self._shelf.recount()
                self._tell(self._told.lost, _trouble_of(error))
            else:
                self._hole = False
                self._tell(self._told.recorded, self._lesson.lesson_id, entry)

    def _write(self, lesson: Begin, segment: Segment) -> IndexEntry:
        media_bytes = sum(len(picture.data) for picture in segment.pictures) + sum(
            len(frame.data) for frame in segment.sound
        )
        self._shelf.make_room(media_bytes + _HEADS_BYTES)
        folder = self._folder = self._folder or self._open(lesson)
        number = folder.init_for(_init(segment))
        is_other, self._newest_init = number != self._newest_init, number
        return folder.add(
            cmaf.fragment(folder.next_number, segment.pictures, segment.end_us, segment.sound),
            init=number,
            start_us=segment.start_us,
            end_us=segment.end_us,
            discontinuity=folder.next_number > 0 and (segment.discontinuity or self._hole or is_other),
        )

    def _open(self, lesson: Begin) -> LessonFolder:
        folder = LessonFolder(self._shelf.path(lesson.lesson_id))
        clock = lesson.clock
        head = Head(
            lesson_id=lesson.lesson_id,
            started_unix_us=clock.started_unix_us,
            started_boot_us=clock.started_boot_us,
            boot_id=boot_id(),
        )
        folder.begin(head)
        if lesson.cut_off:
            folder.skip()
        return folder

    def _finish(self, lesson: Begin) -> None:
        folder = self._folder or self._folder_of_before(lesson)
        if folder is not None:
            self._to_close.append((folder, lesson.clock.now_us()))
        else:
            self._shelf.release(lesson.lesson_id)
        self._lesson = self._folder = None

    def _folder_of_before(self, lesson: Begin) -> LessonFolder | None:
        """What a kit that died recorded of a lesson that ended as soon as it went on."""
        path = self._shelf.path(lesson.lesson_id)
        try:
            return LessonFolder(path) if lesson.goes_on and path.is_dir() else None
        except OSError:
            return None  # the next start closes it

    def _close_folders(self) -> None:
        """Write down that lessons are over; on a full card again and again."""
        while self._to_close:
            folder, duration_us = self._to_close[0]
            try:
                folder.end(duration_us)
            except OSError:
                return  # it has been told: nothing else can be written either
            del self._to_close[0]
            self._shelf.release(folder.path.name)
            self._tell(self._told.recorded, folder.path.name, None)

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            return  # the loop is closed: nobody listens any more


def _init(segment: Segment) -> bytes:
    try:
        return cmaf.init(segment.sets, segment.sound_config)
    except ValueError as error:
        raise RecordingLost(f"the camera's H.264 cannot be recorded: {error}") from error


def _trouble_of(error: OSError) -> RecordingLost:
    if isinstance(error, RecordingLost):
        return error
    cause = _CAUSES.get(error.errno or 0, str(error.strerror or error))
    return RecordingLost(f"the lesson is not recorded: {cause}")


@cache
def _grey_key_frame(width: int, height: int) -> bytes:
    """What is seen of a lesson that has a voice and never had a picture."""
    frame = new_frame(width, height)
    for plane in plane_views(frame):
        plane[...] = _GREY
    return H264Encoder(width, height, 1, _GREY_BPS).encode(frame, 0).data
