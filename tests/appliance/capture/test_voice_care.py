"""The cleaning, by WebRTC's real processing: noise goes, the voice stays, its consonants too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from appliance.capture.voice_care import STEP, NoCare, VoiceCare, WebRtcCare, new_care

Wave = npt.NDArray[np.float32]
S = 48_000


def through(care: VoiceCare, wave: Wave) -> Wave:
    """The wave, cleaned, and moved back to its place."""
    whole = np.concatenate((wave, np.zeros(-len(wave) % STEP + 3 * STEP, np.float32)))
    out = np.concatenate([care.pass_through(whole[at : at + STEP]) for at in range(0, len(whole), STEP)])
    return out[care.delay : care.delay + len(wave)]


def tone(hz: float, seconds: float, loud: float = 0.1) -> Wave:
    return (loud * np.sin(2 * np.pi * hz * np.arange(int(seconds * S)) / S)).astype(np.float32)


def db(wave: Wave) -> float:
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-12))


@pytest.mark.parametrize("hz", [300, 1000, 3000, 7000, 7600, 8500, 12_000])
def test_every_band_of_the_voice_passes(hz: int) -> None:
    wave = tone(hz, 2)
    out = through(WebRtcCare(suppression=0, gain_dbfs=0), wave)
    assert db(out[S:]) == pytest.approx(db(wave[S:]), abs=1.5)


def test_rumble_below_the_voice_is_taken_out() -> None:
    wave = tone(25, 3, 0.3)
    assert db(through(WebRtcCare(suppression=0, gain_dbfs=0), wave)[S:]) < db(wave[S:]) - 10


@pytest.mark.parametrize("suppression", [0, 2])
def test_sound_comes_out_where_it_went_in(suppression: int) -> None:
    hand = np.random.default_rng(1)
    bursts = np.where(np.arange(4 * S) % S < S // 4, 0.2, 0.0)
    wave = (hand.standard_normal(4 * S) * bursts).astype(np.float32)
    out = through(WebRtcCare(suppression, 0), wave).astype(np.float64)
    match = np.fft.irfft(np.fft.rfft(out, 8 * S) * np.conj(np.fft.rfft(wave, 8 * S)))
    assert abs((int(np.argmax(match)) + 4 * S) % (8 * S) - 4 * S) <= 3  # samples


def test_steady_noise_is_suppressed_and_a_voice_is_not() -> None:
    noise = (0.01 * np.random.default_rng(2).standard_normal(8 * S)).astype(np.float32)
    quiet = through(WebRtcCare(2, 0), noise)[4 * S :]
    assert db(quiet) < db(noise) - 8
    syllables = (tone(220, 8) + tone(660, 8) + tone(1800, 8, 0.05)) * (np.arange(8 * S) % (S // 3) < S // 6)
    spoken = through(WebRtcCare(2, 0), (noise + syllables).astype(np.float32))[4 * S :]
    assert db(spoken) > db(syllables[4 * S :]) - 3


def test_a_quiet_teacher_is_brought_up() -> None:
    syllables = (tone(220, 10, 0.01) + tone(660, 10, 0.008)) * (np.arange(10 * S) % (S // 3) < S // 6)
    out = through(WebRtcCare(0, 3), syllables.astype(np.float32))
    assert db(out[6 * S :]) > db(syllables[6 * S :]) + 6


def test_it_is_off_when_the_settings_say_so() -> None:
    assert isinstance(new_care(clean=False, suppression=2, gain_dbfs=6), NoCare)
