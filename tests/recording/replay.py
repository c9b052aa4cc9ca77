"""What a pupil gets of a recorded lesson: the list of the class, the one file, and the time codes in its pictures."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import av

from appliance.capture.pictures import plane_views
from appliance.capture.simulated import timecode
from appliance.recordings.lesson_folder import read_index, read_init, read_segment

LOOK_S = 0.1
WITHIN_S = 60.0


async def lessons(http: aiohttp.ClientSession, class_url: str) -> list[dict[str, Any]]:
    """The class's replays, newest first."""
    async with http.get(f"{class_url}/lessons") as response:
        found: list[dict[str, Any]] = json.loads(await response.text())["lessons"]
        return found


async def complete(http: aiohttp.ClientSession, class_url: str, count: int = 1) -> list[dict[str, Any]]:
    """The class's replays, as soon as there are so many and all are complete."""
    found: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(WITHIN_S):
            while len(found) < count or not all(lesson["complete"] for lesson in found):
                await asyncio.sleep(LOOK_S)
                found = await lessons(http, class_url)
    except TimeoutError:
        raise AssertionError(f"the replays are not complete: {found}") from None
    return found


async def download(http: aiohttp.ClientSession, relay_url: str, lesson: dict[str, Any]) -> bytes:
    """The lesson as one file."""
    async with http.get(relay_url + lesson["download"]) as response:
        assert response.status == 200, await response.text()
        return await response.read()


def pictures(video: bytes) -> Iterator[tuple[float, int]]:
    """Of each picture of a file: when it is shown, in s, and its time code in µs. One without a readable code fails."""
    with av.open(io.BytesIO(video), "r") as container:
        for number, frame in enumerate(container.decode(video=0)):
            assert isinstance(frame, av.VideoFrame)
            assert frame.time is not None
            code_us = timecode.read(plane_views(frame)[0])
            assert code_us is not None, f"picture {number} has no time code"
            yield frame.time, code_us


@dataclass(frozen=True, slots=True)
class Codes:
    """The time codes of pictures, in their order, in µs of the lesson."""

    us: tuple[int, ...]

    @classmethod
    def of(cls, video: bytes) -> Codes:
        """Decode a file. A picture without a readable code fails."""
        return cls(tuple(code_us for _, code_us in pictures(video)))

    def holes(self, longest_us: int) -> list[tuple[int, int]]:
        """Where more than ``longest_us`` passes from one picture to the next."""
        return [(one, two) for one, two in itertools.pairwise(self.us) if not 0 < two - one <= longest_us]

    def around(self, at_us: int) -> tuple[int, int]:
        """The last picture up to this moment, and the first after it. Raises ``ValueError`` where there are none."""
        ((before_us, after_us),) = [(one, two) for one, two in itertools.pairwise(self.us) if one <= at_us < two]
        return before_us, after_us


def kept_on_the_kit(state: Path, lesson_id: str) -> bytes:
    """All that the kit recorded of a lesson, of one init, as one file."""
    folder = state / "recordings" / lesson_id
    entries = read_index(folder)
    assert {entry.init for entry in entries.values()} == {0}
    return read_init(folder, 0) + b"".join(read_segment(folder, entry) for entry in entries.values())
