"""The simulated voice: a syllable exactly on each second, heard by the simplest of detectors."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.capture.base import BLOCK_SAMPLES, SAMPLE_RATE_HZ, Samples
from appliance.capture.simulated.voice import Voice

SECONDS = 12
SILENT_MS = 150


@pytest.fixture(scope="module")
def sound() -> Samples:
    voice = Voice()
    return np.concatenate([voice.block(number) for number in range(SECONDS * 50)])


def test_before_each_second_there_is_near_silence_and_on_it_a_syllable(sound: Samples) -> None:
    for second in range(1, SECONDS):
        at = second * SAMPLE_RATE_HZ
        before = np.abs(sound[at - SAMPLE_RATE_HZ * SILENT_MS // 1000 : at].astype(int))
        assert before.max() < 120
        assert np.abs(sound[at : at + SAMPLE_RATE_HZ // 1000].astype(int)).max() > 1_500  # within its first millisecond
        assert np.abs(sound[at : at + SAMPLE_RATE_HZ // 5].astype(int)).max() > 8_000


def test_a_detector_that_waits_for_silence_finds_each_second_and_nothing_else(sound: Samples) -> None:
    loud = np.flatnonzero(np.abs(sound.astype(int)) > 800)
    gaps = np.diff(loud, prepend=-SAMPLE_RATE_HZ)
    onsets = loud[gaps > SAMPLE_RATE_HZ * SILENT_MS / 1000]
    errors_ms = (onsets % SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ * 1000
    assert len(onsets) == SECONDS
    assert errors_ms.max() < 1.0


def test_it_is_a_voice_and_not_one_tone(sound: Samples) -> None:
    levels = np.abs(sound.astype(float)).reshape(-1, BLOCK_SAMPLES).mean(axis=1)
    assert 0.2 < (levels > 500).mean() < 0.8
    seconds = sound.reshape(SECONDS, SAMPLE_RATE_HZ).astype(float)
    assert len({float(second.std()) for second in seconds}) > SECONDS // 2


def test_it_is_the_same_at_the_same_time(sound: Samples) -> None:
    again = Voice()
    for number in (333, 7, 120):
        np.testing.assert_array_equal(again.block(number), sound[number * BLOCK_SAMPLES : (number + 1) * BLOCK_SAMPLES])
