"""The lesson clock: one time line for everything that a lesson captures.

A time on it is µs since the lesson began. It is driven by the boot clock (which sensor timestamps use, and which no
NTP step can move), and anchored once to wall time for people. Not here: the sound card's own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def boot_clock_us() -> int:
    """µs on CLOCK_BOOTTIME: monotonic, and counting through suspend."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


@dataclass(frozen=True, slots=True)
class LessonClock:
    """A lesson's time line. ``started_boot_us`` and ``started_unix_us`` are the same instant on two clocks."""

    started_boot_us: int
    started_unix_us: int
    boot_us: Callable[[], int] = boot_clock_us

    @classmethod
    def start(cls) -> LessonClock:
        """A clock whose zero is now."""
        return cls(started_boot_us=boot_clock_us(), started_unix_us=time.time_ns() // 1000)

    @classmethod
    def resume(cls, started_unix_us: int) -> LessonClock:
        """The clock of a lesson that began before this process did, at ``started_unix_us``."""
        elapsed_us = max(0, time.time_ns() // 1000 - started_unix_us)
        return cls(started_boot_us=boot_clock_us() - elapsed_us, started_unix_us=started_unix_us)

    def now_us(self) -> int:
        """µs since the lesson began."""
        return self.boot_us() - self.started_boot_us

    def from_boot_us(self, boot_us: int) -> int:
        """A boot-clock time, such as a sensor's, on the lesson's time line."""
        return boot_us - self.started_boot_us
