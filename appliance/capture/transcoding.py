"""A file's picture, decoded and encoded anew: whatever FFmpeg reads that a browser does not take as it is.

Scaled down to fit the settings' size (never up: that adds bits, not detail), turned upright, thinned to the settings'
rate. Begins with the picture that belongs at the lesson's time; what precedes it is decoded and not shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import ColorRange

from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock
from appliance.capture.file_player import FilePlayer
from appliance.capture.h264 import US_PER_S, H264Encoder
from appliance.capture.media_file import MediaFile, Schedule, seek
from appliance.capture.pictures import plane_views
from appliance.capture.thread import CaptureThread

QUEUED_PICTURES = 3  # further behind, pictures are dropped before they are encoded
LATE_PICTURES = 3  # a picture this late is not encoded: the next one is due already
LATE_US = 10_000_000  # after a suspend: find the place anew; less is caught up by decoding faster than real time
BT709 = 1


@dataclass(frozen=True)
class EncodingSettings:
    """Bounds for what is encoded anew."""

    width: int
    height: int
    fps: int
    bitrate_bps: int
    key_frame_every_s: float


class TranscodingStream(FilePlayer):
    """The open camera of a file whose picture is encoded anew."""

    def __init__(
        self, facts: MediaFile, settings: EncodingSettings, schedule: Schedule, clock: LessonClock, after_us: int
    ) -> None:
        super().__init__(facts, schedule, clock, after_us)
        self._settings = settings
        self._bitrate_bps = settings.bitrate_bps
        self._fps = settings.fps
        self._encoder: H264Encoder | None = None
        self._next_us = 0
        self._start("file-camera", QUEUED_PICTURES)

    def force_key_frame(self) -> None:
        """Make the next picture a key frame."""
        if self._encoder is not None:  # without one, the first picture is to come: a key frame
            self._encoder.force_key_frame()

    def set_bitrate(self, bits_per_s: int) -> None:
        """Aim at this rate from the next picture on."""
        self._bitrate_bps = bits_per_s
        if self._encoder is not None:
            self._encoder.set_bitrate(bits_per_s)

    def set_frame_rate(self, fps: int) -> None:
        """Leave pictures out before they are encoded, from the next one on."""
        self._fps = min(fps, self._settings.fps)
        if self._encoder is not None:
            self._encoder.set_frame_rate(self._fps)

    def _play(
        self, thread: CaptureThread[AccessUnit], container: av.container.InputContainer, stream: av.VideoStream,
        number: int, media_us: int,
    ) -> bool:  # fmt: skip
        seek(container, stream, self._facts.start_us + media_us)
        for frame, frame_us in self._frames(container, stream):
            due_us = self._schedule.lesson_us(number, frame_us)
            if thread.stopping():
                return False
            if frame_us + self._facts.picture_us <= media_us or not self._wanted(due_us):
                continue
            if self._clock.now_us() - due_us > LATE_US:
                return False
            upright = _upright(frame)
            picture = self._fitted(upright, stream)
            if not thread.wait_until(self._clock, due_us):
                return False
            if self._stills.wanted():
                self._stills.give(lambda still=upright: still)  # type: ignore[misc]
            self._hand_out(thread, picture, due_us)
        return not thread.stopping()

    def _frames(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[tuple[av.VideoFrame, int]]:
        """Decoded pictures and their media times."""
        for frame in container.decode(stream):
            if frame.pts is None or frame.time_base is None:
                continue
            yield frame, int(frame.pts * frame.time_base * US_PER_S) - self._facts.start_us

    def _wanted(self, due_us: int) -> bool:
        """Thin to the present rate, with a quarter interval's patience for uneven time stamps."""
        interval_us = US_PER_S // self._fps
        if due_us < self._next_us - interval_us // 4:
            return False
        self._next_us = max(self._next_us + interval_us, due_us + interval_us // 2)
        late = self._clock.now_us() - due_us > LATE_PICTURES * interval_us
        return self._encoder is None or not late

    def _fitted(self, frame: av.VideoFrame, stream: av.VideoStream) -> av.VideoFrame:
        aspect = stream.codec_context.sample_aspect_ratio or 1
        width, height = fitted(frame.width * float(aspect), frame.height, self._settings.width, self._settings.height)
        return frame.reformat(width=width, height=height, format="yuv420p", dst_color_range=ColorRange.MPEG)

    def _hand_out(self, thread: CaptureThread[AccessUnit], picture: av.VideoFrame, due_us: int) -> None:
        if not thread.has_room():
            return
        if self._encoder is None:
            settings = self._settings
            rate = min(float(settings.fps), US_PER_S / max(1, self._facts.picture_us))
            self._encoder = H264Encoder(
                picture.width, picture.height, rate, self._bitrate_bps, settings.key_frame_every_s,
                bt709=picture.colorspace == BT709,
            )  # fmt: skip
            self._encoder.set_bitrate(self._bitrate_bps)  # may have changed meanwhile
            self._encoder.set_frame_rate(self._fps)
        self.newest_us = max(due_us, self.newest_us + 1)
        thread.put(self._encoder.encode(picture, self.newest_us))


def fitted(width: float, height: float, most_width: int, most_height: int) -> tuple[int, int]:
    """The largest even size of the same shape that is no larger than either."""
    scale = min(1.0, most_width / width, most_height / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _upright(frame: av.VideoFrame) -> av.VideoFrame:
    """A phone held sideways says so in the file instead of turning its pictures."""
    quarters = round(frame.rotation / 90) % 4
    if quarters == 0:
        return frame
    planar = frame.reformat(format="yuv420p")
    turned = [np.rot90(plane, quarters) for plane in plane_views(planar)]
    height, width = turned[0].shape
    upright = av.VideoFrame(width, height, "yuv420p")
    upright.colorspace, upright.color_range = planar.colorspace, planar.color_range
    for target, source in zip(plane_views(upright), turned, strict=True):
        target[...] = source
    return upright
