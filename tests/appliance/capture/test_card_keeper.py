"""The thread that keeps a card open: which one, what happens when it goes, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from appliance.capture.card_keeper import CardKeeper, Lost, News, Opened
from appliance.capture.clock import LessonClock
from appliance.capture.microphone import AlsaMicrophone
from appliance.capture.sound_card import CardInfo, Chunk, Hear, OpenCard
from appliance.capture.sound_choice import candidates, matches, nothing_found
from appliance.capture.thread import CaptureThread
from appliance.errors import MicrophoneUnavailable
from appliance.preflight_devices import check_microphone
from tests.appliance.capture.reading import take, take_until

PATIENCE_S = 10.0
TEN_MS = bytes(2 * 480)
BEHIND_S, LATE_BLOCKS = 0.6, 20  # fewer blocks than the time holds: all of them are there already

PULT = CardInfo(3, "Pult: USB Audio (hw:1,0)", 1, 48_000)
SPARE = CardInfo(4, "Snowball: USB Audio (hw:2,0)", 1, 48_000)
HDMI = CardInfo(0, "vc4-hdmi: MAI PCM (hw:0,0)", 2, 48_000)

N = TypeVar("N", bound=News)


@dataclass
class Bus:
    """Cards on a bus that a test plugs in and out; a plugged one calls back every 10 ms from a thread of its own."""

    plugged: set[CardInfo] = field(default_factory=set)
    mute: set[CardInfo] = field(default_factory=set)
    busy: set[CardInfo] = field(default_factory=set)
    open_now: list[str] = field(default_factory=list)

    @contextmanager
    def session(self) -> Iterator[BusSession]:
        yield BusSession(self, [HDMI, *sorted(self.plugged, key=lambda card: card.index)])

    def listing(self) -> str:
        return str(sorted(card.name for card in self.plugged))


@dataclass
class BusSession:
    bus: Bus
    seen: Sequence[CardInfo]

    def cards(self) -> Sequence[CardInfo]:
        return self.seen

    @contextmanager
    def open(self, card: CardInfo, hear: Hear) -> Iterator[OpenCard]:
        if card in self.bus.busy or card not in self.bus.plugged:
            raise MicrophoneUnavailable(f"{card.name} is busy")
        opened, closed = OpenCard(card, 48_000, 1, hear), threading.Event()

        def call_back() -> None:
            while not closed.wait(0.01):
                if card in self.bus.plugged and card not in self.bus.mute:
                    opened.heard(TEN_MS, 480, 0.0, 0.0)

        caller = threading.Thread(target=call_back, name=f"callback of {card.name}")
        caller.start()
        self.bus.open_now.append(card.name)
        try:
            yield opened
        finally:
            closed.set()
            caller.join()
            self.bus.open_now.remove(card.name)


@asynccontextmanager
async def kept(bus: Bus, *wanted: str) -> AsyncIterator[CaptureThread[News]]:
    keeper = CardKeeper(bus, wanted, bus.listing, again_s=0.02)
    thread: CaptureThread[News] = CaptureThread("keeper", 200, keeper)
    try:
        yield thread
    finally:
        await thread.close()
    assert bus.open_now == []


async def the_next(thread: CaptureThread[News], kind: type[N]) -> N:
    async with asyncio.timeout(PATIENCE_S):
        while not isinstance(news := await anext(thread), kind):
            continue
    return news


async def test_the_first_usb_microphone_is_opened_and_heard() -> None:
    async with kept(Bus({PULT, SPARE}), "") as thread:
        assert await the_next(thread, Opened) == Opened(PULT.name, 48_000)
        assert len((await the_next(thread, Chunk)).samples) == 480


async def test_a_name_chooses() -> None:
    async with kept(Bus({PULT, SPARE}), "snow*usb") as thread:
        assert (await the_next(thread, Opened)).name == SPARE.name


async def test_none_there_is_told_and_one_that_comes_is_taken() -> None:
    bus = Bus()
    async with kept(bus, "") as thread:
        assert "no sound card is a USB microphone (there is: vc4-hdmi" in str((await the_next(thread, Lost)).error)
        bus.plugged.add(PULT)
        assert (await the_next(thread, Opened)).name == PULT.name


async def test_a_card_that_falls_silent_is_lost_and_opened_again() -> None:
    bus = Bus({PULT})
    async with kept(bus, "") as thread:
        await the_next(thread, Chunk)
        bus.plugged.clear()
        assert PULT.name in str((await the_next(thread, Lost)).error)
        bus.plugged.add(PULT)
        await the_next(thread, Opened)
        await the_next(thread, Chunk)


async def test_the_second_takes_over_and_gives_way_when_the_first_is_back() -> None:
    bus = Bus({PULT, SPARE})
    async with kept(bus, "pult", "snowball") as thread:
        await the_next(thread, Chunk)
        bus.plugged.remove(PULT)
        assert (await the_next(thread, Opened)).name == SPARE.name
        bus.plugged.add(PULT)
        assert (await the_next(thread, Opened)).name == PULT.name


@pytest.mark.parametrize("how", ["busy", "mute"])
async def test_a_first_choice_that_does_not_work_does_not_hog_the_place(how: str) -> None:
    bus = Bus({PULT, SPARE})
    getattr(bus, how).add(PULT)
    async with kept(bus, "pult", "snowball") as thread:
        while (await the_next(thread, Opened)).name != SPARE.name:
            continue
        assert len((await the_next(thread, Chunk)).samples) == 480
        assert bus.open_now == [SPARE.name]


async def test_a_reader_that_stalls_is_not_drowned() -> None:
    bus = Bus({PULT})
    thread: CaptureThread[News] = CaptureThread("keeper", 5, CardKeeper(bus, ("",), bus.listing))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while thread.has_room():
                await asyncio.to_thread(threading.Event().wait, 0.05)
            await asyncio.to_thread(threading.Event().wait, 0.2)
        assert len(thread._items) == 5
    finally:
        await thread.close()


async def test_the_microphone_gives_silence_until_a_card_is_there() -> None:
    bus = Bus()
    async with AlsaMicrophone(cards=bus, listing=bus.listing).open(LessonClock.start()) as stream:
        await take_until(stream, lambda _: stream.trouble is not None)
        assert not stream.hears
        assert stream.figures() is None
        bus.plugged.add(PULT)
        await take_until(stream, lambda _: stream.hears)
        assert (stream.trouble, stream.device) == (None, PULT.name)


async def test_what_is_late_comes_a_block_at_a_time_and_everybody_else_on_the_loop_goes_on_between() -> None:
    bus, turns, loop, is_over = Bus({PULT}), 0, asyncio.get_running_loop(), False

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not is_over:
            loop.call_soon(turn)

    async with AlsaMicrophone(cards=bus, listing=bus.listing).open(LessonClock.start()) as stream:
        await take_until(stream, lambda _: stream.hears)
        threading.Event().wait(BEHIND_S)  # the loop stands still, and the card goes on
        loop.call_soon(turn)
        late = await take(stream, LATE_BLOCKS)
        is_over = True
    assert turns >= LATE_BLOCKS
    assert late[-1].capture_us - late[0].capture_us == (LATE_BLOCKS - 1) * 20_000


async def test_the_doctor_names_a_card_that_is_not_there() -> None:
    bus = Bus()
    found = await check_microphone(AlsaMicrophone(cards=bus, listing=bus.listing))
    assert (found.outcome, found.told.partition(" (")[0]) == ("failed", "no sound card is a USB microphone")


def test_patterns_are_parts_of_names_and_the_first_pattern_comes_first() -> None:
    assert matches("PULT", PULT.name)
    assert matches("hw:1*", PULT.name)
    assert not matches("", HDMI.name)
    assert candidates([SPARE, HDMI, PULT], ["pult", ""]) == [PULT, SPARE]
    assert "there is: none at all" in nothing_found([], ["x"])
