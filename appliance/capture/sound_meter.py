"""The level of a voice, and what is plainly wrong with it: dead silence and clipping. Pure arithmetic over samples.

Measured on what the device gave, before any cleaning: an automatic gain hides both. Used by ``fanout.py`` for every
microphone and by ``microphone.py`` for a real one; shown by panels. Not here: words for people.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from appliance.capture.base import SAMPLE_RATE_HZ, Samples

SoundWarning = Literal["silent", "clipping"]

FULL_SCALE = 32768.0
FLOOR_DBFS = -96.0  # 16 bits hold no less
LOOK_S = 0.1  # what is measured at once: no eye follows a faster meter, and each look costs a dozen of numpy's calls
WINDOW_S = 3.0  # long enough to be sure, and a warning within 5 s
SILENT_SPAN = 8  # from trough to peak, in steps of 16 bits: a muted or dead microphone; a quiet room has 30 and more
CLIPPED_AT = 32_700
CLIPPED_PER_S = 400  # samples; fewer are a bang on the desk
CLIPPED_SHARE = 0.1  # of the window; a clap is no reason to move a microphone
LEVEL_FALL_DB_S = 20.0  # how fast the peak falls back, as on any meter


@dataclass(frozen=True, slots=True)
class SoundFigures:
    """The voice now. Levels are relative to full scale; ``warning`` is None while nothing is plainly wrong."""

    level_dbfs: float
    peak_dbfs: float
    warning: SoundWarning | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class _Look:
    seconds: float
    silent: bool
    clipped: bool


class SoundMeter:
    """Fed with sound, in chunks of any length; read whenever somebody looks."""

    def __init__(self, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        self._rate_hz = rate_hz
        self._waiting: list[Samples] = []
        self._samples = 0
        self._looks: deque[_Look] = deque()
        self._seconds = 0.0
        self._level = self._peak = FLOOR_DBFS

    def add(self, samples: Samples) -> None:
        """The next sound; it is looked at once there is enough of it."""
        self._waiting.append(samples)
        self._samples += len(samples)
        if self._samples >= LOOK_S * self._rate_hz:
            self._look(np.concatenate(self._waiting))
            self._waiting, self._samples = [], 0

    def _look(self, samples: Samples) -> None:
        seconds = len(samples) / self._rate_hz
        low, high = int(np.minimum.reduce(samples)), int(np.maximum.reduce(samples))
        self._level = _dbfs(_deviation(samples))
        self._peak = max(self._peak - LEVEL_FALL_DB_S * seconds, _dbfs(max(abs(low), abs(high))))
        clipped = 0
        if high >= CLIPPED_AT or low <= -CLIPPED_AT:
            clipped = int(np.count_nonzero(np.abs(samples.astype(np.int32)) >= CLIPPED_AT))
        self._note(_Look(seconds, silent=high - low < SILENT_SPAN, clipped=clipped >= CLIPPED_PER_S * seconds))

    def figures(self, device: str = "") -> SoundFigures:
        """The voice now."""
        return SoundFigures(round(self._level, 1), round(self._peak, 1), self._warning(), device)

    def _note(self, look: _Look) -> None:
        self._looks.append(look)
        self._seconds += look.seconds
        while self._seconds - self._looks[0].seconds >= WINDOW_S:
            self._seconds -= self._looks.popleft().seconds

    def _warning(self) -> SoundWarning | None:
        if self._seconds < WINDOW_S:
            return None
        if all(look.silent for look in self._looks):
            return "silent"
        clipped_s = sum(look.seconds for look in self._looks if look.clipped)
        return "clipping" if clipped_s >= CLIPPED_SHARE * self._seconds else None


def _deviation(samples: Samples) -> float:
    """The root mean square about the mean: an offset is no sound."""
    wave = samples.astype(np.float32)
    mean = float(np.add.reduce(wave)) / len(wave)
    return math.sqrt(max(0.0, float(np.dot(wave, wave)) / len(wave) - mean * mean))


def _dbfs(amplitude: float) -> float:
    return max(FLOOR_DBFS, 20 * math.log10(max(amplitude, 1e-9) / FULL_SCALE))
