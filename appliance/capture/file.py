"""A video file as camera and as microphone: a lesson prepared at home, a demonstration, a test.

H.264 that a browser takes as it is passes through untouched (``passthrough.py``), everything else is encoded anew
(``transcoding.py``); the sound is decoded (``soundtrack.py``). What plays when is ``media_file.Schedule``'s rule, so
picture and sound of one file agree, and go on in place after the curtain. The first look
at a file reads its first minute; ``check_file`` at start takes that off the first press.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from appliance.capture.base import CameraStream
from appliance.capture.clock import LessonClock
from appliance.capture.media_file import Kind, Schedule, probe
from appliance.capture.passthrough import PassThroughStream
from appliance.capture.soundtrack import SoundtrackStream
from appliance.capture.transcoding import EncodingSettings, TranscodingStream


def check_file(path: str | Path, kind: Kind, key_frame_every_s: float = 2.0) -> None:
    """See that the file can be a lesson's camera or microphone, before anything runs.

    Raises ``CameraUnavailable`` or ``MicrophoneUnavailable`` with one line that names the file and the remedy.
    """
    probe(Path(path), kind, key_frame_every_s)


class FileCamera:
    """Plays a video's picture. ``width``, ``height``, ``fps`` and ``bitrate_bps`` bound what is encoded anew."""

    def __init__(
        self,
        path: str | Path,
        loop: bool = True,
        width: int = 1280,
        height: int = 720,
        fps: int = 30,
        bitrate_bps: int = 1_700_000,
        key_frame_every_s: float = 2.0,
    ) -> None:
        self._path = Path(path)
        self._loop = loop
        self._settings = EncodingSettings(width, height, fps, bitrate_bps, key_frame_every_s)
        self._last: tuple[LessonClock, int] | None = None

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:
        """Start to play, at the place that the lesson's time gives."""
        facts = await asyncio.to_thread(probe, self._path, "camera", self._settings.key_frame_every_s)
        schedule = Schedule(facts.duration_us, self._loop)
        after_us = self._last[1] if self._last is not None and self._last[0] is clock else -1
        stream: PassThroughStream | TranscodingStream
        if facts.pass_through is not None:
            stream = PassThroughStream(facts, facts.pass_through, schedule, clock, after_us)
        else:
            stream = TranscodingStream(facts, self._settings, schedule, clock, after_us)
        try:
            yield stream
        finally:
            await stream.close()
            self._last = clock, stream.newest_us


class FileMicrophone:
    """Plays a video's or a recording's sound."""

    def __init__(self, path: str | Path, loop: bool = True) -> None:
        self._path = Path(path)
        self._loop = loop

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[SoundtrackStream]:
        """Start to play, at the place that the lesson's time gives."""
        facts = await asyncio.to_thread(probe, self._path, "microphone")
        stream = SoundtrackStream(facts, Schedule(facts.duration_us, self._loop), clock)
        try:
            yield stream
        finally:
            await stream.close()
