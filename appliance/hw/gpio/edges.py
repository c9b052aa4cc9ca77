"""A line's edges from the kernel, through libgpiod: waited for, not asked for. The only module that knows libgpiod.

lgpio's own alerts look at the lines 2,000 times a second for as long as a button is open (lgPthAlerts.c: ppoll with
0.5 ms), which a kit would pay day and night. Here a thread sleeps until there is an edge, and the kernel says when it
was. Used by ``lines.py``, for gpiozero's pins of buttons.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from typing import Literal

CONSUMER = "parta-kit"  # what gpioinfo shows for the line
STOP_S = 1.0  # the thread only hands edges on

Pull = Literal["up", "down", "floating"]
Changed = Callable[[bool, int], None]


class LineEdges:
    """An input line, from here to ``close``. ``changed(level, monotonic nanoseconds)`` is called on a thread of its
    own."""

    def __init__(self, chip: int, line: int, pull: Pull, changed: Changed) -> None:
        """Raises ``OSError`` where the line cannot be had."""
        import gpiod
        from gpiod.line import Bias, Direction, Edge, Value

        bias = {"up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "floating": Bias.DISABLED}[pull]
        settings = gpiod.LineSettings(direction=Direction.INPUT, bias=bias, edge_detection=Edge.BOTH)
        self._line, self._changed = line, changed
        self._high, self._rising = Value.ACTIVE, gpiod.EdgeEvent.Type.RISING_EDGE
        self._request = gpiod.request_lines(f"/dev/gpiochip{chip}", {line: settings}, consumer=CONSUMER)
        self._stop = os.eventfd(0)
        self._thread = threading.Thread(target=self._wait, name=f"edges of GPIO {line}", daemon=True)
        self._thread.start()

    def level(self) -> bool:
        """The line's level now."""
        return self._request.get_value(self._line) is self._high

    def close(self) -> None:
        """Let the line go."""
        os.eventfd_write(self._stop, 1)
        if self._thread is not threading.current_thread():
            self._thread.join(STOP_S)

    def _wait(self) -> None:
        try:
            while self._stop not in select.select([self._request.fd, self._stop], [], [])[0]:
                for edge in self._request.read_edge_events():
                    self._changed(edge.event_type is self._rising, edge.timestamp_ns)
        finally:
            self._request.release()
            os.close(self._stop)
