"""The simulated microphone: the classroom's voice, block by block in step with the lesson clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.capture.base import PcmBlock
from appliance.capture.clock import LessonClock
from appliance.capture.pacing import PacedBlocks
from appliance.capture.simulated.voice import Voice


class SimulatedMicrophone:
    """A microphone that needs no device. A block takes microseconds, so it works on the event loop."""

    def __init__(self) -> None:
        self._voice = Voice()

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[SimulatedMicrophoneStream]:
        """Begin to listen."""
        yield SimulatedMicrophoneStream(self._voice, clock)


class SimulatedMicrophoneStream:
    """The open microphone."""

    def __init__(self, voice: Voice, clock: LessonClock) -> None:
        self._blocks = PacedBlocks(clock, voice.block)

    def __aiter__(self) -> AsyncIterator[PcmBlock]:
        return self._blocks
