"""A file's own H.264, sent untouched at its own pace.

Where it begins: a stream must start with a key frame, and the place that the lesson's time gives lies between two. It
begins at the key frame *before* the place, and hands out the pictures up to the place at once, with capture times
squeezed to 1 ms apart and ending now. Beginning at the key frame *after* it would leave the screen black for up to two
groups of pictures; beginning before it and calling that "now" would leave the picture seconds behind the sound.
From the place on every picture has its true time, which is the soundtrack's too.
"""

from __future__ import annotations

from collections.abc import Iterator

import av

from appliance.capture import h264
from appliance.capture.base import AccessUnit
from appliance.capture.clock import LessonClock
from appliance.capture.file_player import FilePlayer
from appliance.capture.media_file import FileUnit, MediaFile, PassThrough, Schedule, access_units, seek
from appliance.capture.thread import CaptureThread

QUEUED_PICTURES = 512  # room for a group of pictures at once; a reader further behind misses until the next key frame
SQUEEZED_US = 1_000
LATE_US = 2_000_000  # after a suspend: find the place anew instead of racing through what was missed


class PassThroughStream(FilePlayer):
    """The open camera of a file whose H.264 is sent as it is."""

    def __init__(
        self, facts: MediaFile, pass_through: PassThrough, schedule: Schedule, clock: LessonClock, after_us: int
    ) -> None:
        super().__init__(facts, schedule, clock, after_us)
        self._parameter_sets = pass_through.parameter_sets
        self._group: list[bytes] = []  # since the newest key frame: what a still is decoded from
        self._dropping = False
        self._start("file-camera", QUEUED_PICTURES)

    def force_key_frame(self) -> None:
        """Cannot be: the next key frame comes by itself, within twice ``key_frame_every_s`` (else it is transcoded)."""

    def set_bitrate(self, bits_per_s: int) -> None:
        """Has no effect: the file's bits are sent as they are."""

    def set_frame_rate(self, fps: int) -> None:
        """Has no effect: each picture of the file is needed by the next."""

    def _play(
        self, thread: CaptureThread[AccessUnit], container: av.container.InputContainer, stream: av.VideoStream,
        number: int, media_us: int,
    ) -> bool:  # fmt: skip
        seek(container, stream, self._facts.start_us + media_us)
        start_us = min(self._clock.now_us(), self._schedule.lesson_us(number, media_us))
        past: list[tuple[FileUnit, int]] = []
        for unit in self._from_key_frame(access_units(container, stream)):
            due_us = self._schedule.lesson_us(number, unit.media_us - self._facts.start_us)
            if due_us <= start_us:
                past = [(unit, due_us)] if unit.key_frame else [*past, (unit, due_us)]
                continue
            self._catch_up(thread, past, start_us)
            past = []
            if self._clock.now_us() - due_us > LATE_US or not thread.wait_until(self._clock, due_us):
                return False
            self._hand_out(thread, unit, due_us)
        self._catch_up(thread, past, start_us)
        return not thread.stopping()

    def _from_key_frame(self, units: Iterator[FileUnit]) -> Iterator[FileUnit]:
        begun = False
        for unit in units:
            begun = begun or unit.key_frame
            if begun:
                yield unit

    def _catch_up(self, thread: CaptureThread[AccessUnit], past: list[tuple[FileUnit, int]], start_us: int) -> None:
        for index, (unit, due_us) in enumerate(past):
            squeezed_us = start_us - (len(past) - 1 - index) * SQUEEZED_US
            self._hand_out(thread, unit, max(due_us, squeezed_us))

    def _hand_out(self, thread: CaptureThread[AccessUnit], unit: FileUnit, capture_us: int) -> None:
        data = unit.data
        if unit.key_frame:
            if not h264.has_parameter_sets(data):
                data = self._parameter_sets + data
            self._group = []
        self._group.append(data)
        if self._stills.wanted():
            group = list(self._group)
            self._stills.give(lambda: _newest_picture(group))
        self._dropping = (self._dropping and not unit.key_frame) or not thread.has_room()
        if not self._dropping:
            self.newest_us = max(capture_us, self.newest_us + 1)
            thread.put(AccessUnit(data=data, key_frame=unit.key_frame, capture_us=self.newest_us))


def _newest_picture(group: list[bytes]) -> av.VideoFrame:
    """Decode a group of pictures, for its last."""
    decoder = av.VideoCodecContext.create("h264", "r")
    newest = None
    for data in [*group, None]:
        for frame in decoder.decode(None if data is None else av.Packet(data)):
            newest = frame
    assert newest is not None  # noqa: S101 - a group begins with a key frame
    return newest
