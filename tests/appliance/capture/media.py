"""Video files made for tests: each picture carries its media time as a time code, each whole second a click."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer

from appliance.capture.pictures import new_frame, plane_views
from appliance.capture.simulated import timecode

CLICK_S = 0.02
PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}  # where it is not yuv420p
AUDIO_HZ = 44_100  # not Opus's rate, on purpose


@dataclass(frozen=True)
class Recipe:
    """What to make. ``baseline`` is H.264 that may pass through."""

    seconds: float = 2.0
    codec: str = "libx264"
    profile: str = "baseline"
    width: int = 320
    height: int = 180
    fps: int = 30
    key_every: int = 15
    b_frames: int = 0
    sound: bool = True
    picture: bool = True
    noise: int = 24
    bits_per_s: int = 3_000_000
    threads: int = 0  # of libx264 without delay: each makes a slice of its own; 0: as many as there are cores
    capped: bool = False  # the rate is kept within each two seconds, not on average over a long film


def make_video(path: Path, recipe: Recipe | None = None) -> Path:
    """Write the file and return its path."""
    recipe = recipe or Recipe()
    with av.open(str(path), "w") as container:
        streams: list[av.VideoStream | av.AudioStream] = []
        if recipe.picture:
            streams.append(_picture_stream(container, recipe))
        if recipe.sound:
            streams.append(container.add_stream("aac", rate=AUDIO_HZ, layout="mono"))
        for stream in streams:
            if isinstance(stream, av.VideoStream):
                _write_pictures(container, stream, recipe)
            else:
                _write_sound(container, stream, recipe)
    return path


def _picture_stream(container: OutputContainer, recipe: Recipe) -> av.VideoStream:
    stream = container.add_stream(recipe.codec, rate=recipe.fps)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, PIXELS.get(recipe.codec, "yuv420p")
    stream.codec_context.gop_size = recipe.key_every
    stream.codec_context.max_b_frames = recipe.b_frames
    stream.bit_rate = recipe.bits_per_s
    if recipe.codec == "libx264":
        # "ultrafast" has nothing that is not constrained baseline, whatever the profile
        preset = "ultrafast" if recipe.profile == "baseline" else "veryfast"
        kbps = recipe.bits_per_s // 1000
        cap = f":vbv-maxrate={kbps}:vbv-bufsize={kbps}" if recipe.capped else ""
        stream.options = {"preset": preset, "profile": recipe.profile, "x264-params": f"scenecut=0{cap}"}
        if not recipe.b_frames:
            stream.options = {**stream.options, "tune": "zerolatency"}
            stream.codec_context.thread_count = recipe.threads
    return stream


def _write_pictures(container: OutputContainer, stream: av.VideoStream, recipe: Recipe) -> None:
    hand = np.random.default_rng(1)
    for number in range(round(recipe.seconds * recipe.fps)):
        frame = new_frame(recipe.width, recipe.height)
        luma, blue, red = plane_views(frame)
        luma[...] = 90 + hand.integers(0, recipe.noise + 1, luma.shape, np.uint8)
        blue[...], red[...] = 128, 128
        timecode.draw(luma, blue, red, round(number * 1_000_000 / recipe.fps))
        frame.pts, frame.time_base = number, Fraction(1, recipe.fps)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_sound(container: OutputContainer, stream: av.AudioStream, recipe: Recipe) -> None:
    samples = clicks(recipe.seconds)
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_HZ, start, Fraction(1, AUDIO_HZ)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def clicks(seconds: float) -> npt.NDArray[np.float32]:
    """Silence with a tone burst at every whole second."""
    s = np.arange(int(seconds * AUDIO_HZ)) / AUDIO_HZ
    return (0.6 * np.sin(2 * np.pi * 1_000 * s) * (s % 1 < CLICK_S)).astype(np.float32)
