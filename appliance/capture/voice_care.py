"""What makes a room's sound a voice: high-pass, noise suppression, automatic gain. By WebRTC's own processing.

``webrtc-noise-gain`` (Home Assistant's binding) works at 16 kHz. A voice has its consonants above: so the sound is
split at 7.6 kHz, WebRTC cleans the lower band, and the upper one follows with the gain that the lower one got: what
WebRTC itself does with its upper bands. Both filters have linear phase, so that the two add up again.
Not here: the device's rate (``voice_line.py``), echo cancelling (a kit has no loudspeaker).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float32]  # full scale is ±1

STEP = 480  # 10 ms at 48 kHz: what WebRTC takes at a time
RATIO = 3  # 48 kHz to WebRTC's 16 kHz
TAPS = 145  # of each filter: 7 kHz pass, 60 dB down from 8.6 kHz
SPLIT_HZ = 7_600.0
FILTER_DELAY = TAPS // 2
SUPPRESSION_DELAY = 96 * RATIO  # WebRTC's suppressor overlaps its frames by 6 ms
QUIET = 1e-5  # −100 dBFS: below this a ratio of levels says nothing


class VoiceCare(Protocol):
    """Something that sound passes through. What comes out was fed in ``delay`` samples earlier."""

    delay: int

    def pass_through(self, step: Wave) -> Wave:
        """The next 10 ms: ``STEP`` samples in, ``STEP`` samples out."""
        ...


class NoCare:
    """The sound as the microphone gives it."""

    delay = 0

    def pass_through(self, step: Wave) -> Wave:
        """The same."""
        return step


def _low_pass() -> Wave:
    at = np.arange(TAPS) - FILTER_DELAY
    taps = np.sinc(2 * SPLIT_HZ / 48_000 * at) * np.kaiser(TAPS, 5.6)
    low: Wave = (taps / taps.sum()).astype(np.float32)
    return low


class _History:
    """A delay line: each call gives ``STEP`` samples with ``length`` earlier ones before them."""

    def __init__(self, length: int, step: int = STEP) -> None:
        self._line = np.zeros(length + step, np.float32)
        self._step = step

    def push(self, step: Wave) -> Wave:
        self._line = np.concatenate((self._line[self._step :], step))
        return self._line


class WebRtcCare:
    """High-pass always, ``suppression`` 0 (none) to 4, gain towards ``gain_dbfs`` below full scale (0: none)."""

    def __init__(self, suppression: int, gain_dbfs: int) -> None:
        from webrtc_noise_gain import AudioProcessor

        self._webrtc = AudioProcessor(gain_dbfs, suppression)
        inner = SUPPRESSION_DELAY if suppression else 0
        self.delay = 2 * FILTER_DELAY + inner
        self._taps = _low_pass()
        self._down, self._up = _History(TAPS - 1), _History(TAPS - 1)
        self._whole, self._plain = _History(self.delay), _History(TAPS - 1 + inner)
        self._before = _History(inner // RATIO, STEP // RATIO)
        self._gain = 1.0

    def pass_through(self, step: Wave) -> Wave:
        """The next 10 ms."""
        low = np.convolve(self._down.push(step), self._taps, "valid")[::RATIO]
        cleaned = self._clean(low)
        voice = np.convolve(self._up.push(_spread(cleaned)), self._taps, "valid")
        # The lower band as it was, brought through the same filters: what is left of the whole is the upper band.
        plain = np.convolve(self._plain.push(_spread(low))[: STEP + TAPS - 1], self._taps, "valid")
        upper = self._whole.push(step)[:STEP] - plain
        voice += upper * self._upper_gain(self._before.push(low)[: len(low)], cleaned)
        limited: Wave = np.clip(voice, -1.0, 1.0).astype(np.float32)
        return limited

    def _clean(self, low: Wave) -> Wave:
        pcm = np.rint(np.clip(low, -1.0, 1.0) * 32767).astype(np.int16)
        cleaned = np.frombuffer(self._webrtc.Process10ms(pcm.tobytes()).audio, np.int16)
        return cleaned.astype(np.float32) / np.float32(32767)

    def _upper_gain(self, before: Wave, after: Wave) -> Wave:
        level = float(np.sqrt(np.mean(np.square(before))))
        gain = self._gain
        if level > QUIET:
            self._gain = min(8.0, float(np.sqrt(np.mean(np.square(after)))) / level)
        return np.linspace(gain, self._gain, STEP).astype(np.float32)  # a glide, for a step would click


def _spread(low: Wave) -> Wave:
    """16 kHz samples on the 48 kHz grid, zeros between; the filter after it fills them in."""
    spread = np.zeros(len(low) * RATIO, np.float32)
    spread[::RATIO] = low * RATIO
    return spread


def new_care(*, clean: bool, suppression: int, gain_dbfs: int) -> VoiceCare:
    """What the settings ask for."""
    return WebRtcCare(suppression, gain_dbfs) if clean else NoCare()
