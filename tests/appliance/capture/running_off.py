"""A sound card whose clock really runs off, at any speed: it calls PortAudio's callback, on a clock of its own.

The world around it is a function of true time, so that a test knows when each sample was *really* taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.capture.sound_card import CardInfo, Chunk, OpenCard

World = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


@dataclass
class RunningOffCard:
    """Gives ``world`` (±1, of true seconds), sampled by a clock that is ``ppm`` too fast, with jittering callbacks.

    ``jitter_s``: how unsure the card's own time of a chunk is; a callback in 200 comes 80 ms late, as when a machine
    stalls. ``stream_ahead_s``: PortAudio's clock against the boot clock.
    """

    world: World
    ppm: float
    rate_hz: int = 48_000
    frames: int = 960
    channels: int = 1
    jitter_s: float = 0.001
    stream_ahead_s: float = 1.7e9
    begin_s: float = 0.1

    def __post_init__(self) -> None:
        self.now_us = 0
        self.true_rate_hz = self.rate_hz * (1 + self.ppm / 1e6)
        self._hand = np.random.default_rng(5)

    def chunks(self, seconds: float) -> Iterator[Chunk]:
        """What the card's callback hands on, for so long. ``now_us`` is the boot clock at each."""
        heard: list[Chunk] = []
        info = CardInfo(0, "a USB microphone", self.channels, self.rate_hz)
        card = OpenCard(info, self.rate_hz, self.channels, heard.append, lambda: self.now_us)
        for number in range(int(seconds * self.true_rate_hz / self.frames)):
            taken_s = self.begin_s + (number * self.frames + np.arange(self.frames)) / self.true_rate_hz
            pcm = np.rint(self.world(taken_s) * 32767).astype(np.int16)
            end_s = self.begin_s + (number + 1) * self.frames / self.true_rate_hz
            stream_s = end_s + 0.004
            adc_s = taken_s[0] + float(self._hand.normal(0, self.jitter_s))
            late_s = 0.08 if number % 200 == 150 else float(self._hand.exponential(0.0005))
            self.now_us = int((stream_s + late_s) * 1e6)
            data = np.repeat(pcm, self.channels).tobytes()
            card.heard(data, self.frames, adc_s + self.stream_ahead_s, stream_s + self.stream_ahead_s)
            yield heard.pop()
