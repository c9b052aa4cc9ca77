"""The simulated camera: draws the classroom and encodes it in one thread, paced by the lesson clock.

Picture *n* of a lesson is captured at *n* / fps on the lesson clock, so two runs show the same thing at the same time.
Drawing and encoding 720p30 takes about an eighth of a desktop core (measured). Not here: what is drawn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.capture.base import AccessUnit, Luma
from appliance.capture.clock import LessonClock
from appliance.capture.h264 import US_PER_S, H264Encoder
from appliance.capture.pictures import copied, new_frame, plane_views
from appliance.capture.simulated.classroom import Classroom
from appliance.capture.simulated.room import Planes
from appliance.capture.thread import CaptureThread
from appliance.capture.threaded_camera import ThreadedCamera

QUEUED_PICTURES = 3  # a tenth of a second; when the loop is stalled longer, pictures are dropped before they are drawn


class SimulatedCamera:
    """A camera that needs no device. Construction paints the classroom (about 0.5 s at 720p); opening is immediate."""

    def __init__(
        self,
        width: int = 1280,
        height: int = 720,
        fps: int = 30,
        bitrate_bps: int = 1_700_000,
        key_frame_every_s: float = 2.0,
    ) -> None:
        self._size = width, height
        self._fps = fps
        self._bitrate_bps = bitrate_bps
        self._key_frame_every_s = key_frame_every_s
        self._classroom = Classroom(width, height)
        self._last: tuple[LessonClock, int] | None = None

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[SimulatedCameraStream]:
        """Start drawing. The first picture follows at once."""
        encoder = H264Encoder(*self._size, self._fps, self._bitrate_bps, self._key_frame_every_s, bt709=True)
        first = clock.now_us() * self._fps // US_PER_S
        if self._last is not None and self._last[0] is clock:
            first = max(first, self._last[1] + 1)
        stream = SimulatedCameraStream(self._classroom, encoder, self._size, self._fps, clock, first)
        try:
            yield stream
        finally:
            await stream.close()
            self._last = clock, stream.newest


class SimulatedCameraStream(ThreadedCamera):
    """The open camera."""

    def __init__(
        self,
        classroom: Classroom,
        encoder: H264Encoder,
        size: tuple[int, int],
        fps: int,
        clock: LessonClock,
        first: int,
    ) -> None:
        super().__init__()
        self.newest = first - 1
        self._classroom = classroom
        self._encoder = encoder
        self._fps = self._wanted_fps = fps
        self._clock = clock
        self._drawn = 0
        self._frames = [new_frame(*size) for _ in range(2)]  # in turn, so that one is whole while the other is drawn
        self._planes = [Planes(*plane_views(frame)) for frame in self._frames]
        self._start("simulated-camera", QUEUED_PICTURES)

    def force_key_frame(self) -> None:
        """Make the next picture a key frame."""
        self._encoder.force_key_frame()

    def set_bitrate(self, bits_per_s: int) -> None:
        """Aim at this rate from the next picture on."""
        self._encoder.set_bitrate(bits_per_s)

    def set_frame_rate(self, fps: int) -> None:
        """Leave pictures out before they are drawn, from the next one on."""
        self._wanted_fps = min(fps, self._fps)
        self._encoder.set_frame_rate(self._wanted_fps)

    def board(self, capture_us: int) -> Luma:
        """The board without the teacher, noise, changing light and time code, as it was at ``capture_us``."""
        return self._classroom.board(capture_us)

    def _capture(self, thread: CaptureThread[AccessUnit]) -> None:
        number = self.newest + 1
        while thread.wait_until(self._clock, self._capture_us(number)):
            # Late (a suspended laptop, a starved core): go on with the picture that is due now.
            number = max(number, self._clock.now_us() * self._fps // US_PER_S)
            if self._is_wanted(number) and thread.has_room():
                thread.put(self._encode(number))
                self.newest = number
            number += 1

    def _is_wanted(self, number: int) -> bool:
        """Evenly so many of the camera's pictures, the same ones in every run."""
        wanted = self._wanted_fps
        return number * wanted // self._fps != (number - 1) * wanted // self._fps

    def _encode(self, number: int) -> AccessUnit:
        capture_us = self._capture_us(number)
        frame = self._frames[self._drawn % 2]
        self._classroom.draw(self._planes[self._drawn % 2], capture_us)
        self._drawn += 1
        unit = self._encoder.encode(frame, capture_us)
        if self._stills.wanted():
            still = copied(frame)
            self._stills.give(lambda: still)
        return unit

    def _capture_us(self, number: int) -> int:
        return -(-number * US_PER_S // self._fps)  # rounded up: never before the picture's own time slot
