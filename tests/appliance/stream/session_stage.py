"""A publishing session over real loopback UDP, and a real aiortc peer that only receives packets, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiortc.rtp import (
    RtcpPacket,
    RtcpSrPacket,
)

from appliance.capture.clock import LessonClock
from appliance.stream.queues import PictureQueue, VoiceQueue
from appliance.stream.route import Route
from appliance.stream.session import PublishingSession, SessionTimes
from appliance.stream.uplink import Target, Uplink
from tests.appliance.stream.media import LIMITS
from tests.appliance.stream.whip_server import Arrived, ServerSession

KEY_FRAME_BYTES = 120_000


class Stage:
    """A connected session, its queues, and the end that receives."""

    def __init__(self, clock: LessonClock, times: SessionTimes | None, *, decode: bool) -> None:
        self.clock = clock
        self.pictures, self.voices = PictureQueue(), VoiceQueue()
        self.targets: list[Target] = []
        self.picture_losses = 0
        self.key_frames_left = 0
        self.server = ServerSession(decode=decode)
        self.session = PublishingSession(
            pictures=self.pictures,
            voices=self.voices,
            clock=clock,
            on_picture_lost=self._picture_lost,
            on_key_frame_left=self._key_frame_left,
            uplink=Uplink(LIMITS),
            on_target=self.targets.append,
            route=Route(sources=("127.0.0.1",), destinations=("127.0.0.1",)),
            times=times,
        )

    def _picture_lost(self) -> None:
        self.picture_losses += 1
        self.server.progress.set()

    def _key_frame_left(self, in_flight_s: float) -> None:
        self.key_frames_left += 1

    async def connect(self) -> None:
        answer = await self.server.answer(await self.session.offer())
        await self.session.accept(answer)
        self.pictures.open()
        self.voices.open()
        await self.session.connected()
        async with asyncio.timeout(10):
            await self.server.connected.wait()

    async def close(self) -> None:
        await self.session.close()
        await self.server.close()

    async def until(self, reached: Callable[[], object]) -> None:
        await self.server.until(reached)

    async def complete(self, pictures: int) -> None:
        """Wait until so many pictures have arrived to their last packet."""
        await self.until(lambda: complete(self.server.packets("video"), pictures))


@asynccontextmanager
async def stage(
    *, clock: LessonClock | None = None, times: SessionTimes | None = None, decode: bool = False
) -> AsyncIterator[Stage]:
    made = Stage(clock or LessonClock.start(), times, decode=decode)
    try:
        await made.connect()
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def watched(stage: Stage) -> AsyncIterator[asyncio.Task[Any]]:
    """The session's watchdog, running."""
    task = asyncio.create_task(stage.session.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def complete(packets: list[Arrived], pictures: int) -> bool:
    """Whether so many pictures are there to their last packet."""
    return sum(packet.marker for packet in packets) >= pictures


def reports(server: ServerSession, ssrc: int) -> list[RtcpSrPacket]:
    """The sender reports of one stream that have arrived."""
    found = [packet for arrived in server.rtcp for packet in RtcpPacket.parse(arrived.data)]
    return [packet for packet in found if isinstance(packet, RtcpSrPacket) and packet.ssrc == ssrc]
