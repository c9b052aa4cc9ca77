"""Records the lesson: what is captured goes in on the event loop, and durable segments come out of a thread.

The loop only queues. The thread looks a few times a second, and at once where a segment may end: to be woken for each
of 80 items a second costs both threads more than the work does. A card that is too slow, full or broken costs the
recording alone, and is told. Used by ``kit_crew.py``. Not here: what the thread does (``recorder_thread.py``), the way
to the relay (``stream/upload.py``).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from typing import Protocol

from appliance.capture.base import AccessUnit, PcmBlock
from appliance.capture.clock import LessonClock
from appliance.capture.recorder_thread import FINISH, PAUSE, STOP, Begin, Item, RecorderThread, Settled
from appliance.errors import KitError, RecordingLost
from appliance.recordings.lesson_folder import IndexEntry
from appliance.recordings.shelf import Shelf

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2  # how often the thread looks by itself: then also time alone may end a segment
#: A segment ends with the sound up to its last picture's end, which follows the next key frame in less than this.
EAGER_US = 200_000
#: A card that stands still for longer than this (50 s of a lesson at 1.7 Mb/s) loses what comes meanwhile.
QUEUE_BYTES = 16 * 1024 * 1024
STOP_S = 1.0  # for what is queued, unless the card hangs


class RecordingWatch(Protocol):
    """Whoever is told how the recording is. Called on the event loop."""

    def recording(self, trouble: KitError | None) -> None:
        """The lesson is not being recorded (``trouble``), or is again."""
        ...

    def recorded(self, lesson_id: str, entry: IndexEntry | None) -> None:
        """A segment is on the disk for good; or (``None``) the lesson's recording is closed."""
        ...

    def key_frame_wanted(self) -> None:
        """The segment in the making has to end."""
        ...


class Recording(Protocol):
    """What the kit's crew does with a recorder. ``records``: it does, as far as the settings go."""

    @property
    def records(self) -> bool: ...

    def watch(self, watch: RecordingWatch) -> None:
        """Tell this one, from now on."""
        ...

    def begin(self, lesson_id: str, clock: LessonClock, *, goes_on: bool, cut_off: bool) -> None:
        """A lesson begins, or (``goes_on``) is taken up again by a kit that died in it; ``cut_off``: in a segment."""
        ...

    def picture(self, unit: AccessUnit) -> None:
        """Take a picture. Never blocks."""
        ...

    def sound(self, block: PcmBlock) -> None:
        """Take 20 ms of sound. Never blocks."""
        ...

    def pause(self) -> None:
        """Capture has closed."""
        ...

    def finish(self) -> None:
        """The lesson is over."""
        ...


class NoRecorder:
    """A kit that records nothing, by its settings."""

    records = False

    def watch(self, watch: RecordingWatch) -> None:
        """There is nothing to tell."""

    def begin(self, lesson_id: str, clock: LessonClock, *, goes_on: bool, cut_off: bool) -> None:
        """It is live, or lost."""

    def picture(self, unit: AccessUnit) -> None:
        """Nothing keeps it."""

    def sound(self, block: PcmBlock) -> None:
        """Nothing keeps it."""

    def pause(self) -> None:
        """Nothing was open."""

    def finish(self) -> None:
        """Nothing to close."""


class Recorder:
    """Records one lesson after another while ``run`` runs. All methods are called on the event loop."""

    records = True

    def __init__(self, shelf: Shelf, width: int, height: int, *, queue_bytes: int = QUEUE_BYTES) -> None:
        """Without a picture, a grey one of this size stands in."""
        self._shelf = shelf
        self._size = width, height
        self._items: deque[Item] = deque()
        self._wake = threading.Event()
        self._eager_until_us = 0
        self._queue_bytes = queue_bytes
        self._put_bytes = self._taken_bytes = 0  # each counted by one side alone
        self._overflows = False
        self._trouble: KitError | None = None
        self._watch: RecordingWatch | None = None

    def watch(self, watch: RecordingWatch) -> None:
        """Tell this one, from now on."""
        self._watch = watch

    async def run(self) -> None:
        """Record until cancelled; what was queued by then is still written."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def work() -> None:
            try:
                RecorderThread(self._shelf, self._size, self, loop).run(self._next)
            finally:
                loop.call_soon_threadsafe(ended.set)

        thread = threading.Thread(target=work, name="recorder", daemon=True)
        thread.start()
        try:
            await ended.wait()
            raise RuntimeError("the recorder's thread has ended by itself")
        finally:
            self._say(STOP)
            await _ended_soon(ended)
            if ended.is_set():
                thread.join()

    def begin(self, lesson_id: str, clock: LessonClock, *, goes_on: bool, cut_off: bool) -> None:
        """A lesson begins, or (``goes_on``) is taken up again by a kit that died in it; ``cut_off``: in a segment."""
        self._shelf.claim(lesson_id)
        self._trouble = None
        self._eager_until_us = 0
        self._say(Begin(lesson_id, clock, goes_on, cut_off))

    def picture(self, unit: AccessUnit) -> None:
        """Take a picture. Never blocks."""
        if unit.key_frame:
            self._eager_until_us = unit.capture_us + EAGER_US
        self._put(unit, len(unit.data))

    def sound(self, block: PcmBlock) -> None:
        """Take 20 ms of sound. Never blocks."""
        self._put(block, block.samples.nbytes)

    def pause(self) -> None:
        """Capture has closed."""
        self._say(PAUSE)

    def finish(self) -> None:
        """The lesson is over."""
        self._say(FINISH)

    async def settled(self) -> None:
        """Wait until all that was given by now is written, or was found impossible to write."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        self._say(Settled(lambda: loop.call_soon_threadsafe(done.set)))
        await done.wait()

    def _put(self, item: AccessUnit | PcmBlock, size: int) -> None:
        waiting = self._put_bytes - self._taken_bytes
        if self._overflows and waiting > self._queue_bytes // 2:
            return
        self._overflows = waiting > self._queue_bytes
        if self._overflows:
            self._say(PAUSE)
            self.lost(RecordingLost("the card is too slow: the recording has a hole here; use a faster card"))
            return
        self._put_bytes += size
        self._items.append(item)
        if item.capture_us <= self._eager_until_us:
            self._wake.set()

    def _say(self, item: Item) -> None:
        self._items.append(item)
        self._wake.set()

    def _next(self) -> Item:
        """For the thread: the next item; None when it is time to look at the clock."""
        if not self._items:
            self._wake.wait(LOOK_EVERY_S)
            self._wake.clear()  # whoever sets it has put an item before: it is seen here, or wakes the next wait
        try:
            item = self._items.popleft()
        except IndexError:
            return None
        if isinstance(item, AccessUnit):
            self._taken_bytes += len(item.data)
        elif isinstance(item, PcmBlock):
            self._taken_bytes += item.samples.nbytes
        return item

    # ---- what the thread tells, on the loop ----

    def lost(self, trouble: RecordingLost) -> None:
        """A segment could not be kept."""
        if self._trouble is None:
            log.error("not recording: %s", trouble)
            if self._watch is not None:
                self._watch.recording(trouble)
        self._trouble = trouble

    def recorded(self, lesson_id: str, entry: IndexEntry | None) -> None:
        """A segment is kept, or (``None``) a lesson closed."""
        if self._watch is None:
            return
        if entry is not None and self._trouble is not None:
            log.info("the lesson is being recorded again")
            self._trouble = None
            self._watch.recording(None)
        self._watch.recorded(lesson_id, entry)

    def key_frame_wanted(self) -> None:
        """The segment in the making has to end."""
        if self._watch is not None:
            self._watch.key_frame_wanted()


async def _ended_soon(ended: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(STOP_S):
            await ended.wait()
    except TimeoutError:
        log.warning("the recorder did not stop within %.0f s: the card hangs", STOP_S)
