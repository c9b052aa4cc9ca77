"""The microphone of a kit that has none: silence, in step with the lesson clock (``microphone.kind = "none"``)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from appliance.capture.base import BLOCK_SAMPLES, PcmBlock, Samples
from appliance.capture.clock import LessonClock
from appliance.capture.pacing import PacedBlocks

_SILENCE: Samples = np.zeros(BLOCK_SAMPLES, np.int16)
_SILENCE.flags.writeable = False


class NoMicrophone:
    """A null object: everybody downstream gets sound that is silent, instead of an ``if``."""

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[SilentStream]:
        """Nothing to open."""
        yield SilentStream(clock)


class SilentStream:
    """Silence."""

    def __init__(self, clock: LessonClock) -> None:
        self._blocks = PacedBlocks(clock, lambda _: _SILENCE)

    def __aiter__(self) -> AsyncIterator[PcmBlock]:
        return self._blocks
