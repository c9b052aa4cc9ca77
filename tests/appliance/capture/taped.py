"""Pictures and sound to record, and what FFmpeg finds in the recording: for tests of the segmenter and the recorder."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import av
import numpy as np

from appliance.capture import cmaf
from appliance.capture.base import BLOCK_SAMPLES, AccessUnit, PcmBlock, Samples
from appliance.capture.h264 import H264Encoder
from appliance.capture.pacing import BLOCK_US
from appliance.capture.pictures import new_frame, plane_views
from appliance.capture.segmenter import Segment, Segmenter
from appliance.capture.simulated import timecode

WIDTH, HEIGHT = 320, 180
GREY_WIDTH = 160
PICTURE_US = 100_000


def grey() -> bytes:
    """A key frame of another size than the film's, so that it shows."""
    frame = new_frame(GREY_WIDTH, 120)
    for plane in plane_views(frame):
        plane[...] = 128
    return H264Encoder(GREY_WIDTH, 120, 10, 100_000).encode(frame, 0).data


class Film:
    """Encodes pictures that show when they were taken."""

    def __init__(self, width: int = WIDTH, key_frame_every_s: float = 2.0) -> None:
        self._encoder = H264Encoder(width, HEIGHT, 10, 300_000, key_frame_every_s)
        self._frame = new_frame(width, HEIGHT)
        for plane in plane_views(self._frame):
            plane[...] = 128

    def at(self, capture_us: int) -> AccessUnit:
        """The picture of that time."""
        luma, blue, red = plane_views(self._frame)
        timecode.draw(luma, blue, red, capture_us)
        return self._encoder.encode(self._frame, capture_us)

    def force_key_frame(self) -> None:
        """As a camera's."""
        self._encoder.force_key_frame()


def sine(number: int) -> Samples:
    """The sound of block ``number``: 440 Hz."""
    at = np.arange(number * BLOCK_SAMPLES, (number + 1) * BLOCK_SAMPLES) / 48_000
    wave: Samples = np.rint(8000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16)
    return wave


def record(
    segmenter: Segmenter, film: Film | None, first_us: int, last_us: int, *, sound: bool = True, deliver: bool = True
) -> list[Segment]:
    """Record from one time to another, as the clock goes: pictures (where there is a film), sound, ticks."""
    made: list[Segment] = []
    for at_us in range(first_us, last_us, BLOCK_US):
        if sound:
            made += segmenter.sound(PcmBlock(sine(at_us // BLOCK_US), at_us))
        if film is not None and at_us % PICTURE_US == 0:
            unit = film.at(at_us)
            if deliver:
                made += segmenter.picture(unit)
            if segmenter.wants_key_frame:
                segmenter.wants_key_frame = False
                film.force_key_frame()
        made += segmenter.tick(at_us)
    return made


@dataclass(frozen=True, slots=True)
class Read:
    """What FFmpeg decodes: times in µs; ``codes`` are the time codes of the pictures."""

    pictures_us: tuple[int, ...]
    codes: tuple[int | None, ...]
    widths: tuple[int, ...]
    sound_us: tuple[int, ...]
    wave: Samples


def read(segments: Sequence[Segment], number: int = 0) -> Read:
    """Decode segments that have one init."""
    parts = [cmaf.init(segments[0].sets, segments[0].sound_config)]
    parts += [cmaf.fragment(number + at, s.pictures, s.end_us, s.sound) for at, s in enumerate(segments)]
    return read_file(b"".join(parts))


def read_file(data: bytes) -> Read:
    """Decode one file."""
    pictures: list[tuple[int, int | None, int]] = []
    sounds: list[tuple[int, Samples]] = []
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                pictures.append((_time_us(frame), timecode.read(plane_views(frame)[0]), frame.width))
            elif isinstance(frame, av.AudioFrame):
                sounds.append((_time_us(frame), np.rint(frame.to_ndarray()[0] * 32768).astype(np.int16)))
    return Read(
        tuple(at for at, _, _ in pictures),
        tuple(code for _, code, _ in pictures),
        tuple(width for _, _, width in pictures),
        tuple(at for at, _ in sounds),
        np.concatenate([wave for _, wave in sounds]),
    )


def _time_us(frame: av.VideoFrame | av.AudioFrame) -> int:
    assert frame.pts is not None
    assert frame.time_base is not None
    return round(frame.pts * frame.time_base * 1_000_000)


def is_without_holes(segments: Iterable[Segment]) -> bool:
    """Whether each begins where the one before ends."""
    known = list(segments)
    return all(one.end_us == other.start_us for one, other in itertools.pairwise(known))
