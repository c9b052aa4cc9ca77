"""Whom the director directs: the protocols that ``kit.py`` fulfils with real cameras and a real relay. A leaf."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from appliance.capture.clock import LessonClock
from appliance.capture.sound_meter import SoundFigures
from appliance.errors import KitError
from appliance.hw.base import LinkFace
from appliance.kept_lesson import KeptLesson
from wire.messages import KitStatus

SourceName = Literal["camera", "microphone"]


@dataclass(frozen=True, slots=True)
class RunningLesson:
    """The lesson that goes on."""

    lesson_id: str
    clock: LessonClock


class OpenCapture(Protocol):
    """Camera and microphone, open, and feeding whoever the crew feeds."""

    def cut(self) -> None:
        """Let nothing more through, at once; the devices close when the context is left."""
        ...

    def force_key_frame(self) -> None:
        """As a camera's; without effect while there is none."""
        ...

    async def still(self) -> bytes:
        """As a camera's. Raises ``CameraUnavailable``."""
        ...


class CaptureWatch(Protocol):
    """Whoever is told how the sources are."""

    def source(self, name: SourceName, trouble: KitError | None) -> None:
        """A source works, or (``trouble``) does not."""
        ...

    def lacks(self, name: SourceName) -> None:
        """This kit has no such source, by its settings: nothing is wrong, but the other is all there is."""
        ...

    def recording(self, trouble: KitError | None) -> None:
        """The lesson is not being recorded (``trouble``), or is again."""
        ...

    def records_nothing(self) -> None:
        """This kit records nothing, by its settings."""
        ...


class Crew(Protocol):
    """What the director directs."""

    def open_capture(self, clock: LessonClock, watch: CaptureWatch) -> AbstractAsyncContextManager[OpenCapture]:
        """Open the sources, and keep trying: a dead one is told to ``watch``, never raised."""
        ...

    def open_preview(self) -> AbstractAsyncContextManager[None]:
        """Open the sources for the setup page alone, until the context is left. Never raises for a dead one."""
        ...

    def begin_recording(self, lesson: RunningLesson, *, goes_on: bool, cut_off: bool) -> None:
        """Record what is captured from now on; ``goes_on``: the kit died in this lesson, and is back; ``cut_off``:
        while it captured."""
        ...

    def end_recording(self) -> None:
        """The lesson is over: close its recording."""
        ...

    async def broadcast(self, lesson: RunningLesson) -> None:
        """Bring the lesson to the relay until cancelled, through every outage."""
        ...

    def report(self, status: KitStatus) -> None:
        """Tell the relay, now and until the next one."""
        ...

    def keep(self, kept: KeptLesson | None) -> None:
        """Write down that this lesson runs, or that none does."""
        ...

    async def store_still(self, lesson: RunningLesson, capture_us: int, jpeg: bytes) -> None:
        """Keep a board still, and bring it to the relay. Raises ``OSError`` where it cannot be kept."""
        ...

    def hearing(self) -> SoundFigures | None:
        """The level of the voice and what is wrong with it; None while no microphone gives sound."""
        ...

    def link(self) -> LinkFace:
        """How the way to the pupils is now; the director adds what the relay says of the pupils."""
        ...
