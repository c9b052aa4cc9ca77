"""The real microphone over real PortAudio, ALSA and PulseAudio: plugged in, pulled out, replaced, dead, overdriven."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from appliance.capture.base import PcmBlock
from appliance.capture.clock import LessonClock
from appliance.capture.microphone import AlsaMicrophone, AlsaMicrophoneStream
from appliance.capture.sound_card import PortAudioCards
from appliance.capture.voice_care import WebRtcCare
from tests.appliance.capture.reading import take, take_until
from tests.appliance.capture.sound_system import SoundSystem, Voice, needs_sound, sound_system

pytestmark = needs_sound


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundSystem]:
    with sound_system(tmp_path, monkeypatch) as system:
        yield system


def loud(block: PcmBlock) -> bool:
    return int(np.abs(block.samples.astype(np.int32)).max()) > 3000


def silent(block: PcmBlock) -> bool:
    return not block.samples.any()


def pitch_hz(blocks: Sequence[PcmBlock]) -> float:
    wave = np.concatenate([block.samples for block in blocks]).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(np.argmax(spectrum)) * 48_000 / len(wave)


def back_to_back(blocks: Sequence[PcmBlock]) -> bool:
    return {b.capture_us - a.capture_us for a, b in itertools.pairwise(blocks)} == {20_000}


async def while_reading(stream: AlsaMicrophoneStream, hand: Callable[[], None]) -> list[PcmBlock]:
    """What a hand does to the cards, while the lesson goes on."""
    done = asyncio.ensure_future(asyncio.to_thread(hand))
    blocks = await take_until(stream, lambda _: done.done())
    await done
    return blocks


def test_port_audio_lists_the_cards(sound: SoundSystem) -> None:
    sound.plug("usb_pult")
    sound.plug("spare_usb")
    with PortAudioCards().session() as session:
        assert {"usb_pult", "spare_usb"} <= {card.name for card in session.cards()}


async def test_the_first_usb_microphone_is_heard(sound: SoundSystem) -> None:
    sound.plug("usb_pult")
    async with AlsaMicrophone(listing=sound.listing).open(LessonClock.start()) as stream:
        await take_until(stream, loud)
        heard = await take(stream, 50)
        figures = stream.figures()
        assert (stream.hears, stream.device) == (True, "usb_pult")
    assert pitch_hz(heard) == pytest.approx(440, abs=3)
    assert figures is not None
    assert figures.level_dbfs == pytest.approx(-13.3, abs=1.5)


async def test_cleaned_it_is_heard_too(sound: SoundSystem) -> None:
    sound.plug("usb_pult")
    microphone = AlsaMicrophone(("pult",), lambda: WebRtcCare(0, 0), listing=sound.listing)
    async with microphone.open(LessonClock.start()) as stream:
        await take_until(stream, loud)
        assert pitch_hz(await take(stream, 50)) == pytest.approx(440, abs=3)


async def test_pulled_out_it_is_silence_at_once_and_back_it_is_heard_by_itself(sound: SoundSystem) -> None:
    sound.plug("usb_pult")
    clock = LessonClock.start()
    async with AlsaMicrophone(("pult",), listing=sound.listing).open(clock) as stream:
        blocks = await take_until(stream, loud)
        pulled_us = clock.now_us()
        sound.unplug("usb_pult")
        blocks += await take_until(stream, silent)
        assert blocks[-1].capture_us - pulled_us < 400_000
        blocks += await take_until(stream, lambda _: not stream.hears)
        assert "usb_pult" in str(stream.trouble)
        assert stream.figures() is None
        blocks += await while_reading(stream, lambda: sound.plug("usb_pult"))
        blocks += await take_until(stream, lambda block: stream.hears and loud(block))
    assert back_to_back(blocks)


async def test_a_second_microphone_takes_over_and_gives_way(sound: SoundSystem) -> None:
    sound.plug("usb_pult")
    sound.plug("spare_usb", "low_tone")
    async with AlsaMicrophone(("pult", "spare"), listing=sound.listing).open(LessonClock.start()) as stream:
        blocks = await take_until(stream, lambda block: stream.device == "usb_pult" and loud(block))
        sound.unplug("usb_pult")
        blocks += await take_until(stream, lambda block: stream.device == "spare_usb" and loud(block))
        second = await take(stream, 50)
        assert pitch_hz(second) == pytest.approx(220, abs=3)
        blocks += second
        blocks += await while_reading(stream, lambda: sound.plug("usb_pult"))
        blocks += await take_until(stream, lambda block: stream.device == "usb_pult" and loud(block))
    assert back_to_back(blocks)


@pytest.mark.parametrize(("voice", "warning"), [("dead", "silent"), ("overdriven", "clipping")])
async def test_a_bad_microphone_is_told_within_5_s_of_its_sound(sound: SoundSystem, voice: Voice, warning: str) -> None:
    def warned(_: PcmBlock) -> bool:
        figures = stream.figures()
        return figures is not None and figures.warning == warning

    sound.plug("usb_pult", voice)
    async with AlsaMicrophone(listing=sound.listing).open(LessonClock.start()) as stream:
        before = await take_until(stream, lambda _: stream.hears)
        after = await take_until(stream, warned)
    assert after[-1].capture_us - before[-1].capture_us <= 5_000_000


async def test_without_any_card_it_says_what_is_there(sound: SoundSystem) -> None:
    sound.plug("usb_pult")
    async with AlsaMicrophone(("lectern",), listing=sound.listing).open(LessonClock.start()) as stream:
        blocks = await take_until(stream, lambda _: stream.trouble is not None)
    assert all(silent(block) for block in blocks)
    assert 'no sound card is "lectern" (there is: ' in str(stream.trouble)
    assert "usb_pult" in str(stream.trouble)
