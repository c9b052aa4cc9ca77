"""Keeps one sound card open, in a thread of its own: opens the best, notices that it is gone, opens the next best.

What happens goes through a bounded ``CaptureThread`` to the loop: ``Opened``, ``Chunk`` after ``Chunk``, ``Lost``.
Used by ``microphone.py``. Not here: PortAudio (``sound_card.py``), what is heard meanwhile (``voice_line.py``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.capture.sound_card import CardInfo, Chunk, Hear, OpenCard
from appliance.capture.sound_choice import candidates, is_first_choice, nothing_found
from appliance.capture.thread import CaptureThread
from appliance.errors import MicrophoneUnavailable

log = logging.getLogger(__name__)

LOOK_S = 0.1  # how often the open card is looked at
SILENT_S = 0.5  # nobody raises when a card is unplugged: its callbacks stop; a busy machine delays them by less
AGAIN_S = 1.0  # how soon a lost card is looked for; replugging takes a hand longer
ROOM_CHUNKS = 100  # 2 s of sound: a loop that stalls longer loses the newest, and the line begins anew
ALSA_CARDS = Path("/proc/asound/cards")  # the kernel's list: changes when a card is plugged in or out


@dataclass(frozen=True, slots=True)
class Opened:
    """This card is the microphone from now on."""

    name: str
    rate_hz: int


@dataclass(frozen=True, slots=True)
class Lost:
    """No card gives sound; the keeper goes on looking."""

    error: MicrophoneUnavailable


News = Opened | Chunk | Lost


class Session(Protocol):
    """The cards, as of now."""

    def cards(self) -> Sequence[CardInfo]:
        """Those that can record."""
        ...

    def open(self, card: CardInfo, hear: Hear) -> AbstractContextManager[OpenCard]:
        """Record. Raises ``MicrophoneUnavailable``."""
        ...


class Cards(Protocol):
    """A machine's sound system."""

    def session(self) -> AbstractContextManager[Session]:
        """Look which cards there are. Raises ``MicrophoneUnavailable``."""
        ...


def kernel_list() -> str:
    """Something that changes when a card comes or goes."""
    try:
        return ALSA_CARDS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # a kernel without sound has no cards


class CardKeeper:
    """The body of the thread. ``wanted`` are name patterns, best first."""

    def __init__(
        self, cards: Cards, wanted: Sequence[str], listing: Callable[[], str] = kernel_list, again_s: float = AGAIN_S
    ) -> None:
        self._cards = cards
        self._wanted = tuple(wanted)
        self._listing = listing
        self._again_s = again_s
        self._doubted = ""  # the card that opened and gave nothing: it is tried last, or it would hog the place

    def __call__(self, thread: CaptureThread[News]) -> None:
        """Run until the thread is told to stop."""
        while not thread.stopping():
            try:
                self._listen(thread)
            except MicrophoneUnavailable as error:
                thread.put(Lost(error))
                thread.wait(self._again_s)

    def _listen(self, thread: CaptureThread[News]) -> None:
        def hear(chunk: Chunk) -> None:
            if thread.has_room():
                thread.put(chunk)

        listed = self._listing()
        with self._cards.session() as session, self._open_best(session, hear) as (info, card):
            thread.put(Opened(card.name, card.rate_hz))
            is_best = is_first_choice(info, self._wanted)
            log.info("microphone: %s, %d Hz", card.name, card.rate_hz)
            if self._watch(thread, card, lambda: not is_best and self._listing() != listed):
                self._doubted = ""
                return
        self._doubted = "" if card.chunks else card.name
        if not thread.stopping():  # and the next one is opened at once
            thread.put(Lost(MicrophoneUnavailable(f"{card.name} gives no sound any more; is it still plugged in?")))

    @contextmanager
    def _open_best(self, session: Session, hear: Hear) -> Iterator[tuple[CardInfo, OpenCard]]:
        cards = session.cards()
        order = sorted(candidates(cards, self._wanted), key=lambda card: card.name == self._doubted)
        if not order:
            raise MicrophoneUnavailable(nothing_found(cards, self._wanted))
        for place, info in enumerate(order, 1):
            opening = session.open(info, hear)
            try:
                card = opening.__enter__()
            except MicrophoneUnavailable as error:
                if place == len(order):
                    raise
                log.warning("microphone: %s", error)
                continue
            try:
                yield info, card
            finally:
                opening.__exit__(None, None, None)
            return

    def _watch(self, thread: CaptureThread[News], card: OpenCard, better: Callable[[], bool]) -> bool:
        """True once a better card may be there; False when this one gives no more, or the thread is to stop."""
        chunks, silent_s = card.chunks, 0.0
        while thread.wait(LOOK_S):
            silent_s = silent_s + LOOK_S if card.chunks == chunks else 0.0
            chunks = card.chunks
            if silent_s >= SILENT_S or not card.running():
                return False
            if better():
                return True
        return False
