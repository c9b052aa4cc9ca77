"""One camera and one microphone to many sinks: encoded once, each source by itself, lost ones opened again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import pytest

from appliance.capture.base import AccessUnit, CameraStream, MicrophoneStream, OpusFrame, PcmBlock
from appliance.capture.clock import LessonClock
from appliance.capture.fanout import Capture, SourceState
from appliance.capture.silence import NoMicrophone
from appliance.capture.simulated.camera import SimulatedCamera
from appliance.capture.simulated.microphone import SimulatedMicrophone
from appliance.capture.sound_meter import SoundFigures
from appliance.errors import CameraUnavailable, MicrophoneUnavailable

RETRY_S = (0.01, 0.02)
PATIENCE_S = 10.0


@dataclass
class Sink:
    """Keeps what it is given, and lets a test wait for more."""

    pictures: list[AccessUnit] = field(default_factory=list)
    voices: list[OpusFrame] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def picture(self, unit: AccessUnit) -> None:
        self.pictures.append(unit)
        self.changed.set()

    def voice(self, frame: OpusFrame) -> None:
        self.voices.append(frame)
        self.changed.set()

    async def has(self, pictures: int = 0, voices: int = 0) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.pictures) < pictures or len(self.voices) < voices:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Told:
    """What a source was said to do."""

    said: list[bool] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, gives: bool) -> None:
        self.said.append(gives)
        self.changed.set()

    async def hears(self, *expected: bool) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.said[: len(expected)] != list(expected):
                self.changed.clear()
                await self.changed.wait()


class ScriptedCamera:
    """A camera that fails as it is told: each opening plays one line of the script."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.bitrates: list[int] = []
        self.frame_rates: list[int] = []
        self.key_frames = 0
        self.open_now = 0

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:
        act = self.script.pop(0) if self.script else "refuse"
        if act == "refuse":
            raise CameraUnavailable("no camera is plugged in")
        self.open_now += 1
        try:
            yield ScriptedStream(self, act, clock)
        finally:
            self.open_now -= 1


class ScriptedStream:
    def __init__(self, camera: ScriptedCamera, act: str, clock: LessonClock) -> None:
        self._camera, self._act, self._clock = camera, act, clock
        self._given = 0
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> AsyncIterator[AccessUnit]:
        return self

    async def __anext__(self) -> AccessUnit:
        await asyncio.sleep(0)
        if self._given < 3:
            self._given += 1
            capture_us = 5 if self._act == "back in time" else self._clock.now_us() + self._given
            return AccessUnit(b"\0\0\0\1\x65", True, capture_us)
        if self._act == "end":
            raise StopAsyncIteration
        if self._act == "lose":
            raise CameraUnavailable("the cable was pulled")
        never: asyncio.Future[AccessUnit] = self._loop.create_future()
        return await never  # "hang": frames just stop

    def force_key_frame(self) -> None:
        self._camera.key_frames += 1

    def set_bitrate(self, bits_per_s: int) -> None:
        self._camera.bitrates.append(bits_per_s)

    def set_frame_rate(self, fps: int) -> None:
        self._camera.frame_rates.append(fps)

    async def still(self) -> bytes:
        return b"jpeg"


class NoSuchMicrophone:
    """A microphone that cannot be opened."""

    def open(self, clock: LessonClock) -> AbstractAsyncContextManager[MicrophoneStream]:
        raise MicrophoneUnavailable("the sound card is gone")


@contextmanager
def running(capture: Capture, clock: LessonClock | None = None) -> Iterator[asyncio.Task[None]]:
    task = asyncio.get_running_loop().create_task(capture.run(clock or LessonClock.start()), name="capture")
    try:
        yield task
    finally:
        task.cancel()


async def test_every_sink_gets_the_same_units_encoded_once() -> None:
    one, two = Sink(), Sink()
    capture = Capture(SimulatedCamera(160, 120), SimulatedMicrophone(), [one, two])
    with running(capture) as task:
        await one.has(pictures=5, voices=5)
        await two.has(pictures=5, voices=5)
    await asyncio.wait([task])
    assert all(a is b for a, b in zip(one.pictures, two.pictures, strict=True))
    assert all(a is b for a, b in zip(one.voices, two.voices, strict=True))
    assert one.pictures[0].key_frame


async def test_a_dead_microphone_leaves_the_picture_alone() -> None:
    sink, camera_told, microphone_told = Sink(), Told(), Told()
    capture = Capture(
        SimulatedCamera(160, 120), NoSuchMicrophone(), [sink],
        on_camera=camera_told, on_microphone=microphone_told, retry_s=RETRY_S,
    )  # fmt: skip
    with running(capture) as task:
        await sink.has(pictures=10)
        await microphone_told.hears(False)
        assert not task.done()
        assert isinstance(capture.microphone.error, MicrophoneUnavailable)
    await asyncio.wait([task])
    assert camera_told.said == [True]
    assert microphone_told.said == [False]


class HealingMicrophone:
    """Gives silence for a device that comes and goes: each opening of the curtain plays the script, block by block."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.hears = False
        self.trouble: MicrophoneUnavailable | None = None

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[HealingMicrophone]:
        async with NoMicrophone().open(clock) as silence:
            self._silence = aiter(silence)
            yield self

    def __aiter__(self) -> HealingMicrophone:
        return self

    async def __anext__(self) -> PcmBlock:
        act = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.hears = act == "hears"
        if act == "gone" and self.trouble is None:
            self.trouble = MicrophoneUnavailable("pulled out")
        elif act != "gone":
            self.trouble = None
        return await anext(self._silence)

    def figures(self) -> SoundFigures | None:
        return SoundFigures(-20.0, -10.0, device="Pult") if self.hears else None


async def test_a_microphone_that_is_away_is_lost_though_its_silence_goes_on() -> None:
    sink, told = Sink(), Told()
    microphone = HealingMicrophone("opens", "hears", "gone", "gone", "hears")
    capture = Capture(SimulatedCamera(160, 120), microphone, [sink], on_microphone=told)
    with running(capture) as task:
        await sink.has(voices=6)
        assert capture.hearing() == SoundFigures(-20.0, -10.0, device="Pult")
    await asyncio.wait([task])
    assert told.said == [True, False, True]
    assert len({b.capture_us - a.capture_us for a, b in itertools.pairwise(sink.voices)}) == 1
    assert capture.hearing() is None


async def test_every_microphone_has_a_level() -> None:
    sink = Sink()
    capture = Capture(SimulatedCamera(160, 120), SimulatedMicrophone(), [sink])
    with running(capture) as task:
        await sink.has(voices=6)
        figures = capture.hearing()
    await asyncio.wait([task])
    assert figures is not None
    assert -80 < figures.level_dbfs < 0


async def test_a_dead_camera_leaves_the_voice_alone() -> None:
    sink, told = Sink(), Told()
    capture = Capture(ScriptedCamera("refuse"), SimulatedMicrophone(), [sink], on_camera=told, retry_s=RETRY_S)
    with running(capture) as task:
        await sink.has(voices=10)
        await told.hears(False)
        with pytest.raises(CameraUnavailable, match="plugged in"):
            await capture.still()
    await asyncio.wait([task])


async def test_a_lost_camera_is_opened_again() -> None:
    sink, told = Sink(), Told()
    camera = ScriptedCamera("lose", "refuse", "refuse", "lose", "hang")
    capture = Capture(camera, NoMicrophone(), [sink], on_camera=told, retry_s=RETRY_S)
    with running(capture) as task:
        await told.hears(True, False, True, False, True)
        await sink.has(pictures=9)
        assert camera.open_now == 1
    await asyncio.wait([task])
    assert camera.open_now == 0
    captured = [unit.capture_us for unit in sink.pictures]
    assert captured == sorted(set(captured))


async def test_a_camera_whose_frames_just_stop_is_lost() -> None:
    sink, told = Sink(), Told()
    capture = Capture(
        ScriptedCamera("hang", "hang"), NoMicrophone(), [sink], on_camera=told, retry_s=RETRY_S, silent_s=0.05
    )
    with running(capture) as task:
        await told.hears(True, False, True)
    await asyncio.wait([task])


async def test_a_camera_that_goes_back_in_time_is_not_believed() -> None:
    sink, told = Sink(), Told()
    camera = ScriptedCamera("back in time", "hang")
    capture = Capture(camera, NoMicrophone(), [sink], on_camera=told, retry_s=RETRY_S)
    with running(capture) as task:
        await told.hears(True, False, True)
        await sink.has(pictures=4)
    await asyncio.wait([task])
    captured = [unit.capture_us for unit in sink.pictures]
    assert captured == sorted(set(captured))


async def test_a_natural_end_is_reported_and_not_retried() -> None:
    sink, told = Sink(), Told()
    capture = Capture(ScriptedCamera("end", "lose"), SimulatedMicrophone(), [sink], on_camera=told, retry_s=RETRY_S)
    with running(capture) as task:
        await told.hears(True, False)
        assert capture.camera.state is SourceState.ENDED
        await sink.has(voices=5)
        assert not task.done()
    await asyncio.wait([task])
    assert told.said == [True, False]


async def test_rates_and_key_frames_reach_the_camera_also_a_reopened_one() -> None:
    told, camera = Told(), ScriptedCamera("lose", "hang")
    capture = Capture(camera, NoMicrophone(), [Sink()], on_camera=told, retry_s=RETRY_S)
    capture.set_bitrate(400_000)
    capture.set_frame_rate(15)
    capture.force_key_frame()  # closed: its first picture will be one
    with running(capture) as task:
        await told.hears(True, False, True)
        capture.force_key_frame()
        capture.set_bitrate(300_000)
        assert await capture.still() == b"jpeg"
    await asyncio.wait([task])
    assert camera.bitrates == [400_000, 400_000, 300_000]
    assert camera.frame_rates == [15, 15]
    assert camera.key_frames == 1


async def test_a_cut_lets_nothing_more_through() -> None:
    sink = Sink()
    capture = Capture(SimulatedCamera(160, 120), SimulatedMicrophone(), [sink])
    with running(capture) as task:
        await sink.has(pictures=2, voices=2)
        capture.cut()
        before = len(sink.pictures), len(sink.voices)
        for _ in range(3):
            await capture.still()  # each waits for a picture
        assert (len(sink.pictures), len(sink.voices)) == before
    await asyncio.wait([task])
    assert capture.camera.state is SourceState.CLOSED


async def test_a_second_run_goes_on_in_the_same_lesson() -> None:
    sink, clock = Sink(), LessonClock.start()
    capture = Capture(SimulatedCamera(160, 120), SimulatedMicrophone(), [sink])
    for count in (3, 6):
        with running(capture, clock) as task:
            await sink.has(pictures=count, voices=count)
        await asyncio.wait([task])
    captured = [unit.capture_us for unit in sink.pictures]
    heard = [frame.capture_us for frame in sink.voices]
    assert captured == sorted(set(captured))
    assert heard == sorted(set(heard))
