"""Sound cards through PortAudio (PyAudio, ALSA): which there are, and one of them open. The only module that knows it.

PortAudio makes its list of devices once, when it starts: a microphone that was plugged in later is seen only by a new
start, so each opening is one. Its callback runs on PortAudio's own thread and only hands samples on. Everything here
blocks, and belongs into a thread. Not here: which card to take (``sound_choice.py``), what to do when it goes away
(``card_keeper.py``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.capture.base import SAMPLE_RATE_HZ, Samples
from appliance.capture.clock import boot_clock_us
from appliance.capture.sample_clock import ClockBridge
from appliance.errors import MicrophoneUnavailable

if TYPE_CHECKING:
    import pyaudio

log = logging.getLogger(__name__)

PERIOD_S = 0.02  # a callback for each block: twice as many wake three threads twice as often, and save voice 10 ms
LONGEST_LATENCY_S = 1.0  # a card that says more of itself is not to be believed


@dataclass(frozen=True, slots=True)
class CardInfo:
    """A card that can record, as PortAudio lists it."""

    index: int
    name: str
    channels: int
    rate_hz: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a callback brought: mono samples at ``rate_hz``, the first taken at ``boot_us`` on the boot clock."""

    samples: Samples
    rate_hz: int
    boot_us: float


Hear = Callable[[Chunk], None]


class OpenCard:
    """A card that records. ``chunks`` counts what it gave."""

    def __init__(
        self,
        info: CardInfo,
        rate_hz: int,
        channels: int,
        hear: Hear,
        boot_us: Callable[[], int] = boot_clock_us,
    ) -> None:
        self.name = info.name
        self.rate_hz = rate_hz
        self.chunks = 0
        self.running: Callable[[], bool] = lambda: True
        self._channels = channels
        self._hear = hear
        self._boot_us = boot_us
        self._bridge = ClockBridge()

    def heard(self, data: bytes, frames: int, adc_s: float, stream_s: float) -> None:
        """A callback's data. ``adc_s`` and ``stream_s`` are PortAudio's times of the first sample and of now."""
        now_us = self._boot_us()
        self.chunks += 1
        # A sample cannot be delivered before it was taken: what a card says of its latency is held to that.
        shortest_s = frames / self.rate_hz
        latency_s = min(max(stream_s - adc_s, shortest_s), shortest_s + LONGEST_LATENCY_S)
        samples = np.frombuffer(data, np.int16)
        if self._channels > 1:
            samples = samples.reshape(-1, self._channels).mean(axis=1).astype(np.int16)
        self._hear(Chunk(samples, self.rate_hz, self._bridge.boot_us(stream_s, now_us) - latency_s * 1e6))


class PortAudioCards:
    """The machine's sound cards, as of one start of PortAudio."""

    @contextmanager
    def session(self) -> Iterator[CardSession]:
        """Start PortAudio. Raises ``MicrophoneUnavailable`` where it is not installed."""
        try:
            import pyaudio
        except ImportError as error:
            raise MicrophoneUnavailable(REMEDY) from error
        audio = pyaudio.PyAudio()
        try:
            yield CardSession(audio)
        finally:
            audio.terminate()


REMEDY = (
    "PyAudio is missing; install Debian's libportaudio2 and portaudio19-dev and parta[kit-hardware], "
    'or set microphone.kind = "simulated" or "none"'
)


def check_installed() -> None:
    """See that PyAudio can be loaded. Raises ``MicrophoneUnavailable``."""
    from importlib.util import find_spec

    if find_spec("pyaudio") is None:
        raise MicrophoneUnavailable(REMEDY)


class CardSession:
    """PortAudio, started."""

    def __init__(self, audio: pyaudio.PyAudio) -> None:
        self._audio = audio

    def cards(self) -> Sequence[CardInfo]:
        """The cards that can record."""
        infos = (self._audio.get_device_info_by_index(index) for index in range(self._audio.get_device_count()))
        return [_card(info) for info in infos if int(info["maxInputChannels"]) > 0]

    @contextmanager
    def open(self, card: CardInfo, hear: Hear) -> Iterator[OpenCard]:
        """Record. Raises ``MicrophoneUnavailable`` where the card refuses."""
        import pyaudio

        reasons = []
        for rate_hz, channels in _ways(card):
            opened = OpenCard(card, rate_hz, channels, hear)

            def called(
                data: bytes | None, frames: int, times: Mapping[str, float], _: int, to: OpenCard = opened
            ) -> Any:
                if data:
                    to.heard(data, frames, times["input_buffer_adc_time"], times["current_time"])
                return None, pyaudio.paContinue

            try:
                stream = self._audio.open(
                    rate=rate_hz,
                    channels=channels,
                    format=pyaudio.paInt16,
                    input=True,
                    input_device_index=card.index,
                    frames_per_buffer=int(rate_hz * PERIOD_S),
                    stream_callback=called,
                )
            except (OSError, ValueError) as error:
                reasons.append(f"{rate_hz} Hz × {channels}: {error}")
                continue
            opened.running = stream.is_active
            try:
                yield opened
            finally:
                stream.close()
            return
        raise MicrophoneUnavailable(
            f"{card.name} cannot be opened ({'; '.join(reasons)}); does another program use it?"
        )


def _card(info: Mapping[str, Any]) -> CardInfo:
    name, channels = str(info["name"]), int(info["maxInputChannels"])
    return CardInfo(int(info["index"]), name, channels, int(info["defaultSampleRate"]))


def _ways(card: CardInfo) -> Iterator[tuple[int, int]]:
    """Rates and channels to try: mono at our own rate, or else what the card likes; all of it is brought to mono."""
    for rate_hz in dict.fromkeys((SAMPLE_RATE_HZ, card.rate_hz)):
        for channels in (1, 2):
            if channels <= card.channels:
                yield rate_hz, channels
