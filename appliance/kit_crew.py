"""The director's crew: this kit's camera and microphone through one fan-out, its link to the relay, its disk.

Given everything by ``kit.py``, which names the concrete devices. Not here: when to do what (``director.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

from appliance.board_stills import BoardStills
from appliance.capture.base import AccessUnit, Camera, KeptWarm, Microphone, OpusFrame
from appliance.capture.clock import LessonClock
from appliance.capture.fanout import Capture, Source
from appliance.capture.recorder import Recording
from appliance.capture.sound_meter import SoundFigures
from appliance.crew import CaptureWatch, RunningLesson, SourceName
from appliance.errors import CameraUnavailable, KitError, MicrophoneUnavailable
from appliance.hw.base import LinkFace
from appliance.kept_lesson import LessonKeeper
from appliance.recordings.lesson_folder import IndexEntry
from appliance.settings import MicrophoneSection
from wire.messages import KitStatus

_UNAVAILABLE: Mapping[SourceName, type[KitError]] = {"camera": CameraUnavailable, "microphone": MicrophoneUnavailable}
#: A file that is played once is over; its place in the lesson stays empty.
_ENDED: Mapping[SourceName, KitError] = {
    "camera": CameraUnavailable("the video has come to its end"),
    "microphone": MicrophoneUnavailable("the sound has come to its end"),
}


class Link(Protocol):
    """The way to the relay."""

    async def broadcast(self, lesson: RunningLesson) -> None:
        """Publish the lesson until cancelled."""
        ...

    def picture(self, unit: AccessUnit) -> None:
        """Take an access unit."""
        ...

    def voice(self, frame: OpusFrame) -> None:
        """Take a voice frame."""
        ...

    def still(self, lesson_id: str, capture_us: int, jpeg: bytes) -> None:
        """Take a board still."""
        ...

    def recorded(self, lesson_id: str, entry: IndexEntry | None) -> None:
        """Bring this segment to the relay; or (``None``) say that the lesson's recording is closed."""
        ...

    def report(self, status: KitStatus) -> None:
        """The kit's state from now on."""
        ...

    def face(self) -> LinkFace:
        """The link now."""
        ...

    def steer(self, aim: Callable[[int, int], None]) -> None:
        """From now on, call ``aim(bits_per_s, fps)`` with what the network carries, whenever that changes."""
        ...


class KitCrew:
    """What the director directs."""

    def __init__(
        self,
        camera: Camera,
        microphone: Microphone,
        link: Link,
        keeper: LessonKeeper,
        stills: BoardStills,
        recorder: Recording,
        tasks: asyncio.TaskGroup,
        *,
        voice: MicrophoneSection,
        open_preview: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        # One fan-out for the kit's life: it keeps a lesson's times rising when its devices are opened again.
        self._capture = Capture(
            camera,
            microphone,
            [link],
            recorders=[recorder],
            on_camera=partial(self._told, "camera"),
            on_microphone=partial(self._told, "microphone"),
            voice_bitrate_bps=voice.bitrate_bps,
        )
        link.steer(self._aim)
        recorder.watch(self)
        self._recorder = recorder
        self._lacks_microphone = voice.kind == "none"
        self._watch: CaptureWatch | None = None
        self._stills = stills
        self._tasks = tasks
        self._link = link
        self.broadcast = link.broadcast
        self.report = link.report
        self.link = link.face
        self.keep = keeper.keep
        self.open_preview = open_preview
        self._camera = camera
        self._has_new_camera = asyncio.Event()

    @asynccontextmanager
    async def open_capture(self, clock: LessonClock, watch: CaptureWatch) -> AsyncIterator[Capture]:
        """Open the sources, and keep trying, until the context is left."""
        self._watch = watch
        if self._lacks_microphone:
            watch.lacks("microphone")
        if not self._recorder.records:
            watch.records_nothing()
        running = self._tasks.create_task(self._capture.run(clock), name="camera and microphone")
        try:
            yield self._capture
        finally:
            running.cancel()
            await asyncio.wait([running])
            self._recorder.pause()

    def begin_recording(self, lesson: RunningLesson, *, goes_on: bool, cut_off: bool) -> None:
        """Record what is captured from now on as this lesson's."""
        self._recorder.begin(lesson.lesson_id, lesson.clock, goes_on=goes_on, cut_off=cut_off)

    def end_recording(self) -> None:
        """The lesson is over."""
        self._recorder.finish()

    def recording(self, trouble: KitError | None) -> None:
        """The lesson is not being recorded (``trouble``), or is again."""
        if self._watch is not None:
            self._watch.recording(trouble)

    def recorded(self, lesson_id: str, entry: IndexEntry | None) -> None:
        """A segment is kept for good; or (``None``) the lesson's recording is closed."""
        self._link.recorded(lesson_id, entry)

    def key_frame_wanted(self) -> None:
        """The recorder needs a place to cut."""
        self._capture.force_key_frame()

    def sources(self) -> tuple[Source, Source]:
        """Camera and microphone, and how they are."""
        return self._capture.camera, self._capture.microphone

    def use_camera(self, camera: Camera) -> None:
        """Take this camera from the next opening on."""
        self._capture.use_camera(camera)
        self._camera = camera
        self._has_new_camera.set()

    async def keep_warm(self) -> None:
        """Between lessons, have the camera ready to open, where it can be. No device is open. Until cancelled."""
        while True:
            self._has_new_camera.clear()
            camera = self._camera
            async with asyncio.TaskGroup() as tasks:
                warm = tasks.create_task(camera.keep_warm()) if isinstance(camera, KeptWarm) else None
                await self._has_new_camera.wait()
                if warm is not None:
                    warm.cancel()

    async def store_still(self, lesson: RunningLesson, capture_us: int, jpeg: bytes) -> None:
        """Keep a board still on the kit, and bring it to the relay."""
        self._link.still(lesson.lesson_id, capture_us, jpeg)
        await self._stills.keep(lesson.lesson_id, capture_us, jpeg)

    def hearing(self) -> SoundFigures | None:
        """The voice now; the silence that stands for a microphone is none."""
        return None if self._lacks_microphone else self._capture.hearing()

    def _aim(self, bits_per_s: int, fps: int) -> None:
        self._capture.set_bitrate(bits_per_s)
        self._capture.set_frame_rate(fps)

    def _told(self, name: SourceName, gives: bool) -> None:
        if self._watch is None or (name == "microphone" and self._lacks_microphone):
            return  # the silence that stands for a microphone is not one
        self._watch.source(name, None if gives else self._trouble(name))

    def _trouble(self, name: SourceName) -> KitError:
        error = self._capture.camera.error if name == "camera" else self._capture.microphone.error
        if error is None:
            return _ENDED[name]
        return (
            error
            if isinstance(error, KitError)
            else _UNAVAILABLE[name](f"{name}: {str(error) or type(error).__name__}")
        )
