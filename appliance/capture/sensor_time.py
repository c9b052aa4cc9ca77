"""From a sensor's time stamps to the lesson clock, however odd the stamps are. Pure; used by ``picamera.py``.

A driver's time stamps are on the boot clock, and mostly right. Some are not: zero, repeated, stepping back after a
restart, or from the future. Such a picture is dated by its arrival, as late as the last good one arrived.
"""

from __future__ import annotations

import math

from appliance.capture.clock import LessonClock

SLACK = 0.2  # of the camera's interval: a sensor keeps its rate to the µs, but a picture dated by its arrival does not
STALE_US = 1_000_000  # a picture waits in a driver's queue for a few intervals; a second old is a stamp gone wrong


class SensorTime:
    """One opening of one sensor."""

    def __init__(self, clock: LessonClock) -> None:
        self._clock = clock
        self._stamp_us = -1
        self._delay_us = 0
        self._newest_us = -1

    def lesson_us(self, stamp_us: int | None, arrived_boot_us: int) -> int:
        """When a picture with this stamp, which came at ``arrived_boot_us``, was captured. Rises strictly."""
        delay_us = -1 if stamp_us is None or stamp_us <= self._stamp_us else arrived_boot_us - stamp_us
        if stamp_us is not None and 0 <= delay_us < STALE_US:
            self._stamp_us, self._delay_us = stamp_us, delay_us
        captured_us = self._clock.from_boot_us(arrived_boot_us - self._delay_us)
        self._newest_us = max(captured_us, self._newest_us + 1)
        return self._newest_us


class Pace:
    """Which pictures to take from a camera that gives more than are wanted, evenly.

    A sensor rounds its frame rate up, and a narrow network wants fewer. ``fps`` is the most there ever are.
    """

    def __init__(self, fps: float) -> None:
        self._most_fps = fps
        self._slack_us = SLACK * 1_000_000 / fps
        self._interval_us = 1_000_000 / fps
        self._due_us = self._last_us = -math.inf

    def set_frame_rate(self, fps: float) -> float:
        """Take so many a second from the next one on, the most at most; returns how many. From any thread."""
        fps = min(fps, self._most_fps)
        if self._interval_us != 1_000_000 / fps:
            self._interval_us = 1_000_000 / fps
            self._due_us = -math.inf  # a rate that rises does not wait for the slow one's next picture
        return fps

    def due(self, capture_us: int) -> bool:
        """Whether to take the picture of this time: not too soon after the last, nor more than the rate in all."""
        interval_us = self._interval_us
        early_us = self._last_us + interval_us - self._slack_us
        if capture_us < max(early_us, self._due_us - self._slack_us):
            return False
        self._due_us = max(self._due_us, capture_us - interval_us) + interval_us
        self._last_us = capture_us
        return True
