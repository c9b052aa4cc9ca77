"""What tests do with streams: take a few items, decode access units, read time codes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol, TypeVar

import av

from appliance.capture.base import AccessUnit
from appliance.capture.pictures import plane_views
from appliance.capture.simulated import timecode

PATIENCE_S = 20.0  # a broken stream must fail a test, a slow machine must not

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Stream(Protocol[T_co]):
    """Anything that can be iterated on the loop."""

    def __aiter__(self) -> AsyncIterator[T_co]: ...


async def take(stream: Stream[T], count: int) -> list[T]:
    """The next ``count`` items."""
    items = aiter(stream)
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(items) for _ in range(count)]


async def take_until(stream: Stream[T], enough: Callable[[T], bool]) -> list[T]:
    """Items up to the first that is ``enough``, that one included."""
    items, found = aiter(stream), []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found.append(await anext(items))
            if enough(found[-1]):
                return found


async def take_all(stream: Stream[T]) -> list[T]:
    """Items to the natural end."""
    async with asyncio.timeout(PATIENCE_S):
        return [item async for item in stream]


def decoded(units: Iterable[AccessUnit]) -> list[av.VideoFrame]:
    """Each unit's picture."""
    decoder = av.VideoCodecContext.create("h264", "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]
    return [*frames, *decoder.decode(None)]


def time_codes(units: Iterable[AccessUnit]) -> list[int | None]:
    """The time code in each unit's picture."""
    return [timecode.read(plane_views(frame)[0]) for frame in decoded(units)]
