"""Where a recording is cut: pictures, sound and the time go in, segments come out.

Pure: no file, no clock, no thread. A segment begins with a key frame and lasts to the first one that comes 1.8 seconds
later. Each source covers for the other: without pictures, the last key frame stands still under the voice; without
sound, there is silence. What nobody captured (the curtain, a dead kit) is a hole, and what follows it says so.
Used by ``recorder.py``. Not here: a segment's bytes (``cmaf.py``), its number and its file (``recordings/``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from appliance.capture.aac import FRAME_SAMPLES, AacFrame, AacLine, place_of
from appliance.capture.base import SAMPLE_RATE_HZ, AccessUnit, PcmBlock
from appliance.capture.cmaf import ParameterSets, Picture

US_PER_S = 1_000_000
#: What a kit that dies loses is less than this, the wait for the sound, and the write: 2 s in all are promised.
TARGET_US = 1_800_000
HALF_PICTURE_US = 100_000  # key frames come give or take half a picture: so much at 5 a second
ASK_KEY_US = 3 * US_PER_S  # without one by then it is asked for, so that a segment is over within 4 s
#: A camera counts from its last key frame: one that somebody asked for amid a segment would make that up to twice as
#: long, and a kit that dies lose as much. Asked for this early, the next one is there after a picture or two.
ASK_OUT_OF_STEP_US = TARGET_US - 50_000
ASK_AGAIN_US = 1 * US_PER_S
MOST_US = 9 * US_PER_S  # no key frame whatever was asked: the wire's limit is 10 s
STILL_US = 1 * US_PER_S  # a camera that gives nothing for so long is not waited for
SOUND_LATE_US = 500_000  # a microphone's block goes out 170 ms after its end at the latest
NOTHING_US = 3 * US_PER_S  # neither picture nor sound for so long: a hole begins
PICTURE_US = 33_333  # how long a picture lasts that is the only one

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the lesson, ``start_us`` to ``end_us`` on its clock. ``discontinuity``: a hole lies before it."""

    start_us: int
    end_us: int
    sets: ParameterSets
    pictures: tuple[Picture, ...]
    sound: tuple[AacFrame, ...]
    sound_config: bytes
    discontinuity: bool


@dataclass(frozen=True, slots=True)
class _Key:
    """A key frame, and what a decoder needs to know before it."""

    data: bytes
    at_us: int
    sets: ParameterSets


class Segmenter:
    """One lesson's cutter. Every method returns the segments that became whole.

    ``grey`` makes a key frame for a lesson that never had a picture. ``goes_on``: the lesson was recorded before, by a
    kit that died.
    """

    def __init__(self, grey: Callable[[], bytes], *, goes_on: bool = False) -> None:
        self._grey = grey
        self._last_key: _Key | None = None
        self._hole = goes_on
        self._now_us = 0
        self._asked_us: int | None = None
        self.wants_key_frame = False  # set when one must come, cleared by whoever asks for it
        self._line: AacLine | None = None  # none: nothing is captured
        self._start_us = self._last_us = self._last_picture_us = 0
        self._picture_us = PICTURE_US
        self._pictures_from_us = 0  # what was captured before is too late for the segment in the making
        self._pictures: deque[Picture] = deque()
        self._keys: deque[_Key] = deque()  # those among them
        self._needs_key = True  # without a key frame first, the next picture cannot be decoded
        self._frames: deque[AacFrame] = deque()
        self._still: _Key | None = None  # what is seen from the start on, when no key frame stands there

    def picture(self, unit: AccessUnit) -> list[Segment]:
        """Take a picture."""
        made = self.tick(unit.capture_us)
        key = _key_of(unit)
        if (self._line is not None and unit.capture_us < self._pictures_from_us) or (self._needs_key and key is None):
            self._ask()  # what it refers to is in no segment
            return made
        if self._line is None:
            self._begin(unit.capture_us)
        self._needs_key = False
        self._pictures.append(Picture(unit.data, unit.capture_us))
        if key is not None:
            self._keys.append(key)
        self._picture_us = min(max(unit.capture_us - self._last_picture_us, 1), US_PER_S)
        self._last_picture_us, self._last_us = unit.capture_us, max(self._last_us, unit.capture_us)
        return made + self._cut_all()

    def sound(self, block: PcmBlock) -> list[Segment]:
        """Take 20 ms of sound."""
        line = self._line or self._begin(block.capture_us)
        self._frames += line.put(block)
        self._last_us = max(self._last_us, line.end * US_PER_S // SAMPLE_RATE_HZ)
        return self.tick(self._last_us)

    def tick(self, now_us: int) -> list[Segment]:
        """The lesson clock says so."""
        self._now_us = max(self._now_us, now_us)
        if self._line is None:
            return []
        made = self._cut_all()
        if self._now_us - self._last_us > NOTHING_US:
            made += self.close()
        return made

    def close(self) -> list[Segment]:
        """Nothing is captured any more: what there is becomes the last segment before a hole."""
        if self._line is None:
            return []
        made: list[Segment] = []
        while (at_us := self._next_key_frame_cut()) is not None:
            made.append(self._cut(self._line, at_us))
        end_us = max(self._last_us, self._last_picture_us + self._picture_us if self._pictures else 0)
        if end_us > self._start_us:
            made.append(self._cut(self._line, end_us))
        self._hole = True
        self._begin_anew()
        return made

    def _begin_anew(self) -> None:
        self._line = self._still = None
        self._pictures.clear()
        self._keys.clear()
        self._frames.clear()
        self._needs_key, self._picture_us = True, PICTURE_US

    def _begin(self, at_us: int) -> AacLine:
        self._start_us = self._last_us = self._last_picture_us = at_us
        self._now_us, self._pictures_from_us = max(self._now_us, at_us), at_us
        self._line = AacLine(place_of(at_us))
        return self._line

    # ---- where to cut ----

    def _cut_all(self) -> list[Segment]:
        made: list[Segment] = []
        while self._line is not None and (end_us := self._next_cut()) is not None:
            is_late = self._now_us >= end_us + SOUND_LATE_US
            if self._line.encoded_end < place_of(end_us) and not is_late:
                break
            made.append(self._cut(self._line, end_us))
        return made

    def _next_cut(self) -> int | None:
        """Where the segment in the making ends, once that is known."""
        at_us = self._next_key_frame_cut()
        return self._cut_without_key_frame() if at_us is None else at_us

    def _next_key_frame_cut(self) -> int | None:
        sets = None if self._still is None else self._still.sets
        for key in self._keys:
            is_other = sets is not None and key.sets != sets
            if key.at_us > self._start_us and (is_other or key.at_us >= self._start_us + TARGET_US - HALF_PICTURE_US):
                return key.at_us
            sets = key.sets
        return None

    def _cut_without_key_frame(self) -> int | None:
        newest_us = self._pictures[-1].at_us if self._pictures else self._start_us
        stands_still = self._now_us - max(self._last_picture_us, self._start_us) >= STILL_US
        if stands_still and self._now_us >= self._start_us + TARGET_US + STILL_US:
            return max(self._start_us + TARGET_US, newest_us + self._picture_us)
        if newest_us >= self._start_us + MOST_US:
            return newest_us + 1
        out_of_step = bool(self._keys) and self._keys[-1].at_us > self._start_us
        if newest_us >= self._start_us + (ASK_OUT_OF_STEP_US if out_of_step else ASK_KEY_US):
            self._ask()
        return None

    def _ask(self) -> None:
        if self._asked_us is None or self._now_us - self._asked_us >= ASK_AGAIN_US:
            self._asked_us, self.wants_key_frame = self._now_us, True

    # ---- the cut ----

    def _cut(self, line: AacLine, end_us: int) -> Segment:
        start_us, end = self._start_us, place_of(end_us)
        self._frames += line.fill(end)
        sound = _taken(self._frames, lambda frame: frame.place < end)
        if not sound:  # it is shorter than a frame
            self._frames += line.fill(end + FRAME_SAMPLES)
            sound = [self._frames.popleft()]
        pictures = _taken(self._pictures, lambda picture: picture.at_us < end_us)
        keys = _taken(self._keys, lambda key: key.at_us < end_us)
        still = self._stands_at_start(pictures)
        shown = [Picture(still.data, start_us)] if still is not None else []
        shown += [*pictures] if shown else [Picture(pictures[0].data, start_us), *pictures[1:]]
        self._last_key = key = keys[-1] if keys else still or self._last_key_frame()
        hole, self._hole = self._hole, False
        self._go_on_from(end_us)
        return Segment(start_us, end_us, key.sets, tuple(shown), tuple(sound), line.config, hole)

    def _stands_at_start(self, pictures: list[Picture]) -> _Key | None:
        """The key frame that stands there until the first picture comes. Where a first picture comes with no picture
        before it, it is shown a little early instead."""
        if not pictures:
            return self._still or self._last_key_frame()
        return self._still if pictures[0].at_us > self._start_us else None

    def _last_key_frame(self) -> _Key:
        if self._last_key is None:
            data = self._grey()
            self._last_key = _Key(data, 0, ParameterSets.of(data))
        return self._last_key

    def _go_on_from(self, end_us: int) -> None:
        self._start_us = end_us
        begins_with_key = bool(self._keys) and self._keys[0].at_us == end_us
        self._still = None if begins_with_key else self._last_key
        if not begins_with_key:
            self._pictures_from_us, self._needs_key = end_us, True


def _key_of(unit: AccessUnit) -> _Key | None:
    if not unit.key_frame:
        return None
    try:
        return _Key(unit.data, unit.capture_us, ParameterSets.of(unit.data))
    except ValueError:
        return None  # no place where a decoder could begin


def _taken(queue: deque[T], belongs: Callable[[T], bool]) -> list[T]:
    """The first ones that belong, taken off."""
    found: list[T] = []
    while queue and belongs(queue[0]):
        found.append(queue.popleft())
    return found
