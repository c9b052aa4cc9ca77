"""Keeping things running: what is retried, how long it waits, and what passes through."""

from __future__ import annotations

import asyncio
import logging

import pytest

from appliance.errors import CameraUnavailable
from appliance.supervise import Backoff, deadline, keep_running


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
    """Ends in each of the given ways, then stays up until it is cancelled."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = list(ends)
        self.runs = 0
        self.up = asyncio.Event()

    async def run(self) -> None:
        self.runs += 1
        if not self.ends:
            self.up.set()
            await asyncio.Event().wait()
        end = self.ends.pop(0)
        if end is not None:
            raise end


async def test_a_source_that_fails_or_ends_is_run_again_and_each_end_is_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = _Source(CameraUnavailable("the camera is unplugged"), None, TimeoutError(), OSError("no such device"))
    with caplog.at_level(logging.WARNING):
        task = asyncio.create_task(keep_running("camera", source.run, Backoff(0.001, 0.001)))
        await asyncio.wait_for(source.up.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert source.runs == 5
    said = [record.getMessage().rpartition(";")[0] for record in caplog.records]
    assert said == [
        "camera: the camera is unplugged",
        "camera: it ended",
        "camera: TimeoutError",
        "camera: no such device",
    ]


async def test_a_bug_is_not_retried() -> None:
    source = _Source(ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError):
        await keep_running("camera", source.run, Backoff(0.001, 0.001))
    assert source.runs == 1


async def test_a_run_that_lasted_forgets_the_failures_before_it() -> None:
    backoff = Backoff(0.001, 64, settled_s=0, draw=_most)  # every run counts as one that lasted
    source = _Source(*[OSError("gone")] * 12)
    task = asyncio.create_task(keep_running("camera", source.run, backoff))
    await asyncio.wait_for(source.up.wait(), 5)  # twelve doublings would have taken 4 s and more
    task.cancel()
    await asyncio.wait([task])
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
