"""A whole lesson recorded faster than it would go: a sound card whose clock runs off, through the real line, segmenter
and muxer; and what the replay's end says of it. For a test, and for ``bench/recording.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.capture import cmaf
from appliance.capture.aac import FRAME_SAMPLES
from appliance.capture.base import AccessUnit
from appliance.capture.segmenter import Segment, Segmenter
from appliance.capture.voice_line import VoiceLine
from tests.appliance.capture.running_off import RunningOffCard
from tests.appliance.capture.taped import PICTURE_US, Film, grey, is_without_holes, read_file

S = 1_000_000
CLICK_S = 0.005
LISTENED_S = 8  # of the end: a click on each whole second of true time
KEY_EVERY = 20  # pictures


@dataclass(frozen=True, slots=True)
class LongLesson:
    """``skews_ms``: how much later than its picture each click at the end is heard."""

    length_error_ms: float
    skews_ms: tuple[float, ...]
    whole: bool


def recorded(seconds: int, ppm: float) -> LongLesson:
    """Record a lesson of so many seconds, with a card that is ``ppm`` off."""
    clicks_from_s = seconds - LISTENED_S

    def world(at_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if at_s[-1] < clicks_from_s:
            return np.zeros(len(at_s))
        clicks = (at_s % 1 < CLICK_S) & (at_s >= clicks_from_s)
        return np.where(clicks, 0.8 * np.sin(2 * np.pi * 1000 * (at_s % 1)), 0.0)

    card, line, segmenter, film = RunningOffCard(world, ppm, frames=1920), VoiceLine(0), Segmenter(grey), Film()
    same = [film.at(number * PICTURE_US) for number in range(KEY_EVERY)]  # but at the end, nobody looks at them
    segments: list[Segment] = []
    picture = 2
    for chunk in card.chunks(seconds):
        line.feed(chunk.samples, chunk.rate_hz, chunk.boot_us)
        while (block := line.due(card.now_us)) is not None:
            segments += segmenter.sound(block)
        while picture * PICTURE_US <= card.now_us:
            at_us = picture * PICTURE_US
            if at_us < (clicks_from_s - 4) * S:
                unit = same[picture % KEY_EVERY]
                segments += segmenter.picture(AccessUnit(unit.data, unit.key_frame, at_us))
            else:
                segments += segmenter.picture(film.at(at_us))
            picture += 1
    segments += segmenter.close()
    return _judged(segments, seconds)


def _judged(segments: list[Segment], seconds: int) -> LongLesson:
    frames = [frame.place for segment in segments for frame in segment.sound]
    ending = segments[-5:]
    files = [cmaf.fragment(number, part.pictures, part.end_us, part.sound) for number, part in enumerate(ending)]
    read = read_file(cmaf.init(ending[0].sets, ending[0].sound_config) + b"".join(files))
    shift_us = [code - at for at, code in zip(read.pictures_us, read.codes, strict=True) if code is not None]
    loud = np.flatnonzero(np.abs(read.wave) > 5000)
    onsets = loud[np.flatnonzero(np.diff(loud, prepend=-48_000) > 24_000)]
    heard_ms = [read.sound_us[0] / 1000 + onset / 48 for onset in onsets[1:]]
    length_us = sum(segment.end_us - segment.start_us for segment in segments)
    return LongLesson(
        length_error_ms=abs(length_us / 1000 - seconds * 1000),
        skews_ms=tuple((ms + 500) % 1000 - 500 + float(np.median(shift_us)) / 1000 for ms in heard_ms),
        whole=is_without_holes(segments) and set(np.diff(np.array(frames))) == {FRAME_SAMPLES},
    )
