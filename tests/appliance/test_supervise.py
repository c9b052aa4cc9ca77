"""Keeping things running: what is retried, how long it waits, and what passes through."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from appliance.errors import CameraUnavailable, KitError
from appliance.supervise import LOOKS, Backoff, deadline, expecting, keep_running


def _least(low: float, high: float) -> float:
    return low


def _most(low: float, high: float) -> float:
    return high


def test_waits_double_up_to_the_ceiling_and_start_over_when_it_works() -> None:
    backoff = Backoff(1, 30, draw=_most)
    assert [backoff.next_s() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next_s() == 1


def test_jitter_takes_up_to_half_away() -> None:
    backoff = Backoff(1, 30, draw=_least)
    assert [backoff.next_s() for _ in range(6)] == [0.5, 1, 2, 4, 8, 15]
    drawn = [Backoff(8, 30).next_s() for _ in range(200)]
    assert all(4 <= wait_s <= 8 for wait_s in drawn)
    assert len(set(drawn)) > 100


def test_a_thousand_attempts_do_not_overflow() -> None:
    backoff = Backoff(1, 30, draw=_most)
    assert [backoff.next_s() for _ in range(2000)][-1] == 30


class _Source:
    """Ends in each of the given ways, then returns."""

    def __init__(self, *ends: Exception) -> None:
        self.ends = list(ends)
        self.runs = 0

    async def run(self) -> None:
        self.runs += 1
        if self.ends:
            raise self.ends.pop(0)


async def test_a_source_that_fails_is_run_again_until_it_ends_by_itself_and_each_new_reason_is_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unplugged = CameraUnavailable("the camera is unplugged")
    source = _Source(unplugged, unplugged, TimeoutError(), OSError("no such device"))
    with caplog.at_level(logging.INFO):
        await asyncio.wait_for(keep_running("camera", source.run, Backoff(0.001, 0.001)), 5)
    assert source.runs == 5
    said = [record.getMessage().rpartition(";")[0] for record in caplog.records]
    assert said == ["camera: the camera is unplugged", "camera: TimeoutError", "camera: no such device"]


async def test_cancelling_stops_it_in_a_run_and_in_a_wait() -> None:
    for source in (_Source(OSError("gone")), _Source()):
        started = asyncio.Event()

        async def run(source: _Source = source, started: asyncio.Event = started) -> None:
            started.set()
            await source.run()
            await asyncio.Event().wait()

        task = asyncio.create_task(keep_running("camera", run, Backoff(60, 60)))
        await asyncio.wait_for(started.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_bug_is_not_retried() -> None:
    source = _Source(ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError):
        await keep_running("camera", source.run, Backoff(0.001, 0.001))
    assert source.runs == 1


async def test_a_run_that_lasted_forgets_the_failures_before_it() -> None:
    backoff = Backoff(0.001, 64, settled_s=0, draw=_most)  # every run counts as one that lasted
    source = _Source(*[OSError("gone")] * 12)
    await asyncio.wait_for(keep_running("camera", source.run, backoff), 4)  # twelve doublings take longer than that
    assert backoff.next_s() == 0.002


async def test_a_stage_that_hangs_is_abandoned_and_named(caplog: pytest.LogCaptureFixture) -> None:
    async with deadline("the camera", 0.01):
        await asyncio.Event().wait()
    assert "stopping: the camera did not finish within" in caplog.text


async def test_a_stage_in_time_says_nothing_and_its_own_timeout_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    async with deadline("the camera", 5):
        pass
    with pytest.raises(TimeoutError, match="mine"):
        async with deadline("the camera", 5):
            raise TimeoutError("mine")
    assert not caplog.records


WITHIN_S = 0.1


def _gone() -> KitError:
    return CameraUnavailable("gone")


async def _pictures(every_s: float, count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(every_s)
        yield number


async def test_what_is_expected_and_comes_is_left_alone() -> None:
    got = []
    with expecting(WITHIN_S, _gone) as expected:
        async for number in _pictures(WITHIN_S / LOOKS, 3 * LOOKS):
            expected.came()
            got.append(number)
    assert len(got) == 3 * LOOKS


async def test_what_does_not_come_is_missed() -> None:
    got = []

    async def expect() -> None:
        with expecting(WITHIN_S, _gone) as expected:
            async for number in _pictures(WITHIN_S / LOOKS, 3):
                expected.came()
                got.append(number)
            await asyncio.Event().wait()

    with pytest.raises(CameraUnavailable, match="gone"):
        await expect()
    assert got == [0, 1, 2]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_loop_that_was_late_itself_misses_nothing_that_came_meanwhile() -> None:
    loop, came, got = asyncio.get_running_loop(), asyncio.Event(), 0
    with expecting(WITHIN_S, _gone) as expected:
        for _ in range(3):
            loop.call_soon(time.sleep, 2 * WITHIN_S)  # the loop stands still, and something comes just then
            loop.call_soon(came.set)
            await came.wait()
            expected.came()
            came.clear()
            got += 1
    assert got == 3


async def test_whoever_expects_can_be_cancelled_by_others() -> None:
    waiting = asyncio.Event()

    async def expect() -> None:
        with expecting(60, _gone):
            waiting.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(expect())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
