"""A voice made of arithmetic: syllables, pauses and quiet room tone, deterministic by lesson time.

Each whole second of the lesson begins with a syllable whose first sample is *exactly* on the second, after at least
150 ms of near silence: an onset detector and the picture's time code measure picture–voice skew with it. Not speech:
formants and pitch of one, without words. Not here: pacing.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from appliance.capture.base import BLOCK_SAMPLES, SAMPLE_RATE_HZ, Samples

SYLLABLES_END_S = 0.80  # of each second; then near silence until the next begins
BLOCKS_PER_S = SAMPLE_RATE_HZ // BLOCK_SAMPLES
ROOM_TONE = 14.0  # standard deviation, −67 dBFS: a quiet room
FIRST_LEVEL, OTHER_LEVEL = 11_000.0, 7_000.0  # peaks; the syllable on the second is the loudest
PITCH_HZ = 196.0
RELEASE_S = 0.07
HARMONICS = 22
VOWELS = {  # first three formants in Hz, Peterson & Barney 1952, women
    "а": (850, 1220, 2810),
    "о": (590, 920, 2710),
    "у": (370, 950, 2670),
    "э": (610, 2330, 2990),
    "и": (310, 2790, 3310),
}
BANDWIDTHS_HZ = (90, 110, 170)
OTHERS = 10  # syllables in stock, beside the one on the second

Wave = npt.NDArray[np.float64]


def _formants(frequency: Wave, vowel: str) -> Wave:
    peaks = [
        1 / (1 + ((frequency - centre) / width) ** 2)
        for centre, width in zip(VOWELS[vowel], BANDWIDTHS_HZ, strict=True)
    ]
    return peaks[0] + 0.5 * peaks[1] + 0.25 * peaks[2] + 0.01


def _syllable(start: str, end: str, length_s: float, pitch_hz: float, attack_s: float, seed: int) -> Wave:
    """A buzz that glides from one vowel to another, after a short burst of breath as of a consonant."""
    count = int(length_s * SAMPLE_RATE_HZ)
    s = np.arange(count) / SAMPLE_RATE_HZ
    pitch = pitch_hz * (1 + 0.10 * np.sin(np.pi * s / length_s) - 0.12 * s / length_s)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    glide = s / length_s
    wave = np.zeros(count)
    for harmonic in range(1, HARMONICS + 1):
        frequency = harmonic * pitch
        strength = _formants(frequency, start) * (1 - glide) + _formants(frequency, end) * glide
        wave += strength / harmonic**0.6 * np.sin(harmonic * phase)
    wave /= np.abs(wave).max()
    wave *= np.minimum(1, s / attack_s) * np.clip((length_s - s) / RELEASE_S, 0, 1)
    breath = np.random.default_rng(seed).standard_normal(count) * np.exp(-s / 0.006)
    wave += 0.22 * breath / np.abs(breath).max()
    normal: Wave = wave / np.abs(wave).max()
    return normal


class Voice:
    """The sound of the simulated classroom."""

    def __init__(self) -> None:
        self._first = _syllable("а", "а", 0.24, PITCH_HZ * 1.12, 0.001, 100) * FIRST_LEVEL
        hand = np.random.default_rng(11)
        names = list(VOWELS)
        self._others = [
            _syllable(
                names[hand.integers(len(names))],
                names[hand.integers(len(names))],
                float(hand.uniform(0.13, 0.17)),
                PITCH_HZ * float(hand.uniform(0.86, 1.06)),
                0.012,
                seed,
            )
            * OTHER_LEVEL
            for seed in range(OTHERS)
        ]
        self._tone = _room_tone()
        self._second = lru_cache(maxsize=2)(self._render)

    def block(self, number: int) -> Samples:
        """The 20 ms from ``number`` × 20 ms on."""
        second, place = divmod(number, BLOCKS_PER_S)
        return self._second(second)[place * BLOCK_SAMPLES : (place + 1) * BLOCK_SAMPLES]

    def _render(self, second: int) -> Samples:
        hand = np.random.default_rng(second)
        wave = self._tone[second % 4 * SAMPLE_RATE_HZ :][:SAMPLE_RATE_HZ].copy()
        wave[: len(self._first)] += self._first
        at = int(0.29 * SAMPLE_RATE_HZ)
        while second % 5 != 4:  # every fifth second a breath: only its first syllable sounds
            syllable = self._others[hand.integers(OTHERS)] * hand.uniform(0.6, 1.0)
            if at + len(syllable) > SYLLABLES_END_S * SAMPLE_RATE_HZ:
                break
            wave[at : at + len(syllable)] += syllable
            at += len(syllable) + int(hand.uniform(0.01, 0.05) * SAMPLE_RATE_HZ)
        samples = np.rint(wave).astype(np.int16)
        samples.flags.writeable = False
        return samples


def _room_tone() -> Wave:
    """Four seconds of soft low noise that joins its own beginning."""
    count = 4 * SAMPLE_RATE_HZ
    spectrum = np.fft.rfft(np.random.default_rng(12).standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    tone: Wave = np.fft.irfft(spectrum / (1 + (frequency / 300) ** 2) * (frequency > 40), count)
    tone *= ROOM_TONE / tone.std()
    return tone
