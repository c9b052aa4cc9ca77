"""Blocks of sound in step with the lesson clock, for microphones without a device of their own pace. Pure asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from appliance.capture.base import BLOCK_SAMPLES, SAMPLE_RATE_HZ, PcmBlock, Samples
from appliance.capture.clock import LessonClock

BLOCK_US = BLOCK_SAMPLES * 1_000_000 // SAMPLE_RATE_HZ
LATEST_US = 500_000  # a loop stalled longer than this skips what it missed; shorter stalls are caught up without a gap


async def paced_blocks(clock: LessonClock, samples_of: Callable[[int], Samples]) -> AsyncIterator[PcmBlock]:
    """Block *n* holds the sound from *n* × 20 ms on and comes when it is over, as from a device. Starts at the next."""
    number = clock.now_us() // BLOCK_US + 1
    while True:
        left_us = (number + 1) * BLOCK_US - clock.now_us()
        if left_us > 0:
            await asyncio.sleep(left_us / 1_000_000)
            continue
        if left_us < -LATEST_US:
            number = clock.now_us() // BLOCK_US - 1
        yield PcmBlock(samples=samples_of(number), capture_us=number * BLOCK_US)
        number += 1
