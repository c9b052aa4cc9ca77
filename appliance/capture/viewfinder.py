"""What a camera sees now, for a person who sets it up: pictures decoded on the kit, with a figure for their sharpness.

A sink of ``fanout.Capture`` like any other, so the person judges what pupils will get, whatever the camera. Pictures
are decoded in a thread; when that falls behind, all but the next key frame on are left out. Not here: who may look
(``appliance/setup``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import av
import numpy as np

from appliance.capture.base import AccessUnit, OpusFrame
from appliance.capture.pictures import jpeg, plane_views
from appliance.capture.sharpness import sharpness, smoothed

MOST_WAITING = 60  # two seconds of a camera that cannot give fewer; a Pi decodes that in one


@dataclass(frozen=True, slots=True)
class Sight:
    """A picture. ``number`` rises; ``shades`` is the luma's standard deviation, of 255."""

    number: int
    jpeg: bytes
    width: int
    height: int
    sharpness: float
    shades: float


class Viewfinder:
    """The newest picture, and whoever waits for the next."""

    def __init__(self, key_frame_wanted: Callable[[], None] = lambda: None) -> None:
        self.newest: Sight | None = None
        self._key_frame_wanted = key_frame_wanted
        self._waiting: list[AccessUnit] = []
        self._came = asyncio.Event()
        self._seen = asyncio.Event()
        self._decoder: av.VideoCodecContext | None = None
        self._sharpness: float | None = None
        self._is_closed = False

    def picture(self, unit: AccessUnit) -> None:
        """Take an access unit."""
        if unit.key_frame and len(self._waiting) >= MOST_WAITING // 2:
            self._waiting.clear()
        if len(self._waiting) >= MOST_WAITING:
            self._key_frame_wanted()
            return  # the next key frame clears what waits
        self._waiting.append(unit)
        self._came.set()

    def voice(self, frame: OpusFrame) -> None:
        """The meter hears it before it is encoded."""

    async def run(self) -> None:
        """Decode until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            units, self._waiting = self._waiting, []
            number = 0 if self.newest is None else self.newest.number
            sight = await asyncio.to_thread(self._develop, units, number + 1)
            if sight is not None:
                self.newest = sight
                self._seen.set()
                self._seen = asyncio.Event()

    async def next(self, after: int, within_s: float) -> Sight | None:
        """A picture newer than number ``after``; None where none comes in time."""
        try:
            async with asyncio.timeout(within_s):
                while not self._is_closed and (self.newest is None or self.newest.number <= after):
                    await self._seen.wait()
        except TimeoutError:
            return None
        return None if self._is_closed else self.newest

    def close(self) -> None:
        """There will be no more pictures: whoever waits need not."""
        self._is_closed = True
        self._seen.set()

    def _develop(self, units: Sequence[AccessUnit], number: int) -> Sight | None:
        """In a thread, one at a time: decode all, show the last."""
        frame = None
        for unit in units:
            if self._decoder is None and not unit.key_frame:
                continue
            frame = self._decode(unit) or frame
        if frame is None:
            return None
        luma = plane_views(frame)[0]
        self._sharpness = smoothed(self._sharpness, sharpness(luma))
        return Sight(number, jpeg(frame), frame.width, frame.height, self._sharpness, float(np.std(luma)))

    def _decode(self, unit: AccessUnit) -> av.VideoFrame | None:
        if self._decoder is None:
            self._decoder = av.VideoCodecContext.create("h264", "r")
            self._decoder.thread_count = 1  # each further thread is a picture of delay
        try:
            frames = self._decoder.decode(av.Packet(unit.data))
        except av.FFmpegError:
            self._decoder = None  # begins again with the next key frame
            self._key_frame_wanted()
            return None
        return frames[-1] if frames else None
