"""Brings recorded lessons to the relay until it has all of them: the live edge first, then whatever is oldest.

One task, one request at a time, and nothing is taken for granted: the relay says what it holds, whenever one of the two
was away. What it confirmed is remembered on the card, so that the shelf knows what may go. Used by ``relay_link.py``.
Not here: the order (``backlog.py``), the requests (``recording_client.py``), how fast (``upload_rate.py``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.capture.clock import boot_clock_us
from appliance.errors import RelayRefused, RelayUnreachable
from appliance.kept_lesson import boot_id
from appliance.recordings.lesson_folder import (
    Confirmed,
    Head,
    IndexEntry,
    SegmentDamaged,
    missing,
    read_confirmed,
    read_end,
    read_head,
    read_index,
    read_init,
    read_segment,
    write_confirmed,
    write_head,
)
from appliance.recordings.shelf import Shelf
from appliance.stream.ask import RelayBusy
from appliance.stream.backlog import Backlog, LessonBacklog, Step
from appliance.stream.recording_client import NotTaken, RecordingClient, RelayFull
from appliance.supervise import Backoff
from wire.recording import numbers_in

log = logging.getLogger(__name__)

RETRY_S = (0.5, 15.0)
REFUSED_S = 60.0  # a kit that may not: it needs a person
REMEMBER_EVERY = 10  # segments: how many confirmations a kill may cost; the relay is asked for them again
TRIES = 3  # for what the relay found damaged: on its way, perhaps
SEGMENT_S = 2  # about
CLOCK_WAS_SET_US = 5_000_000  # a clock that jumped so far was wrong before


@dataclass(frozen=True, slots=True)
class UploadFigures:
    """``waiting_s``: about how much of the lessons the relay lacks. ``full``: it has said that it has no room."""

    waiting_s: int = 0
    full: bool = False


class SegmentUploader:
    """Uploads while ``run`` runs. All methods are called on the event loop."""

    def __init__(
        self,
        shelf: Shelf,
        client: RecordingClient,
        *,
        retry_s: tuple[float, float] = RETRY_S,
        refused_s: float = REFUSED_S,
    ) -> None:
        self._shelf = shelf
        self._client = client
        self._backoff = Backoff(*retry_s)
        self._refused_s = refused_s
        self._backlog = Backlog()
        self._news = asyncio.Event()
        self._retry_now = asyncio.Event()
        self._told: list[str] = []  # lessons that are new, or over
        self._tries: dict[tuple[str, int], int] = {}
        self._unremembered = 0
        self._is_full = False

    def figures(self) -> UploadFigures:
        """How it stands."""
        return UploadFigures(waiting_s=self._backlog.waiting() * SEGMENT_S, full=self._is_full)

    def recorded(self, lesson_id: str, entry: IndexEntry | None) -> None:
        """A segment is on the card; or (``None``) the lesson is over. Never blocks."""
        lesson = self._backlog.find(lesson_id)
        if lesson is not None and entry is not None:
            lesson.entries[entry.n] = entry
        else:
            self._told.append(lesson_id)
        self._news.set()

    def link_returned(self) -> None:
        """The relay is reachable again: leave what hangs, and try now."""
        self._backoff.reset()
        self._retry_now.set()

    async def run(self) -> None:
        """Upload until cancelled."""
        await asyncio.to_thread(self._shelf.recover)
        for lesson in await asyncio.to_thread(self._unconfirmed):
            self._backlog.put(lesson)
        while True:
            await self._take_news()
            step = self._backlog.next()
            if step is None:
                await self._news.wait()
                continue
            await self._try(step)

    # ---- what there is ----

    def _unconfirmed(self) -> list[LessonBacklog]:
        """For a thread: the lessons on the card that the relay may lack something of."""
        found = []
        for lesson in self._shelf.lessons():
            try:
                if not lesson.confirmed.all:
                    found.append(_read(lesson.path, lesson.head))
            except OSError as error:
                log.warning("%s: %s; the lesson stays here", lesson.path, error.strerror)
        return found

    async def _take_news(self) -> None:
        self._news.clear()
        told, self._told = self._told, []
        for lesson_id in told:
            lesson = self._backlog.find(lesson_id)
            if lesson is None:
                await self._take_in(lesson_id)
            else:
                lesson.end = await asyncio.to_thread(read_end, self._shelf.path(lesson_id))

    async def _take_in(self, lesson_id: str) -> None:
        path = self._shelf.path(lesson_id)
        try:
            head = await asyncio.to_thread(read_head, path)
            lesson = await asyncio.to_thread(_read, path, head)
        except (SegmentDamaged, OSError) as error:
            log.warning("a recorded lesson stays here until the next start: %s", error)
            return
        self._backlog.put(lesson)

    # ---- one step ----

    async def _try(self, step: Step) -> None:
        self._retry_now.clear()
        try:
            await self._unless_link_returns(step)
        except RelayFull as error:
            if not self._is_full:
                log.warning("the relay has no room for recordings; they wait on this kit (%s)", error.reason)
            self._is_full = True
            await self._pause(error.retry_after_s or self._backoff.next_s(), None)
        except RelayBusy as error:
            await self._pause(error.retry_after_s or self._backoff.next_s(), error)
        except RelayUnreachable as error:
            self._backlog.doubt()
            await self._pause(self._backoff.next_s(), error)
        except RelayRefused as error:
            await self._pause(self._refused_s, error)
        else:
            self._backoff.reset()

    async def _unless_link_returns(self, step: Step) -> None:
        """Take the step; leave it when the link has returned meanwhile: what hangs since before may hang on."""
        taking = asyncio.ensure_future(self._take(step))
        returned = asyncio.ensure_future(self._retry_now.wait())
        try:
            await asyncio.wait({taking, returned}, return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                taking.result()
            else:
                self._backlog.doubt()
        finally:
            for task in (taking, returned):
                task.cancel()
            await asyncio.wait({taking, returned})

    async def _take(self, step: Step) -> None:
        lesson = step.lesson
        if not lesson.told:
            await self._tell_of(lesson)
        elif step.segment is not None:
            await self._send(lesson, lesson.entries[step.segment])
        else:
            await self._end(lesson)

    async def _tell_of(self, lesson: LessonBacklog) -> None:
        """Say that there is this recording, and hear what the relay has of it."""
        lesson_id = lesson.head.lesson_id
        await self._put_start_right(lesson)
        try:
            await self._client.begin(lesson_id, lesson.head.started_unix_us)
        except NotTaken as error:
            if error.status != 409:  # known by another start: the relay keeps that
                self._give_up(lesson, error)
                return
        try:
            lesson.learn(await self._client.state(lesson_id))
        except NotTaken as error:
            self._give_up(lesson, error)

    async def _put_start_right(self, lesson: LessonBacklog) -> None:
        path = self._shelf.path(lesson.head.lesson_id)
        try:
            lesson.head = await asyncio.to_thread(_with_real_start, path, lesson.head)
        except OSError as error:
            log.warning("%s: %s; the lesson keeps the start that it has", path, error.strerror)

    async def _send(self, lesson: LessonBacklog, entry: IndexEntry) -> None:
        path, lesson_id = self._shelf.path(lesson.head.lesson_id), lesson.head.lesson_id
        try:
            content = await asyncio.to_thread(read_segment, path, entry)
            if entry.init not in lesson.inits_held:
                await self._client.put_init(lesson_id, entry.init, await asyncio.to_thread(read_init, path, entry.init))
                lesson.inits_held.add(entry.init)
            await self._client.put_segment(lesson_id, entry, content)
        except SegmentDamaged as error:
            log.error("a part of lesson %s is lost: %s", lesson_id, error)  # noqa: TRY400 - the card is the cause
            lesson.gone.add(entry.n)
        except NotTaken as error:
            self._refused(lesson, entry, error)
        else:
            await self._arrived(lesson, entry)

    async def _arrived(self, lesson: LessonBacklog, entry: IndexEntry) -> None:
        lesson.held.add(entry.n)
        self._tries.pop((lesson.head.lesson_id, entry.n), None)
        if self._is_full:
            self._is_full = False
            log.info("the relay has room for recordings again")
        self._unremembered += 1
        if self._unremembered >= REMEMBER_EVERY:
            await self._remember(lesson, everything=False)

    async def _end(self, lesson: LessonBacklog) -> None:
        said = lesson.ending()
        if said is None:
            return
        try:
            state = await self._client.end(lesson.head.lesson_id, said)
        except NotTaken as error:
            self._give_up(lesson, error)
            return
        lesson.learn(state)
        if not lesson.lacking:
            log.info("the relay has lesson %s%s", lesson.head.lesson_id, ", but for what is lost" if said.lost else "")
            await self._remember(lesson, everything=True)
            self._backlog.drop(lesson)

    # ---- what the relay will not take ----

    def _refused(self, lesson: LessonBacklog, entry: IndexEntry, error: NotTaken) -> None:
        """One piece: the relay may have been restarted, or it came damaged; after some tries, do without it."""
        key = (lesson.head.lesson_id, entry.n)
        self._tries[key] = self._tries.get(key, 0) + 1
        lesson.told = False  # hear again what the relay holds: an init that it has lost, a lesson that is deleted
        if self._tries[key] >= TRIES:
            log.error("segment %d of lesson %s is lost: %s", entry.n, *key[:1], error)
            lesson.gone.add(entry.n)

    def _give_up(self, lesson: LessonBacklog, error: NotTaken) -> None:
        """The whole lesson, until the next start."""
        log.error("lesson %s stays on this kit: %s", lesson.head.lesson_id, error)
        lesson.refused = True

    # ---- waiting, remembering ----

    async def _pause(self, wait_s: float, error: Exception | None) -> None:
        if error is not None:
            log.info("recordings wait: %s", error)
        try:
            async with asyncio.timeout(wait_s):
                await self._retry_now.wait()
        except TimeoutError:
            return

    async def _remember(self, lesson: LessonBacklog, *, everything: bool) -> None:
        self._unremembered = 0
        path = self._shelf.path(lesson.head.lesson_id)
        try:
            await asyncio.to_thread(write_confirmed, path, Confirmed(segments=lesson.confirmed(), all=everything))
        except OSError as error:
            log.warning("%s: %s; the relay is asked again later", path, error.strerror)


def _read(path: Path, head: Head) -> LessonBacklog:
    entries = read_index(path)
    lost = missing(path, entries)
    confirmed = read_confirmed(path)
    return LessonBacklog(
        head=head,
        entries=entries,
        end=read_end(path),
        held=set(numbers_in(confirmed.segments)),
        gone=set(numbers_in(lost)) - set(numbers_in(confirmed.segments)),
    )


def _with_real_start(path: Path, head: Head) -> Head:
    """The head, its start put right if the clock was set since the lesson began: a kit has no clock battery."""
    if head.boot_id != boot_id():
        return head
    started_unix_us = time.time_ns() // 1000 - (boot_clock_us() - head.started_boot_us)
    if abs(started_unix_us - head.started_unix_us) < CLOCK_WAS_SET_US:
        return head
    put_right = msgspec.structs.replace(head, started_unix_us=started_unix_us)
    write_head(path, put_right)
    return put_right
