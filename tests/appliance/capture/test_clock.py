"""The lesson clock: one time line, also across a restart of the kit."""

from __future__ import annotations

import time

from appliance.capture.clock import LessonClock, boot_clock_us

SLEW_US = 2000  # wall time may be slewed a little against the boot clock meanwhile


def test_a_lesson_begins_at_zero_and_goes_on() -> None:
    clock = LessonClock.start()
    first, second = clock.now_us(), clock.now_us()
    assert 0 <= first <= second


def test_a_sensors_boot_time_is_put_on_the_lessons_time_line() -> None:
    clock = LessonClock.start()
    before_us, sensor_us, after_us = clock.now_us(), boot_clock_us(), clock.now_us()
    assert before_us <= clock.from_boot_us(sensor_us) <= after_us


def test_a_restarted_kit_goes_on_where_the_lesson_is_now() -> None:
    clock = LessonClock.start()
    before_us = clock.now_us()
    resumed = LessonClock.resume(clock.started_unix_us)
    assert before_us - SLEW_US <= resumed.now_us() <= clock.now_us() + SLEW_US
    assert resumed.started_unix_us == clock.started_unix_us


def test_a_lesson_from_the_future_is_not_before_its_beginning() -> None:
    tomorrow_us = time.time_ns() // 1000 + 86_400_000_000
    assert LessonClock.resume(tomorrow_us).now_us() >= 0
