"""The preview: the kit's camera and microphone, open for the setup page alone, with the tally lit.

The director opens and closes it (it has lit the tally by then, and a start press closes it at once); this is what it
opens. It asks to be closed when no page has looked for a while. Nothing that it captures leaves the kit except to a
page that is in with the PIN, and nothing is kept. It shows all that the sensor sees, so that a crop can be drawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from appliance.capture.base import Camera, Microphone
from appliance.capture.clock import LessonClock
from appliance.capture.fanout import Capture
from appliance.capture.sensor import WHOLE, Size
from appliance.capture.sound_meter import SoundFigures
from appliance.capture.viewfinder import Sight, Viewfinder
from appliance.errors import KitError
from appliance.settings import CameraSection, MicrophoneSection
from appliance.setup.kept import KeptSettings

#: A page asks for pictures all the time; one that has not for so long is gone, or in a pocket.
LEASE_S = 8.0
#: From the director's word to a preview that can be asked; it is the next turn of the loop.
OPENS_WITHIN_S = 1.0
#: Enough to turn a lens ring by, and a quarter of a core on a Pi 4 to decode.
PICTURES_PER_S = 5

NewSources = Callable[[CameraSection, MicrophoneSection], tuple[Camera, Microphone]]


class Preview:
    """Opened again and again."""

    def __init__(self, settings: KeptSettings, new_sources: NewSources, on_left: Callable[[], None]) -> None:
        """``on_left`` is called when nobody looks any more: it has the preview closed."""
        self._settings = settings
        self._new_sources = new_sources
        self._on_left = on_left
        self._capture: Capture | None = None
        self._finder: Viewfinder | None = None
        self._trouble: KitError | None = None
        self._looked_s = 0.0
        self._view: Size | None = None
        self._opened = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Have the devices until the context is left. A dead one is told by ``trouble``, never raised."""
        self.looked()
        finder = self._finder = Viewfinder(partial(self._key_frame_wanted, asyncio.get_running_loop()))
        self._opened.set()
        tasks = [
            asyncio.create_task(self._look(finder), name="preview devices"),
            asyncio.create_task(finder.run(), name="preview pictures"),
            asyncio.create_task(self._wait_for_nobody(), name="preview lease"),
        ]
        try:
            yield
        finally:
            self._opened.clear()
            finder.close()
            self._finder = None
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            self._capture = self._trouble = None
        for error in ended:
            if isinstance(error, Exception):
                raise error

    def looked(self) -> None:
        """Somebody looks: stay open."""
        self._looked_s = asyncio.get_running_loop().time()

    async def next(self, after: int, within_s: float) -> Sight | None:
        """A picture newer than number ``after``; None where there is none."""
        try:
            async with asyncio.timeout(min(OPENS_WITHIN_S, within_s)):
                await self._opened.wait()  # the director opens it a moment after it said so
        except TimeoutError:
            return None
        return None if self._finder is None else await self._finder.next(after, within_s)

    @property
    def newest(self) -> Sight | None:
        """The newest picture."""
        return None if self._finder is None else self._finder.newest

    @property
    def view(self) -> Size | None:
        """All that the sensor can see, where the camera says; a camera that is being started again saw as much."""
        if self._capture is not None:
            self._view = self._capture.view or self._view
        return self._view

    @property
    def trouble(self) -> str:
        """What is wrong with the camera; empty while nothing is."""
        return str(self._trouble or (self._capture and self._capture.camera.error) or "")

    @property
    def sound_trouble(self) -> str:
        """What is wrong with the microphone; empty while nothing is."""
        return str(self._trouble or (self._capture and self._capture.microphone.error) or "")

    def hearing(self) -> SoundFigures | None:
        """The voice now; None while no microphone gives sound."""
        return None if self._capture is None else self._capture.hearing()

    async def _look(self, finder: Viewfinder) -> None:
        settings = self._settings.now
        whole = msgspec.structs.replace(settings.camera, crop=WHOLE)
        try:
            camera, microphone = await asyncio.to_thread(self._new_sources, whole, settings.microphone)
        except KitError as error:
            self._trouble = error
            return
        self._capture = Capture(camera, microphone, [finder])
        self._capture.set_frame_rate(PICTURES_PER_S)
        await self._capture.run(LessonClock.start())

    def _key_frame_wanted(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called in the decoder's thread, too."""
        if self._capture is not None:
            loop.call_soon_threadsafe(self._capture.force_key_frame)

    async def _wait_for_nobody(self) -> None:
        left_s = LEASE_S
        while left_s > 0:
            await asyncio.sleep(left_s)
            left_s = self._looked_s + LEASE_S - asyncio.get_running_loop().time()
        self._on_left()
