"""Encoded media for the tests of ``appliance/stream``: the right form at chosen sizes and times; only some decodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction

import av
import numpy as np

from appliance.capture.base import AccessUnit, OpusFrame
from appliance.capture.clock import LessonClock
from appliance.stream.publisher import Publisher
from appliance.stream.uplink import Limits

FPS = 30
KEY_BYTES, PICTURE_BYTES = 40_000, 4_000
LIMITS = Limits(min_bps=150_000, max_bps=1_700_000, fps=FPS, pixels=1280 * 720, voice_bps=24_000)


def unit(capture_us: int, *, key_frame: bool = False, size: int = PICTURE_BYTES) -> AccessUnit:
    """An access unit of about ``size`` bytes, Annex B, with parameter sets before a key frame."""
    start = b"\x00\x00\x00\x01"
    head = start + b"\x67\x42\xe0\x1f\x11" + start + b"\x68\xce\x11" + start + b"\x65" if key_frame else start + b"\x41"
    return AccessUnit(head + b"\x5a" * size, key_frame, capture_us)


def voice(capture_us: int) -> OpusFrame:
    """A 20 ms Opus frame: SILK, mono."""
    return OpusFrame(b"\x48" + b"\x33" * 59, capture_us)


class Lesson:
    """What encoders do: pictures and voice at their rates into a publisher, and key frames when asked."""

    def __init__(self) -> None:
        self.clock = LessonClock.start()
        self.key_frames_wanted = 0
        self.asked = asyncio.Event()
        self._key_frame_due = True

    def want_key_frame(self) -> None:
        """``on_key_frame_wanted``."""
        self.key_frames_wanted += 1
        self._key_frame_due = True
        self.asked.set()

    @asynccontextmanager
    async def feeding(self, publisher: Publisher) -> AsyncIterator[None]:
        """Feed the publisher in the background."""
        task = asyncio.create_task(self._feed(publisher), name="lesson")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _feed(self, publisher: Publisher) -> None:
        voice_us = 0
        while True:
            now_us = self.clock.now_us()
            key, self._key_frame_due = self._key_frame_due, False
            publisher.picture(unit(now_us, key_frame=key, size=KEY_BYTES if key else PICTURE_BYTES))
            while voice_us + 20_000 <= now_us:
                publisher.voice(voice(voice_us))
                voice_us += 20_000
            await asyncio.sleep(1 / FPS)


def decodable(pictures: int, *, width: int = 320, height: int = 180) -> list[AccessUnit]:
    """Real H.264, constrained baseline, the first one a key frame, 1/30 s apart."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = Fraction(1, FPS)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
    units = []
    for number in range(pictures):
        luma = np.full((height * 3 // 2, width), 128, np.uint8)
        luma[:height, : 4 * number % width] = 200
        frame = av.VideoFrame.from_ndarray(luma, format="yuv420p")
        frame.pts = number
        units += [
            AccessUnit(bytes(packet), bool(packet.is_keyframe), number * 1_000_000 // FPS)
            for packet in codec.encode(frame)
        ]
    return units
