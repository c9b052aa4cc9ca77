"""From a sensor's time stamps to the lesson clock, however odd the stamps are. Pure; used by ``picamera.py``.

A driver's time stamps are on the boot clock, and mostly right. Some are not: zero, repeated, stepping back after a
restart, or from the future. Such a picture is dated by its arrival, as late as the last good one arrived.
"""

from __future__ import annotations

from appliance.capture.clock import LessonClock

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
    """Which pictures to take from a camera that gives more than were asked for: sensors round their frame rate up."""

    def __init__(self, fps: float) -> None:
        self._interval_us = 1_000_000 / fps
        self._due_us: float | None = None

    def due(self, capture_us: int) -> bool:
        """Whether to take the picture of this time."""
        if self._due_us is None:
            self._due_us = capture_us
        if capture_us < self._due_us - self._interval_us / 2:
            return False
        self._due_us = max(self._due_us, capture_us - self._interval_us) + self._interval_us
        return True
