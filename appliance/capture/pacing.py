"""Blocks of sound in step with the lesson clock, for microphones without a device of their own pace. Pure asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from appliance.capture.base import BLOCK_SAMPLES, SAMPLE_RATE_HZ, PcmBlock, Samples
from appliance.capture.clock import LessonClock

BLOCK_US = BLOCK_SAMPLES * 1_000_000 // SAMPLE_RATE_HZ
LATEST_US = 500_000  # a loop stalled longer than this skips what it missed; shorter stalls are caught up without a gap


class PacedBlocks:
    """Block *n* holds the sound from *n* × 20 ms on and comes when it is over, as from a device. Starts at the next."""

    def __init__(self, clock: LessonClock, samples_of: Callable[[int], Samples]) -> None:
        self._clock = clock
        self._samples_of = samples_of
        self._number = clock.now_us() // BLOCK_US + 1

    def __aiter__(self) -> PacedBlocks:
        return self

    async def __anext__(self) -> PcmBlock:
        if self._left_us() <= 0:  # catching up: nobody else on the loop is to wait until all of it is encoded
            await asyncio.sleep(0)
        while (left_us := self._left_us()) > 0:  # noqa: ASYNC110 - it waits for a clock
            await asyncio.sleep(left_us / 1_000_000)
        if left_us < -LATEST_US:
            self._number = self._clock.now_us() // BLOCK_US - 1
        number, self._number = self._number, self._number + 1
        return PcmBlock(samples=self._samples_of(number), capture_us=number * BLOCK_US)

    def _left_us(self) -> int:
        """Until the next block is over."""
        return (self._number + 1) * BLOCK_US - self._clock.now_us()
