"""Between the encoders and the session: what waits to be sent, and what is dropped when the network is slow.

Bounded, never blocking the encoder. Pictures are dropped whole, and up to the next key frame, because a decoder cannot
use what follows a hole; voice drops its oldest frames. Used by ``publisher.py`` (puts) and ``session.py`` (gets).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from appliance.capture.base import AccessUnit, OpusFrame

#: Older pictures are worth less than a fresh start: half a second is where a pupil begins to notice.
PICTURE_LIMIT_US = 500_000
#: 200 ms: what a jitter buffer can still use.
VOICE_LIMIT_FRAMES = 10

_T = TypeVar("_T", AccessUnit, OpusFrame)


class _Waiting(Generic[_T]):
    """A closed or open queue with one reader. Closed, it takes nothing."""

    def __init__(self) -> None:
        self._items: deque[_T] = deque()
        self._filled = asyncio.Event()
        self._open = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def open(self) -> None:
        """A session is about to take what comes from now on."""
        self._clear()
        self._open = True

    def close(self) -> None:
        """The session is over; forget what it did not take."""
        self._open = False
        self._clear()

    async def get(self) -> _T:
        """The oldest item, as soon as there is one. Safe to cancel."""
        while not self._items:
            await self._filled.wait()
        item = self._items.popleft()
        if not self._items:
            self._filled.clear()
        return item

    def _append(self, item: _T) -> None:
        self._items.append(item)
        self._filled.set()

    def _clear(self) -> None:
        self.dropped += len(self._items)
        self._items.clear()
        self._filled.clear()


class PictureQueue(_Waiting[AccessUnit]):
    """Access units from a key frame on, without a hole."""

    def __init__(self, *, limit_us: int = PICTURE_LIMIT_US) -> None:
        super().__init__()
        self._limit_us = limit_us
        self._held = False
        self.needs_key_frame = True

    def open(self) -> None:
        super().open()
        self._held = False
        self.needs_key_frame = True

    def hold(self) -> None:
        """Let nothing leave until ``release``; the next one after that is a key frame."""
        self._clear()
        self._held = self.needs_key_frame = True

    def release(self) -> None:
        """Pictures may leave again."""
        self._held = False

    def put(self, unit: AccessUnit) -> bool:
        """Take a unit. False when this one opened a hole, so that a key frame is wanted."""
        if not self._open:
            return True
        if self._held:
            self.dropped += 1
            return True
        if unit.key_frame:
            if self._overdue(unit):
                self._clear()  # a decoder can begin here: better fresh than complete
            self.needs_key_frame = False
        elif self.needs_key_frame:
            self.dropped += 1
            return True
        elif self._overdue(unit):
            self._clear()
            self.dropped += 1
            self.needs_key_frame = True
            return False
        self._append(unit)
        return True

    def _overdue(self, unit: AccessUnit) -> bool:
        return bool(self._items) and unit.capture_us - self._items[0].capture_us > self._limit_us


class VoiceQueue(_Waiting[OpusFrame]):
    """The newest voice frames."""

    def __init__(self, *, limit_frames: int = VOICE_LIMIT_FRAMES) -> None:
        super().__init__()
        self._limit_frames = limit_frames

    def put(self, frame: OpusFrame) -> None:
        """Take a frame; the oldest one goes when there are too many."""
        if not self._open:
            return
        if len(self._items) >= self._limit_frames:
            self._items.popleft()
            self.dropped += 1
        self._append(frame)
