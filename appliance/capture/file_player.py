"""Plays a file's pictures into a lesson, from the place that the lesson's time gives, again and again if told to.

What passing through (``passthrough.py``) and encoding anew (``transcoding.py``) share: the open file, and the loop over
its end. How one run through the file goes is each one's ``_play``. Opened by ``file.py``.
"""

from __future__ import annotations

from abc import abstractmethod

import av

from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock
from appliance.capture.media_file import MediaFile, Schedule, opened
from appliance.capture.thread import CaptureThread
from appliance.capture.threaded_camera import ThreadedCamera
from appliance.errors import CameraUnavailable


class FilePlayer(ThreadedCamera):
    """The open camera of a file; a still is of the file's size."""

    def __init__(self, facts: MediaFile, schedule: Schedule, clock: LessonClock, after_us: int) -> None:
        super().__init__()
        self.newest_us = after_us
        self._facts = facts
        self._schedule = schedule
        self._clock = clock

    @abstractmethod
    def _play(
        self, thread: CaptureThread[AccessUnit], container: av.container.InputContainer, stream: av.VideoStream,
        number: int, media_us: int,
    ) -> bool:  # fmt: skip
        """Play run ``number`` to the end of the file. False when stopped, or so late that the place must be found
        anew."""

    def _capture(self, thread: CaptureThread[AccessUnit]) -> None:
        with opened(self._facts.path, "camera") as container:
            stream = container.streams.video[0]
            while not thread.stopping() and (place := self._schedule.place(self._clock.now_us())) is not None:
                number, media_us = place
                while self._play(thread, container, stream, number, media_us):
                    if not self._schedule.loop:
                        return
                    if media_us == 0 and self._clock.now_us() < self._schedule.lesson_us(number, 0):
                        raise CameraUnavailable(f"{self._facts.path}: no picture in it can be read; use another video")
                    number, media_us = number + 1, 0
