"""What every microphone of a kit keeps, whoever made it. A new adapter joins by a line in ``MICROPHONES``."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.capture.base import BLOCK_SAMPLES, Microphone
from appliance.capture.clock import LessonClock
from appliance.capture.file import FileMicrophone
from appliance.capture.microphone import AlsaMicrophone
from appliance.capture.silence import NoMicrophone
from appliance.capture.simulated.microphone import SimulatedMicrophone
from tests.appliance.capture.media import Recipe, make_video
from tests.appliance.capture.reading import take, take_until
from tests.appliance.capture.sound_system import needs_sound, sound_system

BLOCK_US = 20_000
NEAR_US = 700_000  # how far behind the clock a block may arrive on a loaded machine

MICROPHONES: dict[str, Callable[[Path], Microphone]] = {
    "simulated": lambda _: SimulatedMicrophone(),
    "none": lambda _: NoMicrophone(),
    "file with picture": lambda folder: FileMicrophone(make_video(folder / "a.mp4")),
    "file of sound": lambda folder: FileMicrophone(make_video(folder / "a.m4a", Recipe(picture=False))),
}


@pytest.fixture(params=[*MICROPHONES, pytest.param("sound card", marks=needs_sound)])
def microphone(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Microphone]:
    if request.param == "sound card":
        with sound_system(tmp_path, monkeypatch) as system:
            system.plug("usb_pult")
            yield AlsaMicrophone(listing=system.listing)
    else:
        yield MICROPHONES[request.param](tmp_path)


async def test_blocks_are_20_ms_of_mono(microphone: Microphone) -> None:
    async with microphone.open(LessonClock.start()) as stream:
        blocks = await take(stream, 5)
    for block in blocks:
        assert block.samples.shape == (BLOCK_SAMPLES,)
        assert block.samples.dtype == np.int16


async def test_blocks_are_back_to_back_on_the_20_ms_grid(microphone: Microphone) -> None:
    async with microphone.open(LessonClock.start()) as stream:
        blocks = await take(stream, 120)  # a file of two seconds begins anew within
    assert blocks[0].capture_us % BLOCK_US == 0
    assert {b.capture_us - a.capture_us for a, b in itertools.pairwise(blocks)} == {BLOCK_US}


async def test_blocks_arrive_when_they_are_over(microphone: Microphone) -> None:
    clock = LessonClock.start()
    delays: list[int] = []
    async with microphone.open(clock) as stream:

        def noted(end_us: int) -> bool:
            delays.append(clock.now_us() - end_us)
            return len(delays) == 25

        await take_until(stream, lambda block: noted(block.capture_us + BLOCK_US))
    assert all(0 <= delay <= NEAR_US for delay in delays)


async def test_it_opens_again_and_time_goes_on(microphone: Microphone) -> None:
    clock = LessonClock.start()
    async with microphone.open(clock) as stream:
        before = await take(stream, 3)
    async with microphone.open(clock) as stream:
        after = await take(stream, 3)
    assert after[0].capture_us > before[-1].capture_us


async def test_closing_releases_its_threads(microphone: Microphone) -> None:
    before = set(threading.enumerate())
    async with microphone.open(LessonClock.start()) as stream:
        await take(stream, 2)
    left = {thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio_")}
    assert not left
