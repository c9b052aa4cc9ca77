"""Real footage for an archive: H.264 and AAC in CMAF segments as a kit makes them, with a number in every picture.

A lesson is encoded once for all tests. What ``read_footage`` finds in a played-back file is what the pictures say of
themselves, read from decoded pixels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from relay.archive.boxes import boxes
from wire.recording import SegmentHead

FPS = 10
SOUND_HZ = 48_000
SIZE = (160, 96)  # pixels
BITS = 16
SEGMENT_US = 2_000_000
_MUXER = {
    "movflags": "+empty_moov+delay_moov+default_base_moof+frag_custom+frag_discont+skip_trailer",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
    "video_track_timescale": "90000",
}


@dataclass(frozen=True)
class Piece:
    """A segment with its head."""

    head: SegmentHead
    body: bytes


@dataclass(frozen=True)
class Footage:
    """A lesson's files. Segment ``n`` has pictures ``n × 20`` to ``n × 20 + 19``."""

    inits: tuple[bytes, ...]
    pieces: tuple[Piece, ...]

    @property
    def duration_us(self) -> int:
        """The lesson clock at the end."""
        return self.pieces[-1].head.end_us


@dataclass(frozen=True)
class Seen:
    """What a played-back file shows: the pictures' numbers and times, and where sound begins and ends, in seconds."""

    numbers: list[int]
    times_s: list[float]
    sound_s: tuple[float, float]
    sound_samples: int


@cache
def footage(segments: int = 5, *, sizes: tuple[tuple[int, int], ...] = (SIZE,), curtain: int | None = None) -> Footage:
    """A lesson of so many segments. Several ``sizes``: the encoder began anew for each third, half … of them.
    ``curtain``: before this segment nothing was captured for ten minutes."""
    inits: list[bytes] = []
    pieces: list[Piece] = []
    for number in range(segments):
        start_us = number * SEGMENT_US + (600_000_000 if curtain is not None and number >= curtain else 0)
        size = sizes[number * len(sizes) // segments]
        init, fragment = _encode(number, start_us, size)
        fresh = not inits or inits[-1] != init
        if fresh:
            inits.append(init)
        head = SegmentHead(
            init=len(inits) - 1,
            start_us=start_us,
            duration_us=SEGMENT_US,
            discontinuity=number == curtain or (fresh and number > 0),
        )
        pieces.append(Piece(head, fragment))
    return Footage(tuple(inits), tuple(pieces))


def _encode(number: int, start_us: int, size: tuple[int, int]) -> tuple[bytes, bytes]:
    """One segment by a muxer of its own, as the kit does it: the init, and the fragment."""
    target = io.BytesIO()
    options = {**_MUXER, "fragment_index": str(number + 1)}
    with av.open(target, "w", format="mp4", options=options) as output:
        video = output.add_stream(
            "libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency", "g": "1000"}
        )
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 90_000)
        sound = output.add_stream("aac", rate=SOUND_HZ, layout="mono")
        packets = []
        for index in range(2 * FPS):
            frame = _picture(2 * FPS * number + index, size)
            frame.pts, frame.time_base = start_us * 9 // 100 + index * 90_000 // FPS, Fraction(1, 90_000)
            packets += video.encode(frame)
        first = start_us * SOUND_HZ // 1_000_000
        begin = -(-first // 1024) * 1024 if number else 0
        end = -(-(first + 2 * SOUND_HZ) // 1024) * 1024
        for at in range(begin, end, 1024):
            packets += sound.encode(_tone(at))
        packets += [*video.encode(None), *sound.encode(None)]
        for packet in packets:
            if packet.stream is video or (packet.pts is not None and packet.pts >= begin):  # not the encoder's priming
                output.mux(packet)
    data = target.getvalue()
    moof = next(box for box in boxes(data) if box.kind == b"moof")
    return data[: moof.start], data[moof.start :]


def _picture(number: int, size: tuple[int, int]) -> VideoFrame:
    width, height = size
    plane = np.full((height * 3 // 2, width), 128, np.uint8)
    bar = width // BITS
    for bit in range(BITS):
        plane[:height, bit * bar : (bit + 1) * bar] = 220 if number >> bit & 1 else 30
    return VideoFrame.from_ndarray(plane, "yuv420p")


def _number(frame: VideoFrame) -> int:
    luma = frame.to_ndarray(format="yuv420p")[: frame.height]
    bar = frame.width // BITS
    means = [luma[:, bit * bar : (bit + 1) * bar].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 125)


def _tone(at: int) -> AudioFrame:
    samples = np.sin(np.arange(at, at + 1024) * (2 * np.pi * 440 / SOUND_HZ)).astype(np.float32) * 0.3
    frame = AudioFrame.from_ndarray(samples[None, :], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_HZ, at, Fraction(1, SOUND_HZ)
    return frame


def read_footage(*parts: bytes) -> Seen:
    """Decode an init and fragments, or a whole file."""
    with av.open(io.BytesIO(b"".join(parts)), "r") as source:
        numbers: list[int] = []
        times_s: list[float] = []
        for packet_frame in source.decode(video=0):
            assert packet_frame.time is not None
            numbers.append(_number(packet_frame))
            times_s.append(packet_frame.time)
    with av.open(io.BytesIO(b"".join(parts)), "r") as source:
        blocks = [(block.time or 0.0, block.samples) for block in source.decode(audio=0)]
    begin_s, (last_s, last) = blocks[0][0], blocks[-1]
    return Seen(numbers, times_s, (begin_s, last_s + last / SOUND_HZ), sum(samples for _, samples in blocks))
