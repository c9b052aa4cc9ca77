"""What the open cameras share that capture in a thread of their own: the thread, its iteration, the still, the end.

A base of ``simulated/camera.py``, ``picamera.py`` and ``file_player.py``. Not here: what is captured, and how its rates
are set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from appliance.capture.base import AccessUnit
from appliance.capture.pictures import Stills
from appliance.capture.thread import CaptureThread


class ThreadedCamera(ABC):
    """An open camera: a ``CameraStream`` but for how its rates are set."""

    _thread: CaptureThread[AccessUnit]

    def __init__(self) -> None:
        self._stills = Stills()

    def _start(self, name: str, queued_pictures: int) -> None:
        """Begin to capture, once everything that ``_capture`` needs is there."""
        self._thread = CaptureThread(name, queued_pictures, self._capture)

    def __aiter__(self) -> AsyncIterator[AccessUnit]:
        return self._thread

    async def still(self) -> bytes:
        """The next picture that was captured whole, as JPEG."""
        return await self._stills.take()

    async def close(self) -> None:
        """Stop the thread."""
        await self._thread.close()

    @abstractmethod
    def _capture(self, thread: CaptureThread[AccessUnit]) -> None:
        """The thread's work; asks ``_stills`` whether one is wanted."""
