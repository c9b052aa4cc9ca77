"""Voice as AAC-LC for the record path: one unbroken line of frames, silence wherever no sound came.

Used by ``segmenter.py``. Not here: Opus for the live path (``opus.py``), files (``cmaf.py``). Places on the line are in
samples at 48 kHz since the lesson began; frames have 1024 samples, so that a frame's place is exact and nothing drifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from appliance.capture.base import BLOCK_SAMPLES, SAMPLE_RATE_HZ, PcmBlock, Samples

FRAME_SAMPLES = 1024  # AAC-LC (ISO/IEC 14496-3 §4.5.2.1.1)
BITRATE_BPS = 64_000
#: A block this near to where it is due counts as due: only a real gap is filled, only a real overlap is cut.
TOLERATED_SAMPLES = BLOCK_SAMPLES // 2
#: What encodes speech as well as FFmpeg's default coder for less than half of the CPU (measured: 1.1 % of a core).
CODER = "fast"


@dataclass(frozen=True, slots=True)
class AacFrame:
    """1024 samples of sound from ``place`` on, as one raw AAC access unit."""

    data: bytes
    place: int


def place_of(lesson_us: int) -> int:
    """The sample that is nearest to this lesson time."""
    return round(lesson_us * SAMPLE_RATE_HZ / 1_000_000)


class AacLine:
    """Sound from ``place`` on, without a hole. Owned by one thread; a frame takes a fraction of a millisecond."""

    def __init__(self, place: int) -> None:
        context = av.AudioCodecContext.create("aac", "w")
        context.sample_rate, context.layout, context.format = SAMPLE_RATE_HZ, "mono", "fltp"
        context.time_base = Fraction(1, SAMPLE_RATE_HZ)
        context.bit_rate = BITRATE_BPS
        context.thread_count = 1
        context.options = {"aac_coder": CODER}
        context.open()
        self._context = context
        self._start = place
        self._waiting = np.zeros(0, np.int16)
        self._given = 0  # samples given to the encoder
        self._end = place
        self.encoded_end = place  # frames up to here were handed out; the encoder looks two frames ahead

    @property
    def config(self) -> bytes:
        """The AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of all its frames."""
        return bytes(self._context.extradata or b"")

    @property
    def end(self) -> int:
        """The line has sound, or silence in its place, up to here."""
        return self._end

    def put(self, block: PcmBlock) -> list[AacFrame]:
        """The next sound; what lies before the line's end is late and is dropped, a hole before it becomes silence."""
        place, samples = place_of(block.capture_us), block.samples
        if abs(place - self._end) > TOLERATED_SAMPLES:
            if place < self._end:
                samples = samples[self._end - place :]
            else:
                samples = np.concatenate((np.zeros(place - self._end, np.int16), samples))
        return self._append(samples)

    def fill(self, place: int) -> list[AacFrame]:
        """Silence, as little as brings the frames that were handed out to ``place``."""
        frames: list[AacFrame] = []
        while self.encoded_end < place:
            frames += self._append(np.zeros(FRAME_SAMPLES - len(self._waiting), np.int16))
        return frames

    def _append(self, samples: Samples) -> list[AacFrame]:
        self._end += len(samples)
        self._waiting = np.concatenate((self._waiting, samples))
        frames: list[AacFrame] = []
        while len(self._waiting) >= FRAME_SAMPLES:
            frames += self._encode(self._waiting[:FRAME_SAMPLES])
            self._waiting = self._waiting[FRAME_SAMPLES:]
        return frames

    def _encode(self, samples: Samples) -> list[AacFrame]:
        wave = samples.astype(np.float32).reshape(1, FRAME_SAMPLES) / np.float32(32768)
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, self._given
        self._given += FRAME_SAMPLES
        frames: list[AacFrame] = []
        for packet in self._context.encode(frame):
            if (
                packet.pts is not None and packet.pts >= 0
            ):  # the first is the encoder's run-up, and lies before the line
                frames.append(AacFrame(bytes(packet), self._start + packet.pts))
                self.encoded_end = frames[-1].place + FRAME_SAMPLES
        return frames
