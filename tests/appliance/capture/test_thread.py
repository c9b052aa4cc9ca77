"""The way from a capture thread to the loop: bounded, ending as the thread ends."""

from __future__ import annotations

import asyncio
import threading

import pytest

from appliance.capture.clock import LessonClock
from appliance.capture.thread import CaptureThread
from appliance.errors import CameraUnavailable
from tests.appliance.capture.reading import take_all


async def test_items_arrive_in_order_and_the_end_is_natural() -> None:
    def count(thread: CaptureThread[int]) -> None:
        for number in range(5):
            thread.put(number)

    thread = CaptureThread("counting", 10, count)
    assert await take_all(thread) == [0, 1, 2, 3, 4]
    await thread.close()


async def test_a_lost_device_raises_after_what_was_captured_before() -> None:
    def lose(thread: CaptureThread[int]) -> None:
        thread.put(1)
        raise CameraUnavailable("the cable was pulled")

    thread = CaptureThread("losing", 10, lose)
    assert await anext(thread) == 1
    with pytest.raises(CameraUnavailable, match="cable"):
        await anext(thread)
    with pytest.raises(CameraUnavailable, match="cable"):
        await anext(thread)
    await thread.close()


async def test_a_loop_that_does_not_read_is_never_buried() -> None:
    full = threading.Event()
    refused: list[int] = []

    def flood(thread: CaptureThread[int]) -> None:
        for number in range(100):
            if thread.has_room():
                thread.put(number)
            else:
                refused.append(number)
        full.set()

    thread = CaptureThread("flooding", 3, flood)
    assert full.wait(5)  # blocks the loop on purpose: this is the stalled reader
    assert await take_all(thread) == [0, 1, 2]
    assert len(refused) == 97
    await thread.close()


async def test_closing_wakes_a_thread_that_waits_for_a_later_time() -> None:
    clock = LessonClock.start()
    answers: list[bool] = []

    def wait(thread: CaptureThread[int]) -> None:
        answers.append(thread.wait_until(clock, 3_600_000_000))

    thread = CaptureThread("waiting", 1, wait)
    async with asyncio.timeout(2):
        await thread.close()
    assert answers == [False]


async def test_a_thread_waits_for_the_lesson_clock() -> None:
    clock = LessonClock.start()
    woke: list[int] = []

    def wait(thread: CaptureThread[int]) -> None:
        assert thread.wait_until(clock, 50_000)
        woke.append(clock.now_us())

    thread = CaptureThread("waiting", 1, wait)
    assert await take_all(thread) == []
    assert 50_000 <= woke[0] < 500_000
    await thread.close()
