"""What the replay has of a real lesson, once it is over: its length, each picture, and the voice beside them.

Judged from what is decoded of the one file that a pupil downloads: each picture carries the time at which it was taken,
and the simulated voice begins a syllable on each second of it. Used by ``recording.py`` and ``soak.py``.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import time

import av
import numpy as np

from appliance.capture.base import SAMPLE_RATE_HZ
from bench.figures import Figure
from bench.skew import skew_ms
from tests.recording.replay import complete, download, pictures
from tests.running import RunningSchool

PICTURE_HOLE_MS = 1500.0
ENDING_S = 30.0  # in which voice and picture are compared
LOUD = 0.02  # as in ``skew.py``
QUIET_SAMPLES = int(0.12 * SAMPLE_RATE_HZ)

Shown = list[tuple[float, float]]  # of each picture: when the replay shows it, and its time code, in ms


async def replayed(school: RunningSchool) -> list[Figure]:
    """End the lesson that runs, and judge its replay."""
    taught_ms = (await school.kit.status())["lesson"]["elapsed_s"] * 1000
    await school.kit.hold_to_end()
    ended_s = time.monotonic()
    (lesson,) = await complete(school.relay.http, school.class_url)
    took_s = time.monotonic() - ended_s
    video = await download(school.relay.http, school.relay.url, lesson)
    shown, skews_ms = await asyncio.to_thread(_judged, video)
    steps_ms = [later - earlier for (_, earlier), (_, later) in itertools.pairwise(shown)]
    minutes = f"{taught_ms / 60_000:.1f} min"
    return [
        Figure(f"replay of {minutes}: whole, after the lesson's end", "s", (took_s,), 3),
        Figure("replay: shorter than the lesson taught", "ms", (max(0.0, taught_ms - lesson["duration_ms"]),), 500),
        Figure(
            f"replay: holes between {len(shown):,} pictures", "",
            (sum(not 0 < step_ms <= PICTURE_HOLE_MS for step_ms in steps_ms),), 0,
        ),
        Figure("replay: from one picture to the next", "ms", tuple(steps_ms)),
        Figure(f"replay: picture–voice skew, last {ENDING_S:g} s", "ms", tuple(map(abs, skews_ms)), 40),
    ]  # fmt: skip


def _judged(video: bytes) -> tuple[Shown, list[float]]:
    shown = [(at_s * 1000, code_us / 1000) for at_s, code_us in pictures(video)]
    seen = [{"shown_ms": at_ms, "capture_us": code_ms * 1000} for at_ms, code_ms in shown]
    skews_ms = [skew_ms(onset_ms, seen) for onset_ms in _onsets_ms(video, shown[-1][0] - ENDING_S * 1000)]
    return shown, [skew for skew in skews_ms if skew is not None]


def _onsets_ms(video: bytes, from_ms: float) -> list[float]:
    """When sound begins after quiet, in the replay's time."""
    onsets_ms: list[float] = []
    quiet = 0
    with av.open(io.BytesIO(video), "r") as container:
        for frame in container.decode(audio=0):
            assert isinstance(frame, av.AudioFrame)
            assert frame.time is not None
            at_ms = frame.time * 1000
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) >= LOUD)
            if not len(loud):
                quiet += frame.samples
                continue
            if quiet + loud[0] > QUIET_SAMPLES and at_ms >= from_ms:
                onsets_ms.append(at_ms + loud[0] * 1000 / SAMPLE_RATE_HZ)
            quiet = frame.samples - int(loud[-1]) - 1
    return onsets_ms
