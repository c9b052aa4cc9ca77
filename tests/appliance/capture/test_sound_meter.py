"""The meter: levels as an ear has them, and a warning within 5 s when a microphone is dead or overdriven."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.capture.base import BLOCK_SAMPLES, Samples
from appliance.capture.simulated.voice import Voice
from appliance.capture.sound_meter import FLOOR_DBFS, SoundMeter

A_LOOK = 5  # blocks: 100 ms
WITHIN_BLOCKS = 250  # 5 s


def tone(loud: float) -> Samples:
    wave = loud * 32767 * np.sin(2 * np.pi * 500 * np.arange(BLOCK_SAMPLES) / 48_000)
    return np.clip(wave, -32768, 32767).astype(np.int16)


def blocks_until(meter: SoundMeter, samples: Samples, warning: str | None) -> int:
    for count in range(1, 1000):
        meter.add(samples)
        if meter.figures().warning == warning:
            return count
    raise AssertionError(f"never {warning}")


def test_a_tone_has_its_level() -> None:
    meter = SoundMeter()
    for _ in range(A_LOOK):
        assert meter.figures().level_dbfs == FLOOR_DBFS
        meter.add(tone(0.5))
    assert meter.figures().level_dbfs == pytest.approx(-9.0, abs=0.1)
    assert meter.figures().peak_dbfs == pytest.approx(-6.0, abs=0.1)


def test_the_peak_falls_back_slowly() -> None:
    meter = SoundMeter()
    for loud in (1.0, 0.01):
        for _ in range(A_LOOK):
            meter.add(tone(loud))
    assert -3.0 < meter.figures().peak_dbfs < 0.0
    for _ in range(100):
        meter.add(tone(0.01))
    assert meter.figures().peak_dbfs == pytest.approx(-40, abs=1)


@pytest.mark.parametrize("offset", [0, -700])
def test_a_dead_microphone_is_told_within_5_s(offset: int) -> None:
    meter = SoundMeter()
    dead = np.full(BLOCK_SAMPLES, offset, np.int16)
    dead[::7] += 2  # the least significant bits of a converter without a capsule
    assert 50 < blocks_until(meter, dead, "silent") <= WITHIN_BLOCKS
    assert meter.figures().level_dbfs < -80


def test_pieces_of_any_length_are_measured_alike() -> None:
    whole, pieces, sound = SoundMeter(), SoundMeter(), np.concatenate([Voice().block(n) for n in range(2 * A_LOOK)])
    whole.add(sound[: len(sound) // 2])
    whole.add(sound[len(sound) // 2 :])
    for at in range(0, len(sound), 480):
        pieces.add(sound[at : at + 480])
    assert pieces.figures() == whole.figures()


def test_a_clipping_microphone_is_told_within_5_s_and_taken_back() -> None:
    meter = SoundMeter()
    for _ in range(200):
        meter.add(tone(0.3))
    assert blocks_until(meter, tone(3.0), "clipping") <= WITHIN_BLOCKS
    assert blocks_until(meter, tone(0.3), None) <= WITHIN_BLOCKS


def test_a_clap_and_a_quiet_room_are_no_reason_to_warn() -> None:
    meter, room = SoundMeter(), np.random.default_rng(1)
    for number in range(500):
        meter.add(tone(4.0) if number == 300 else (room.standard_normal(BLOCK_SAMPLES) * 8).astype(np.int16))
        assert meter.figures().warning is None


def test_the_classroom_s_voice_is_fine() -> None:
    meter, voice = SoundMeter(), Voice()
    for number in range(400):
        meter.add(voice.block(number))
        assert meter.figures().warning is None


def test_a_fresh_meter_says_nothing() -> None:
    figures = SoundMeter().figures("Pult")
    assert (figures.level_dbfs, figures.warning, figures.device) == (FLOOR_DBFS, None, "Pult")
