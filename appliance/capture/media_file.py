"""A video file as a source: what is in it, and which of its moments plays when.

Picture and sound of one file stay together because both are placed by the same rule: at lesson time *t* plays media
time *t* modulo the container's duration. Used by ``file.py``'s camera and microphone. Not here: reading it in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer

from appliance.capture import h264
from appliance.errors import CameraUnavailable, KitError, MicrophoneUnavailable

Kind = Literal["camera", "microphone"]

US_PER_S = 1_000_000
PROBE_US = 60 * US_PER_S  # a minute shows how a file was encoded; reading an hour of it would delay the start press
UNAVAILABLE: dict[Kind, type[KitError]] = {"camera": CameraUnavailable, "microphone": MicrophoneUnavailable}


class _Unsuitable(Exception):
    """What is wrong with a file that opens; becomes the domain's error with the file's name."""


@dataclass(frozen=True)
class PassThrough:
    """How a file's H.264 can be sent untouched: what to put before a key frame that lacks its parameter sets."""

    parameter_sets: bytes


@dataclass(frozen=True)
class MediaFile:
    """What a probe found. Times are µs from the container's start."""

    path: Path
    start_us: int
    duration_us: int
    picture_us: int  # one picture's duration
    pass_through: PassThrough | None


@dataclass(frozen=True)
class Schedule:
    """Which media time plays at which lesson time."""

    duration_us: int
    loop: bool

    def place(self, lesson_us: int) -> tuple[int, int] | None:
        """The round and the media time within it; None when a file that plays once is over."""
        if not self.loop:
            return (0, lesson_us) if lesson_us < self.duration_us else None
        return divmod(lesson_us, self.duration_us)

    def lesson_us(self, number: int, media_us: int) -> int:
        """When, in that round, this media time plays."""
        return number * self.duration_us + media_us


@contextmanager
def opened(path: Path, kind: Kind) -> Iterator[InputContainer]:
    """The file, open. FFmpeg's complaints become one line that names the file and the remedy."""
    unavailable = UNAVAILABLE[kind]
    try:
        with av.open(str(path)) as container:
            yield container
    except FileNotFoundError:
        raise unavailable(f"{path}: there is no such file; set {kind}.file to a video on this kit") from None
    except PermissionError:
        raise unavailable(f"{path}: may not be read; give the kit's user permission to read it") from None
    except IsADirectoryError:
        raise unavailable(f"{path}: is a folder; set {kind}.file to a video in it") from None
    except av.FFmpegError as error:
        raise unavailable(f"{path}: FFmpeg cannot read it ({error.strerror}); use another video") from None


def probe(path: Path, kind: Kind, key_frame_every_s: float = 2.0) -> MediaFile:
    """Look into a file, or remember what was found if it hasn't changed since.

    Raises ``CameraUnavailable`` or ``MicrophoneUnavailable``.
    """
    try:
        about = path.stat()
    except OSError:
        return _probe(path, kind, key_frame_every_s)  # raises, and says what to do
    return _probe_once(path, kind, key_frame_every_s, (about.st_mtime_ns, about.st_size, about.st_ino))


@lru_cache(maxsize=16)
def _probe_once(path: Path, kind: Kind, key_frame_every_s: float, version: tuple[int, int, int]) -> MediaFile:
    return _probe(path, kind, key_frame_every_s)


def _probe(path: Path, kind: Kind, key_frame_every_s: float) -> MediaFile:
    try:
        with opened(path, kind) as container:
            start_us = container.start_time or 0
            if kind == "camera":
                return _probe_picture(path, container, start_us, key_frame_every_s)
            return _probe_sound(path, container, start_us)
    except _Unsuitable as reason:
        raise UNAVAILABLE[kind](f"{path}: {reason}") from None


def _probe_picture(path: Path, container: InputContainer, start_us: int, key_frame_every_s: float) -> MediaFile:
    if not container.streams.video:
        raise _Unsuitable("has no picture; set camera.file to a video")
    stream = container.streams.video[0]
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    duration_us = _duration_us(container, start_us)
    container.seek(start_us)
    first = next(container.decode(stream), None)
    if first is None:
        raise _Unsuitable("no picture in it can be decoded; use another video")
    container.seek(start_us)
    # A phone held sideways says so beside the pictures, where a browser never looks.
    upright = first.rotation % 360 == 0
    pass_through = _judge(container, stream, int(2 * key_frame_every_s * US_PER_S)) if upright else None
    return MediaFile(path, start_us, duration_us, int(US_PER_S / rate), pass_through)


def _probe_sound(path: Path, container: InputContainer, start_us: int) -> MediaFile:
    if not container.streams.audio:
        raise _Unsuitable('has no sound; set microphone.kind = "none", or name a file with sound')
    duration_us = _duration_us(container, start_us)
    container.seek(start_us)
    if next(container.decode(container.streams.audio[0]), None) is None:
        raise _Unsuitable("no sound in it can be decoded; use another file")
    return MediaFile(path, start_us, duration_us, 0, None)


def _duration_us(container: InputContainer, start_us: int) -> int:
    """The container's word, or for formats that do not say, the end of the last packet."""
    if container.duration and container.duration > 0:
        return container.duration
    end_us = 0
    for packet in container.demux():
        if packet.pts is not None and packet.time_base is not None:
            end_us = max(end_us, int((packet.pts + (packet.duration or 0)) * packet.time_base * US_PER_S) - start_us)
    if end_us <= 0:
        raise _Unsuitable("has no time stamps; put it into a container: ffmpeg -i FILE FILE.mp4")
    return end_us


def _judge(container: InputContainer, stream: av.VideoStream, longest_us: int) -> PassThrough | None:
    """Whether the picture may pass through: constrained baseline, in order, and key frames close enough together.

    Key frames that are further apart than twice ``key_frame_every_s`` would keep a joining pupil waiting, and cannot
    be asked for in a file: such a file is encoded anew.
    """
    if stream.codec_context.name != "h264" or stream.codec_context.has_b_frames:
        return None
    sets, last_key_us, last_us = b"", None, -1
    for unit in access_units(container, stream):
        if unit.media_us <= last_us or (unit.key_frame and not h264.is_key_frame(unit.data)):
            return None
        if unit.key_frame:
            sets = sets or h264.parameter_sets(unit.data)
            last_key_us = unit.media_us
        if last_key_us is None or unit.media_us - last_key_us > longest_us:
            return None
        last_us = unit.media_us
        if last_us > PROBE_US:
            break
    sets = sets or _sets_beside(stream)
    return PassThrough(sets) if h264.is_constrained_baseline(sets) else None


def _sets_beside(stream: av.VideoStream) -> bytes:
    """Parameter sets that the container holds beside the stream."""
    extradata = stream.codec_context.extradata or b""
    return h264.parameter_sets(extradata) if h264.is_annex_b(extradata) else h264.avcc_parameter_sets(extradata)


@dataclass(frozen=True)
class FileUnit:
    """A coded picture of a file, as Annex B. ``media_us`` is its presentation time on the container's own scale."""

    data: bytes
    key_frame: bool
    media_us: int


def access_units(container: InputContainer, stream: av.VideoStream) -> Iterator[FileUnit]:
    """The H.264 pictures from the container's current place on, untouched but for the start codes."""
    to_annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
    for packet in container.demux(stream):
        pts, key_frame, time_base = packet.pts, packet.is_keyframe, packet.time_base
        if packet.size == 0 or pts is None or time_base is None:
            continue
        data = b"".join(bytes(part) for part in to_annex_b.filter(packet))
        yield FileUnit(data, key_frame, int(pts * time_base * US_PER_S))


def seek(container: InputContainer, stream: av.VideoStream | av.AudioStream, media_us: int) -> None:
    """Go to the key frame at or before that time of the container's own scale."""
    if stream.time_base is None:
        return
    try:
        container.seek(int(media_us / US_PER_S / stream.time_base), stream=stream, backward=True)
    except av.FFmpegError:  # some formats refuse a place beyond their last key frame: read on from the beginning
        container.seek(container.start_time or 0)
