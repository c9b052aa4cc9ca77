"""From a sound card's samples to 20 ms blocks on the lesson clock, never a block missing. Pure: no device, no thread.

The card's samples are resampled at the rate that ``sample_clock`` measures (soxr, variable rate), so that a sample's
place in the line is when it was taken, however far the card's clock runs off; corrections change the *speed* by parts
per million, which nobody hears, and never the place at once, which would click. Where there is no sound, silence
fills the line, with a soft edge. Used by ``microphone.py``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import soxr

from appliance.capture.base import BLOCK_SAMPLES, SAMPLE_RATE_HZ, PcmBlock, Samples
from appliance.capture.pacing import BLOCK_US
from appliance.capture.sample_clock import OFF_AT_MOST, SampleClock
from appliance.capture.voice_care import STEP, NoCare, VoiceCare, Wave

PATIENCE_US = 150_000  # a block that is not whole so long after its end goes out with silence; USB and cleaning take 40
CORRECT_WITHIN_S = 4.0  # how fast a wrong place is walked off: 1 ms by 250 ppm, far below what an ear can tell
EDGE = 240  # 5 ms, over which sound rises from silence or falls into it
TOO_LATE_US = 1_000_000  # a loop stalled longer than this skips what it missed
_RISE: Wave = np.linspace(0, 1, EDGE, dtype=np.float32)


class _Strip:
    """Sound that waits to become blocks: samples back to back from a place on the line (in samples at 48 kHz)."""

    def __init__(self, place: int) -> None:
        self.start = place
        self._pieces: list[Wave] = []
        self.end = place

    def append(self, wave: Wave) -> None:
        self._pieces.append(wave)
        self.end += len(wave)

    def take(self, end: int) -> Wave:
        """What there is before ``end``, filled with silence up to it; the strip then begins there."""
        whole = np.concatenate((*self._pieces, np.zeros(max(0, end - self.end), np.float32)))
        taken, rest = whole[: end - self.start], whole[end - self.start :]
        self.start, self.end, self._pieces = end, end + len(rest), [rest]
        return taken

    def tail(self, count: int) -> Wave:
        """The last ``count`` samples, or fewer."""
        return np.concatenate((np.zeros(0, np.float32), *self._pieces))[-count:]


class VoiceLine:
    """The line of one open microphone, through all of its cards. ``now_us`` is lesson time everywhere."""

    def __init__(self, now_us: int, care: VoiceCare | None = None) -> None:
        self._care: VoiceCare = NoCare() if care is None else care
        self._number = now_us // BLOCK_US + 1
        self._strip = _Strip(self._number * BLOCK_SAMPLES)
        self._segment: _Segment | None = None
        self._last = np.zeros(EDGE, np.float32)  # what went out last, for a soft end
        self._off_ppm: dict[int, float] = {}  # by nominal rate: most likely the same card comes back

    @property
    def off_ppm(self) -> float | None:
        """How far off the card's clock is measured to be; None without a card."""
        return None if self._segment is None else self._segment.clock.off_ppm

    @property
    def hears(self) -> bool:
        """Whether sound of a card is in the line now."""
        return self._segment is not None

    def feed(self, samples: Samples, rate_hz: int, taken_us: float) -> None:
        """The next samples of the card; the first of them was taken at ``taken_us``."""
        segment = self._segment
        if segment is None or segment.rate_hz != rate_hz:
            self.lost()
            segment = self._segment = self._new_segment(rate_hz)
        if not segment.clock.saw(segment.fed, len(samples), taken_us):
            self.lost()  # samples were lost: what follows stands elsewhere in the line
            segment = self._segment = self._new_segment(rate_hz)
            segment.clock.saw(0, len(samples), taken_us)
        if (wave := segment.resample(samples, self._strip.end)) is not None:
            self._strip.append(wave)

    def lost(self) -> None:
        """No more comes of this card: let the sound fall into silence."""
        if self._segment is None:
            return
        self._off_ppm[self._segment.rate_hz] = self._segment.clock.off_ppm
        self._segment = None
        ending = np.concatenate((self._last, self._strip.tail(EDGE)))[-EDGE:]
        self._strip.append(ending[::-1] * _RISE[::-1])  # the mirrored end: it goes on where the sound stopped

    def due(self, now_us: int) -> PcmBlock | None:
        """The next block, once it is whole or cannot be waited for any longer."""
        if now_us - self.deadline_us > TOO_LATE_US:
            self._skip(now_us)
        end = (self._number + 1) * BLOCK_SAMPLES
        over = now_us >= (self._number + 1) * BLOCK_US
        if not (over and self._strip.end >= end):
            if now_us < self.deadline_us:
                return None
            self.lost()
        wave = self._strip.take(end)
        self._last = wave[-EDGE:]
        self._number += 1
        samples = np.rint(np.clip(wave, -1.0, 1.0) * 32767).astype(np.int16)
        return PcmBlock(samples=samples, capture_us=(self._number - 1) * BLOCK_US)

    @property
    def deadline_us(self) -> int:
        """When the next block goes out at the latest."""
        patience_us = PATIENCE_US if self._segment is not None else 0
        return (self._number + 1) * BLOCK_US + patience_us

    @property
    def end_us(self) -> int:
        """When the next block is over."""
        return (self._number + 1) * BLOCK_US

    def _new_segment(self, rate_hz: int) -> _Segment:
        return _Segment(rate_hz, self._off_ppm.get(rate_hz, 0.0), self._care)

    def _skip(self, now_us: int) -> None:
        self._segment = None
        self._number = now_us // BLOCK_US
        self._strip = _Strip(self._number * BLOCK_SAMPLES)


class _Segment:
    """An unbroken run of one card's samples."""

    def __init__(self, rate_hz: int, off_ppm: float, care: VoiceCare) -> None:
        self.rate_hz = rate_hz
        self.clock = SampleClock(rate_hz, off_ppm)
        self.fed = 0
        self._ratio = rate_hz / SAMPLE_RATE_HZ
        self._soxr = soxr.ResampleStream(rate_hz * (1 + 2 * OFF_AT_MOST), SAMPLE_RATE_HZ, 1, dtype="float32", vr=True)
        self._read = 0.0  # the card's sample, fractional, that the next resampled one stands for
        self._place: int | None = None  # where on the line it stands
        self._drop = 0  # resampled samples to drop: the care's delay, and what is too old
        self._care = care
        self._waiting: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        self._risen = 0

    def resample(self, samples: Samples, line_end: int) -> Wave | None:
        """The samples on the line's grid, cleaned; the first ones follow ``line_end`` with silence between."""
        gap = 0
        if self._place is None:
            begin = math.ceil(self.clock.time_us(0) * SAMPLE_RATE_HZ / 1e6)
            gap, self._drop = max(0, begin - line_end), max(0, line_end - begin) + self._care.delay
            self._place = begin
        self._steer(self._place)
        wave = self._soxr.resample_chunk(samples.astype(np.float32) / 32768)
        self.fed += len(samples)
        self._read += len(wave) * self._ratio
        self._place += len(wave)
        wave = self._rise(self._cleaned(wave))
        return np.concatenate((np.zeros(gap, np.float32), wave)) if gap else wave

    def _steer(self, place: int) -> None:
        """Set the speed so that the place on the line and the time of the sample meet again."""
        ahead_us = self.clock.time_us(self._read) - place * 1e6 / SAMPLE_RATE_HZ
        measured = 1e6 / (self.clock.period_us * SAMPLE_RATE_HZ)
        correction = max(-OFF_AT_MOST / 2, min(OFF_AT_MOST / 2, -ahead_us / (CORRECT_WITHIN_S * 1e6)))
        self._ratio = measured * (1 + correction)
        self._soxr.set_io_ratio(self._ratio, 1.0)

    def _cleaned(self, wave: Wave) -> Wave:
        if not isinstance(self._care, NoCare):
            whole = np.concatenate((self._waiting, wave))
            count = len(whole) // STEP * STEP
            steps = [self._care.pass_through(whole[at : at + STEP]) for at in range(0, count, STEP)]
            wave, self._waiting = np.concatenate((np.zeros(0, np.float32), *steps)), whole[count:]
        dropped = min(self._drop, len(wave))
        self._drop -= dropped
        return wave[dropped:]

    def _rise(self, wave: Wave) -> Wave:
        if self._risen < EDGE and len(wave):
            count = min(EDGE - self._risen, len(wave))
            wave = wave.copy()
            wave[:count] *= _RISE[self._risen : self._risen + count]
            self._risen += count
        return wave
