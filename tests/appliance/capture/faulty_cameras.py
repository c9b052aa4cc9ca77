"""Cameras with the faults of real ones, for a worker to hold. Named by recipes in ``test_worker.py``."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from appliance.capture.base import AccessUnit, CameraStream
from appliance.capture.clock import LessonClock
from appliance.capture.simulated.camera import SimulatedCamera
from appliance.errors import CameraUnavailable

WIDTH, HEIGHT, FPS = 160, 120, 30


def healthy() -> SimulatedCamera:
    """A camera without fault."""
    return SimulatedCamera(WIDTH, HEIGHT, FPS, key_frame_every_s=0.5)


def crashes_at_start() -> SimulatedCamera:
    """Native code that takes the process with it."""
    os.abort()


def hangs_at_start() -> SimulatedCamera:
    """A driver that never answers."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return healthy()


def slow_to_load(load_s: float) -> SimulatedCamera:
    """Libraries that come from a slow memory card."""
    time.sleep(load_s)
    return healthy()


def crashes_twice(counter: str) -> SimulatedCamera:
    """A camera that needs three tries. ``counter``: a file that remembers them across processes."""
    tries = Path(counter)
    tries.write_text(tries.read_text() + "." if tries.exists() else ".")
    return healthy() if len(tries.read_text()) > 2 else crashes_at_start()


class Refusing:
    """A camera that says why it gives nothing."""

    def open(self, clock: LessonClock) -> AbstractAsyncContextManager[CameraStream]:
        """Refuse."""
        raise CameraUnavailable("no camera is connected")


class Telling:
    """A camera that tells what its sensor could see."""

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:
        """Open a good one."""
        async with healthy().open(clock) as stream:
            stream.view = 3280, 2464  # type: ignore[attr-defined]
            yield stream


class NeverClosing:
    """A camera whose driver blocks for ever when it is closed."""

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:
        """Open a good one."""
        async with healthy().open(clock) as stream:
            yield stream
            os.kill(os.getpid(), signal.SIGSTOP)


class Unplugged(SimulatedCamera):
    """A camera that gives a few pictures, then none, while its file is there. ``unplugged``: that file."""

    def __init__(self, unplugged: str) -> None:
        super().__init__(WIDTH, HEIGHT, FPS)
        self._unplugged = Path(unplugged)

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:  # type: ignore[override]
        """Open, unless unplugged."""
        if self._unplugged.exists():
            raise CameraUnavailable("no camera is connected")
        async with super().open(clock) as stream:
            yield _UntilUnplugged(stream, self._unplugged)


class _UntilUnplugged:
    def __init__(self, stream: CameraStream, unplugged: Path) -> None:
        self._stream = stream
        self._unplugged = unplugged
        self.force_key_frame = stream.force_key_frame
        self.set_bitrate = stream.set_bitrate
        self.set_frame_rate = stream.set_frame_rate
        self.still = stream.still

    async def __aiter__(self) -> AsyncIterator[AccessUnit]:
        async for unit in self._stream:
            if not self._unplugged.exists():  # nobody raises: pictures just stop
                yield unit


class WildClock:
    """A camera whose times repeat, fall back and run ahead."""

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:
        """Open a good one and spoil its times."""
        async with healthy().open(clock) as stream:
            yield _WildStream(stream)


class _WildStream:
    def __init__(self, stream: CameraStream) -> None:
        self._stream = stream
        self.force_key_frame = stream.force_key_frame
        self.set_bitrate = stream.set_bitrate
        self.set_frame_rate = stream.set_frame_rate
        self.still = stream.still

    async def __aiter__(self) -> AsyncIterator[AccessUnit]:
        number = 0
        async for unit in self._stream:
            wrong = (unit.capture_us, 0, -5_000_000, unit.capture_us + 60_000_000, unit.capture_us - 200_000)
            yield AccessUnit(unit.data, unit.key_frame, wrong[number % len(wrong)])
            number += 1


class Prepared(SimulatedCamera):
    """A camera that notes what was done with it, in a file. ``notes``: that file."""

    def __init__(self, notes: str) -> None:
        super().__init__(WIDTH, HEIGHT, FPS)
        self._notes = Path(notes)

    def prepare(self) -> None:
        """Note it."""
        self._note("prepared")

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:  # type: ignore[override]
        """Note it, and open."""
        self._note("opened")
        async with super().open(clock) as stream:
            yield stream

    def _note(self, what: str) -> None:
        with self._notes.open("a") as notes:
            notes.write(f"{what} {os.getpid()}\n")


class TellsItsRates:
    """No camera at all: its units hold the bitrate and the frame rate that it was told, as text."""

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:
        """Begin to tell."""
        yield _RatesStream(clock)


class _RatesStream:
    def __init__(self, clock: LessonClock) -> None:
        self._clock = clock
        self._rate = self._fps = 0
        self._key = True

    def force_key_frame(self) -> None:
        self._key = True

    def set_bitrate(self, bits_per_s: int) -> None:
        self._rate = bits_per_s

    def set_frame_rate(self, fps: int) -> None:
        self._fps = fps

    async def still(self) -> bytes:
        return b"still"

    async def __aiter__(self) -> AsyncIterator[AccessUnit]:
        while True:
            key, self._key = self._key, False
            yield AccessUnit(f"{self._rate} {self._fps}".encode(), key, self._clock.now_us())
            await asyncio.sleep(1 / FPS)
