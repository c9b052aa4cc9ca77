"""What time it is: the one place in the relay that asks. Tests have clocks of their own."""

from __future__ import annotations

import time

from relay.classroom.live import Moment


def moment() -> Moment:
    """Now."""
    return Moment(time.monotonic(), time.time_ns() // 1_000_000)
