"""When each sample of a sound card met the microphone, on the boot clock: the card's own clock, measured.

A card's "48 kHz" is off by up to a few hundred ppm (100 ppm are 270 ms in a lesson), and the times that come with its
sound jitter. ``SampleClock`` is a delay-locked loop over them (F. Adriaensen, "Using a DLL to filter time", 2005);
``ClockBridge`` brings PortAudio's stream time to the boot clock. Pure arithmetic. Not here: the resampling
(``voice_line.py``), the device (``sound_card.py``).
"""

from __future__ import annotations

import math

WIDE_HZ, NARROW_HZ = 0.2, 0.02  # the loop's bandwidth at first, to find the phase, and at last, to ignore jitter
SETTLE_S = 20.0  # from the one to the other
BELIEVED_US = 3_000.0  # a single time that is further off is a stalled machine: it may pull only this much
JUMP_US = 30_000.0  # further off than this for JUMP_S: samples were lost, and the line begins anew
JUMP_S = 0.25
OFF_AT_MOST = 0.002  # a card is off by 300 ppm at worst; beyond 2000 it is no clock, and the loop must not follow


class SampleClock:
    """Follows one open card. Feed it every chunk in order."""

    def __init__(self, rate_hz: float, off_ppm: float = 0.0) -> None:
        """``off_ppm``: what is known of this card already."""
        self._nominal_us = 1e6 / rate_hz
        self._period_us = self._nominal_us / (1 + off_ppm / 1e6)
        self._index = 0.0  # the sample whose time is ``_time_us``
        self._time_us = 0.0
        self._heard_s = 0.0
        self._astray_s = 0.0
        self._begun = False

    @property
    def off_ppm(self) -> float:
        """How much faster than its label the card's clock runs, in parts per million."""
        return (self._nominal_us / self._period_us - 1) * 1e6

    @property
    def period_us(self) -> float:
        """The time from one sample to the next."""
        return self._period_us

    def time_us(self, index: float) -> float:
        """When the sample ``index`` was taken; between and beyond the known ones too."""
        return self._time_us + (index - self._index) * self._period_us

    def saw(self, index: int, frames: int, time_us: float) -> bool:
        """A chunk of ``frames`` begins with sample ``index``, taken at ``time_us`` or so. False: the line broke."""
        if not self._begun:
            self._begun, self._index, self._time_us = True, index, time_us
            return True
        expected_us = self.time_us(index)
        off_us = time_us - expected_us
        chunk_s = frames * self._nominal_us / 1e6
        self._astray_s = self._astray_s + chunk_s if abs(off_us) > JUMP_US else 0.0
        if self._astray_s > JUMP_S:
            self._index, self._time_us, self._heard_s, self._astray_s = index, time_us, 0.0, 0.0
            return False
        self._follow(index, expected_us, max(-BELIEVED_US, min(BELIEVED_US, off_us)), frames, chunk_s)
        return True

    def _follow(self, index: int, expected_us: float, off_us: float, frames: int, chunk_s: float) -> None:
        progress = min(1.0, self._heard_s / SETTLE_S)
        bandwidth_hz = WIDE_HZ * (NARROW_HZ / WIDE_HZ) ** progress
        omega = 2 * math.pi * bandwidth_hz * chunk_s
        self._index, self._time_us = index, expected_us + math.sqrt(2) * omega * off_us
        period_us = self._period_us + omega * omega * off_us / frames
        least, most = self._nominal_us * (1 - OFF_AT_MOST), self._nominal_us * (1 + OFF_AT_MOST)
        self._period_us = max(least, min(most, period_us))
        self._heard_s += chunk_s


class ClockBridge:
    """PortAudio's stream time on the boot clock.

    Both are read one after the other, the second possibly after a wait for the interpreter: the *least* difference of
    the last while is the true one. Two windows, so that a clock that was set (stream time is wall time on some ALSA
    plugins) is followed within ``WINDOW_S``.
    """

    WINDOW_S = 10.0
    SET_S = 1.0  # a difference that changes by more is no wait: the clock was set

    def __init__(self) -> None:
        self._least_s = self._next_least_s = math.inf
        self._until_s = -math.inf

    def boot_us(self, stream_s: float, boot_now_us: int) -> float:
        """``stream_s``, which was read at ``boot_now_us`` or a little earlier, on the boot clock in µs."""
        now_s = boot_now_us / 1e6
        difference_s = now_s - stream_s
        if abs(difference_s - self._least_s) > self.SET_S:
            self._least_s = self._next_least_s = difference_s
            self._until_s = now_s + self.WINDOW_S
        elif now_s > self._until_s:
            self._least_s, self._next_least_s = min(self._next_least_s, difference_s), difference_s
            self._until_s = now_s + self.WINDOW_S
        self._least_s = min(self._least_s, difference_s)
        self._next_least_s = min(self._next_least_s, difference_s)
        return (stream_s + self._least_s) * 1e6
