"""What the level of a voice means to a person who says something: the verdict of the setup page. Pure."""

from __future__ import annotations

from collections import deque
from typing import Literal

from appliance.capture.sound_meter import FLOOR_DBFS, SoundFigures

Verdict = Literal["silent", "quiet", "good", "clipping"]

#: Where a voice at teaching distance ends and a quiet room begins. Cleaning brings up what is above.
QUIET_DBFS = -40.0
#: "Say something": what was said so long ago counts.
REMEMBERED_S = 3.0


class Voice:
    """Fed with figures whenever there are any."""

    def __init__(self) -> None:
        self._peaks: deque[tuple[float, float]] = deque()

    def verdict(self, figures: SoundFigures, now_s: float) -> Verdict:
        """What to tell now."""
        self._peaks.append((now_s, figures.peak_dbfs))
        while now_s - self._peaks[0][0] > REMEMBERED_S:
            self._peaks.popleft()
        if figures.warning is not None:
            return figures.warning
        loudest = max((peak for _, peak in self._peaks), default=FLOOR_DBFS)
        return "good" if loudest >= QUIET_DBFS else "quiet"
