"""Our kit's publisher as a client under test: the real one, fed with encoded media as encoders would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.stream.bearer import StaticBearer
from appliance.stream.publisher import Publisher
from tests.appliance.stream.media import LIMITS, Lesson

LESSON_ID = "01" * 16


class KitClient:
    """See the module."""

    @asynccontextmanager
    async def publishing(self, url: str, token: str) -> AsyncIterator[None]:
        """Publish a lesson for the length of the context."""
        lesson = Lesson()
        publisher = Publisher(url, StaticBearer(token), on_key_frame_wanted=lesson.want_key_frame, limits=LIMITS)
        running = asyncio.create_task(publisher.run(lesson.clock, LESSON_ID), name="publisher under test")
        try:
            async with lesson.feeding(publisher):
                yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
