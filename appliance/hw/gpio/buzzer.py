"""A buzzer that is on or off: cues as data, played by the event loop's timers. Owned by ``panel.py``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from appliance.hw.base import Cue

#: Milliseconds of sound, silence, sound, …: short for what the teacher did, long for what went wrong.
CUES: Mapping[Cue, tuple[int, ...]] = {
    "begun": (80,),
    "ended": (80, 120, 80),
    "fault": (400, 200, 400, 200, 400),
}


class LineBuzzer:
    """Sounds cues through ``switch``, which takes 1.0 or 0.0. A new cue takes the place of the one that sounds."""

    def __init__(self, switch: Callable[[float], None]) -> None:
        self._switch = switch
        self._timers: list[asyncio.TimerHandle] = []

    def sound(self, cue: Cue) -> None:
        """Start the cue."""
        self.close()
        loop, at_s, on = asyncio.get_running_loop(), 0.0, 1.0
        self._switch(on)
        for ms in CUES[cue]:
            at_s, on = at_s + ms / 1000, 1.0 - on
            self._timers.append(loop.call_later(at_s, self._switch, on))

    def close(self) -> None:
        """Be silent."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._switch(0.0)
