"""The viewers of one channel who do not get every picture: key frames at the pace of each one's line, or nothing.

A key frame is sent only when it is whole, and then to its end. Its packets leave a few at a time, so that the voice,
which is never held back, does not queue behind them; its timestamp is moved to when its last packet is due, so that a
browser, which keeps voice and picture together, does not delay the voice by as much. Owns no timer (``channel.py``),
and no socket.
"""

from __future__ import annotations

from collections.abc import Iterator

from relay.engines.embedded.adaptation import Adaptation
from relay.engines.embedded.outlet import Outlet
from relay.engines.embedded.rtp import TIMESTAMP_MASK
from relay.engines.embedded.timeline import KeyFrame, Timeline

EVERY_S = 1.75  # between two key frames: the kit makes one every 1.8 s, and more when somebody asks
CREDIT_BYTES = 2500  # two packets back to back
REPEAT_S = 0.15  # after a key frame's last packet: then it is sent again, for nothing else would show that it was lost
REPORT_S = 0.25  # while something is on its way: the answers tell how long the queue is
JUDGED_S = 0.45  # after that: by then the answers to a report behind the key frame have come, if the line is well
BEHIND_S = 0.7  # after the one behind a key frame: the next one would come out of the queue together with it
FRESH_S = 2.0  # what came longer ago is not begun any more: the teacher may have closed the curtain


class _Spared:
    """One viewer. ``sending``: the key frame that is on its way."""

    __slots__ = (
        "adaptation",
        "began_s",
        "credit",
        "credited_at_s",
        "judged",
        "repeat_at_s",
        "repeated",
        "report_at_s",
        "sending",
        "stamp",
    )

    def __init__(self, adaptation: Adaptation, now_s: float) -> None:
        self.adaptation = adaptation
        self.sending: KeyFrame | None = None
        self.began_s = float("-inf")
        self.credit = 0.0
        self.credited_at_s = now_s
        self.repeat_at_s = 0.0
        self.repeated = self.judged = True
        self.report_at_s = now_s
        self.stamp: int | None = None  # the last key frame's timestamp, as it was sent


class Sparing:
    """The viewers of one channel's picture who are spared some of it."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._spared: dict[Outlet, _Spared] = {}
        self.packets = self.octets = 0  # that were sent so far

    def __iter__(self) -> Iterator[Outlet]:
        return iter(self._spared)

    def __bool__(self) -> bool:
        return bool(self._spared)

    def __contains__(self, outlet: Outlet) -> bool:
        return outlet in self._spared

    def add(self, outlet: Outlet, adaptation: Adaptation, now_s: float) -> None:
        """From the end of the picture that it is getting, this viewer is spared. It has paused, or not started."""
        self._spared[outlet] = _Spared(adaptation, now_s)

    def discard(self, outlet: Outlet) -> None:
        """It is gone."""
        self._spared.pop(outlet, None)

    def tick(self, now_s: float) -> list[Outlet]:
        """Send what is due. Who now wants every picture is let go, ready to catch up from a key frame."""
        return [outlet for outlet, spared in list(self._spared.items()) if self._serve(outlet, spared, now_s)]

    def to_report(self, now_s: float) -> list[Outlet]:
        """Who is to be told the time now, for the sake of the answer."""
        due = []
        for outlet, spared in self._spared.items():
            busy = spared.sending is not None or not spared.judged or now_s < self._hold(spared)
            if busy and outlet.started and now_s >= spared.report_at_s:
                behind = spared.sending is None and not spared.judged
                spared.report_at_s = now_s + (BEHIND_S if behind else REPORT_S)
                due.append(outlet)
        return due

    def _serve(self, outlet: Outlet, spared: _Spared, now_s: float) -> bool:
        if spared.sending is not None:
            self._send(outlet, spared, spared.sending, now_s)
            return False
        if not spared.repeated and now_s >= spared.repeat_at_s:
            spared.repeated = True
            outlet.repeat_last(now_s)
        if not spared.judged and now_s >= max(spared.began_s + EVERY_S, spared.repeat_at_s + JUDGED_S):
            spared.judged = True
            spared.adaptation.on_key_frame_sent(spared.began_s, now_s)
        found = self._next(outlet, spared, now_s)
        if found is None:
            return False
        if spared.adaptation.picture == "full":
            del self._spared[outlet]
            outlet.catch_up(self._timeline.group_of_pictures())
            return True
        spared.sending, spared.began_s, spared.credit = found, now_s, CREDIT_BYTES
        spared.credited_at_s = now_s
        spared.stamp = self._due_stamp(found, spared.adaptation.pace_bps, now_s)
        outlet.send_alone(found.first, {found.timestamp: spared.stamp})
        return False

    def _next(self, outlet: Outlet, spared: _Spared, now_s: float) -> KeyFrame | None:
        """The key frame to go on with now, if there is one."""
        picture = spared.adaptation.picture
        if not spared.judged:
            return None
        if picture == "voice" or (picture == "slow" and now_s < max(self._hold(spared), spared.began_s + EVERY_S)):
            return None
        found = self._timeline.key_frame()
        if found is None or found.first < outlet.free_from or now_s - self._timeline.last_at_s > FRESH_S:
            return None
        if picture == "full" and spared.stamp is not None and not _later(found.timestamp, spared.stamp):
            return None  # a browser would take it for older than what it has
        return found

    @staticmethod
    def _hold(spared: _Spared) -> float:
        """Until when the line's queue is let run empty."""
        return spared.adaptation.hold_until_s

    def _due_stamp(self, found: KeyFrame, pace_bps: float, now_s: float) -> int:
        """The timestamp of when the last packet will have left."""
        late_s = now_s - found.at_s + 8 * found.octets / pace_bps
        return (found.timestamp + int(late_s * self._timeline.clock_rate)) & TIMESTAMP_MASK

    def _send(self, outlet: Outlet, spared: _Spared, sending: KeyFrame, now_s: float) -> None:
        elapsed_s, spared.credited_at_s = now_s - spared.credited_at_s, now_s
        if now_s < self._hold(spared):
            return
        spared.credit = min(CREDIT_BYTES, spared.credit) + elapsed_s * spared.adaptation.pace_bps / 8
        if spared.credit <= 0:
            return
        packets, octets = outlet.packets, outlet.octets
        if outlet.pump(int(spared.credit) + 1, sending.end, now_s):
            outlet.close(sending.end)
            spared.sending, spared.repeat_at_s = None, now_s + REPEAT_S
            spared.repeated = spared.judged = False
            spared.report_at_s = now_s  # right behind it: the answer tells of the queue that it made
        spared.credit -= outlet.octets - octets
        self.octets += outlet.octets - octets
        self.packets += outlet.packets - packets


def _later(timestamp: int, other: int) -> bool:
    return 0 < (timestamp - other) & TIMESTAMP_MASK < 0x80000000
