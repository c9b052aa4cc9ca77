"""A file's sound as a microphone's blocks: decoded, mono, 48 kHz, placed to the sample on the lesson's time line."""

from __future__ import annotations

from collections.abc import AsyncIterator

import av
import numpy as np

from appliance.capture.base import BLOCK_SAMPLES, SAMPLE_RATE_HZ, PcmBlock, Samples
from appliance.capture.clock import LessonClock
from appliance.capture.media_file import US_PER_S, MediaFile, Schedule, opened, seek
from appliance.capture.pacing import BLOCK_US
from appliance.capture.thread import CaptureThread
from appliance.errors import MicrophoneUnavailable

QUEUED_BLOCKS = 50  # one second; a reader further behind misses blocks
LATE_US = 2_000_000  # after a suspend: find the place anew instead of racing through what was missed
RUN_UP_US = 100_000  # decoders need a packet or two before their output is right


class Tape:
    """Puts pieces of sound where they belong on a line of samples, and cuts the line into blocks. Pure.

    Gaps become silence; what overlaps what is there already is cut off.
    """

    def __init__(self, first_block: int) -> None:
        self.block = first_block  # the next one to be cut
        self._rest: Samples = np.zeros(0, np.int16)

    def put(self, samples: Samples, position: int) -> None:
        """Lay a piece down whose first sample is the line's ``position``-th."""
        end = self.block * BLOCK_SAMPLES + len(self._rest)
        gap = np.zeros(max(0, position - end), np.int16)
        self._rest = np.concatenate([self._rest, gap, samples[max(0, end - position) :]])

    def cut(self) -> Samples | None:
        """The next whole block, if it is there."""
        if len(self._rest) < BLOCK_SAMPLES:
            return None
        block, self._rest = self._rest[:BLOCK_SAMPLES], self._rest[BLOCK_SAMPLES:]
        self.block += 1
        return block


class SoundtrackStream:
    """The open microphone of a file."""

    def __init__(self, facts: MediaFile, schedule: Schedule, clock: LessonClock) -> None:
        self._facts = facts
        self._schedule = schedule
        self._clock = clock
        self._thread: CaptureThread[PcmBlock] = CaptureThread("file-microphone", QUEUED_BLOCKS, self._capture)

    def __aiter__(self) -> AsyncIterator[PcmBlock]:
        return self._thread

    async def close(self) -> None:
        """Stop the thread and close the file."""
        await self._thread.close()

    def _capture(self, thread: CaptureThread[PcmBlock]) -> None:
        with opened(self._facts.path, "microphone") as container:
            stream = container.streams.audio[0]
            while not thread.stopping():
                tape = Tape(self._clock.now_us() // BLOCK_US + 1)
                place = self._schedule.place(tape.block * BLOCK_US)
                if place is None:
                    return
                number, media_us = place
                while self._play(thread, container, stream, number, media_us, tape):
                    if not self._schedule.loop:
                        return
                    if media_us == 0 and self._clock.now_us() < self._schedule.lesson_us(number, 0):
                        raise MicrophoneUnavailable(f"{self._facts.path}: no sound in it can be read; use another file")
                    number, media_us = number + 1, 0

    def _play(
        self, thread: CaptureThread[PcmBlock], container: av.container.InputContainer, stream: av.AudioStream,
        number: int, media_us: int, tape: Tape,
    ) -> bool:  # fmt: skip
        """Play to the end of the file. False when stopped, or so late that the place must be found anew."""
        seek(container, stream, self._facts.start_us + max(0, media_us - RUN_UP_US))
        resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE_HZ)
        offset = self._schedule.lesson_us(number, 0) - self._facts.start_us
        for decoded in container.decode(stream):
            for frame in resampler.resample(decoded):
                if frame.pts is None or frame.time_base is None:
                    continue
                position = round(frame.pts * frame.time_base * SAMPLE_RATE_HZ + offset * SAMPLE_RATE_HZ / US_PER_S)
                tape.put(frame.to_ndarray()[0], position)
                if not self._hand_out(thread, tape):
                    return False
        return not thread.stopping()

    def _hand_out(self, thread: CaptureThread[PcmBlock], tape: Tape) -> bool:
        while (samples := tape.cut()) is not None:
            capture_us = (tape.block - 1) * BLOCK_US
            if self._clock.now_us() - capture_us > LATE_US or not thread.wait_until(self._clock, capture_us + BLOCK_US):
                return False
            if thread.has_room():
                thread.put(PcmBlock(samples=samples, capture_us=capture_us))
        return True
