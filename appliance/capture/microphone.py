"""The kit's microphone: a sound card, kept open through unplugging, cleaned, and in step with the lesson clock.

Blocks come back to back whatever happens to the card: while there is none, they are silent, and ``hears`` is False.
``kit.py`` makes it for ``microphone.kind = "alsa"``. Put together from: the card (``sound_card.py``), the thread that
keeps one open (``card_keeper.py``), the line that has every sample in its place (``voice_line.py``), the cleaning
(``voice_care.py``) and the meter (``sound_meter.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from appliance.capture.base import PcmBlock
from appliance.capture.card_keeper import ROOM_CHUNKS, CardKeeper, Cards, Lost, News, Opened, kernel_list
from appliance.capture.clock import LessonClock
from appliance.capture.sound_card import Chunk, PortAudioCards, check_installed
from appliance.capture.sound_meter import SoundFigures, SoundMeter
from appliance.capture.thread import CaptureThread
from appliance.capture.voice_care import NoCare, VoiceCare, new_care
from appliance.capture.voice_line import VoiceLine
from appliance.errors import MicrophoneUnavailable
from appliance.settings import MicrophoneSection


def configured_microphone(settings: MicrophoneSection) -> AlsaMicrophone:
    """The microphone that the settings describe. Raises ``MicrophoneUnavailable`` where PyAudio is missing."""
    check_installed()
    wanted = [settings.device, *([settings.second_device] if settings.second_device else [])]
    levels = {"suppression": settings.noise_suppression, "gain_dbfs": settings.auto_gain_dbfs}
    return AlsaMicrophone(wanted, partial(new_care, clean=settings.clean, **levels))


class AlsaMicrophone:
    """``wanted``: name patterns of sound cards, best first; an empty one is "the first USB microphone"."""

    def __init__(
        self,
        wanted: Sequence[str] = ("",),
        new_care: Callable[[], VoiceCare] = NoCare,
        cards: Cards | None = None,
        listing: Callable[[], str] = kernel_list,
    ) -> None:
        self._wanted = tuple(wanted)
        self._new_care = new_care
        self._cards: Cards = PortAudioCards() if cards is None else cards
        self._listing = listing

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[AlsaMicrophoneStream]:
        """Start to listen. A card that is not there is looked for, and told by ``trouble``, never raised."""
        keeper = CardKeeper(self._cards, self._wanted, self._listing)
        thread: CaptureThread[News] = CaptureThread("microphone", ROOM_CHUNKS, keeper)
        try:
            yield AlsaMicrophoneStream(thread, VoiceLine(clock.now_us(), self._new_care()), clock)
        finally:
            await thread.close()


class AlsaMicrophoneStream:
    """The open microphone. ``hears``: a card gives sound now; ``trouble``: why none does, once that is known."""

    def __init__(self, thread: CaptureThread[News], line: VoiceLine, clock: LessonClock) -> None:
        self.hears = False
        self.trouble: MicrophoneUnavailable | None = None
        self.device = ""
        self._thread = thread
        self._line = line
        self._clock = clock
        self._meter: SoundMeter | None = None

    def __aiter__(self) -> AlsaMicrophoneStream:
        return self

    async def __anext__(self) -> PcmBlock:
        has_waited = False
        while True:
            while self._thread.pending():  # all of it first: after a stall of the loop, a late block may be whole here
                self._take(await anext(self._thread))
                await asyncio.sleep(0)
            if (block := self._line.due(self._clock.now_us())) is not None:
                if not has_waited:  # catching up: nobody else on the loop is to wait until all of it is encoded
                    await asyncio.sleep(0)
                return block
            has_waited = True
            if (news := await self._news()) is not None:
                self._take(news)

    @property
    def off_ppm(self) -> float | None:
        """How far off the card's clock is measured to be."""
        return self._line.off_ppm

    def figures(self) -> SoundFigures | None:
        """The level of what the card gives, and what is wrong with it; None without a card."""
        return None if self._meter is None else self._meter.figures(self.device)

    async def _news(self) -> News | None:
        """What the keeper says next; None when a block has to go out before."""
        now_us = self._clock.now_us()
        until_us = self._line.end_us if now_us < self._line.end_us else self._line.deadline_us
        try:
            async with asyncio.timeout((until_us - now_us) / 1e6):
                return await anext(self._thread)
        except TimeoutError:
            return None

    def _take(self, news: News) -> None:
        if isinstance(news, Chunk):
            if self._meter is not None and len(news.samples):
                self.hears, self.trouble = True, None
                self._meter.add(news.samples)
                self._line.feed(news.samples, news.rate_hz, self._clock.from_boot_us(0) + news.boot_us)
        elif isinstance(news, Opened):
            self.device, self._meter = news.name, SoundMeter(news.rate_hz)
        elif isinstance(news, Lost):
            self.hears, self.trouble, self._meter, self.device = False, news.error, None, ""
            self._line.lost()
