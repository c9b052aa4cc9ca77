"""One channel's picture and voice on their way to everybody who is live: collected, paced, and sent a slice at a time.

A picture's packets wait for each other, so that each viewer gets them in one system call: it can show nothing before
the last of them anyway. The rules, in the order in which they bind:

- What is complete goes at once, and so does what came late. What is not goes after ``HOLD_S``.
- A viewer gets no more than ``CHUNK_BYTES`` back to back, and no more than ``PACE_BYTES_PER_S`` after a first
  ``CREDIT_BYTES``: a key frame that a publisher sent as one burst does not reach a home router as one. A lesson that
  needs more gets more, so that what waits is gone in about ``DRAIN_S``.
- A slice ends after ``SLICE_PACKETS``; then the socket is read and other lessons have their turn.
- Voice goes at once, and to everybody before any picture does that comes after it. Where ``MANY`` watch, picture and
  voice leave together, in one system call: whichever comes first waits up to ``RIDE_S`` for the other, if that is due
  by then.

Owns no timer (``channel.py``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from relay.engines.embedded.batch import MOST_PEERS, Batch, send_many
from relay.engines.embedded.burst import Burst
from relay.engines.embedded.outlet import CATCH_UP_BYTES_PER_S, CHUNK_BYTES, Outlet
from relay.engines.embedded.rhythm import Rhythm
from relay.engines.embedded.rtp import Packet
from relay.engines.embedded.timeline import Timeline

HOLD_S = 0.005  # longer than the kit's pacer takes for a small picture, and nothing that a viewer notices
PACE_BYTES_PER_S = CATCH_UP_BYTES_PER_S  # 20 Mb/s
CREDIT_BYTES = 32 * 1024  # a few pictures, and half of what a home router buffers
SLICE_PACKETS = 400  # about a millisecond
DRAIN_S = 0.08
MANY = 25  # viewers; fewer cost so little that each picture and each word goes as early as it can
RIDE_S = 0.01  # half of the time between two packets of voice: one or the other is always that near
EACH_LAYOUT_FOR = 4  # viewers, or laying out places for those who leave together costs what their system calls do
LATE_S = 0.003  # what is due comes so much later, by the network's jitter


class _Round:
    """A burst on its way: who has not got it yet, the next one last. ``speaks``: there is voice in it. ``together``:
    how many viewers get it in one system call."""

    __slots__ = ("burst", "left", "octets", "packets", "speaks", "together")

    def __init__(self, burst: Burst, viewers: Iterable[Outlet], *, speaks: bool) -> None:
        along = burst.voice
        self.burst = burst
        self.left = list(viewers)[::-1]
        self.speaks = speaks
        self.together = max(1, min(MOST_PEERS, len(self.left) // EACH_LAYOUT_FOR))
        self.packets = len(burst.packets) + (len(along.packets) if along is not None else 0)
        self.octets = burst.octets + (along.octets if along is not None else 0)


class FanOut:
    """The live viewers of one channel."""

    def __init__(self, pictures: Timeline, voice: Timeline) -> None:
        self.live: dict[Outlet, None] = {}  # their pictures, in the order of joining
        self.voices: dict[Outlet, None] = {}
        self.frontier = 0  # the first packet of the picture that is in no burst yet
        self._timeline = pictures
        self._complete = 0  # packets before this one need not wait for others
        self._complete_at_s = 0.0
        self._waiting_bytes = 0
        self._waiting_since_s = 0.0
        self._credit = float(CREDIT_BYTES)
        self._credited_at_s = 0.0
        self._voice: list[Packet] = []  # that waits for a picture
        self._voice_since_s = 0.0
        self._picture_rhythm = Rhythm(pictures.clock_rate)
        self._voice_rhythm = Rhythm(voice.clock_rate)
        self._rounds: deque[_Round] = deque()
        self._batch = Batch(send_many())

    def put(self, packet: Packet, now_s: float) -> bool:
        """A packet that the picture's timeline has taken. ``False``: it is late; whoever has passed its place is to be
        sent it now."""
        if packet.sequence < self.frontier:
            return False
        if packet.sequence == self.frontier:
            self._waiting_since_s = now_s
        self._waiting_bytes += len(packet.payload)
        if packet.marker and packet.sequence >= self._complete:
            self._complete, self._complete_at_s = packet.sequence + 1, now_s
            self._picture_rhythm.saw(packet.timestamp, now_s)
        return True

    def put_voice(self, packet: Packet, now_s: float) -> None:
        """A packet that the voice's timeline has taken."""
        self._voice_rhythm.saw(packet.timestamp, now_s)
        if not self._voice:
            self._voice_since_s = now_s
        self._voice.append(packet)

    def owes(self, outlet: Outlet) -> bool:
        """Whether this viewer has not got a burst yet that is on its way."""
        return any(outlet in round_.left for round_ in self._rounds)

    @property
    def waiting(self) -> bool:
        """Whether there is anything that is not sent yet."""
        return bool(self._rounds or self._voice) or self._coming

    @property
    def _coming(self) -> bool:
        return self._timeline.highest >= self.frontier

    def ready(self, now_s: float) -> bool:
        """Whether ``work`` would send something now."""
        return bool(self._rounds) or self._voice_goes(now_s) or self._picture_goes(now_s)

    def _picture_goes(self, now_s: float) -> bool:
        if not self._coming:
            return False
        full = self._complete > self.frontier or self._waiting_bytes >= CHUNK_BYTES
        if not full and now_s - self._waiting_since_s < HOLD_S:
            return False
        return not self._waits_for_voice(now_s) and self._refill(now_s) > 0

    def _waits_for_voice(self, now_s: float) -> bool:
        if self._voice or len(self.live) < MANY:
            return False
        return _is_near(self._voice_rhythm, self._complete_at_s, now_s)

    def _voice_goes(self, now_s: float) -> bool:
        """By itself."""
        if not self._voice or any(round_.speaks for round_ in self._rounds):  # words keep their order
            return False
        if len(self.live) < MANY or now_s - self._voice_since_s >= RIDE_S:
            return True
        return not self._coming and not _is_near(self._picture_rhythm, self._voice_since_s, now_s)

    def work(self, now_s: float) -> tuple[int, int]:
        """One slice; how many packets and payload bytes left."""
        packets = octets = 0
        while packets < SLICE_PACKETS and self.ready(now_s):
            if not self._rounds and self._picture_goes(now_s):
                self._begin_picture(now_s)
            elif self._voice_goes(now_s):
                self._rounds.appendleft(_Round(self._take_voice(now_s), self.voices, speaks=True))
            if not self._rounds:
                continue
            round_ = self._rounds[0]
            burst, left, batch, together = round_.burst, round_.left, self._batch, round_.together
            while left and packets < SLICE_PACKETS:
                left.pop().send(burst, batch if together > 1 else None)
                if batch.peers >= together:
                    batch.send()
                packets += round_.packets
                octets += round_.octets
            batch.send()
            if not left:
                self._rounds.popleft()
        return packets, octets

    def _begin_picture(self, now_s: float) -> None:
        """With the voice that waits; to whom gets no picture, that goes by itself."""
        pictures = self._take_pictures()
        if not pictures:  # only holes were left
            return
        voice = self._take_voice(now_s) if self._voice else None
        if voice is not None:
            riding = {outlet.voice for outlet in self.live}
            self._rounds.append(_Round(voice, [out for out in self.voices if out not in riding], speaks=True))
        self._rounds.append(_Round(Burst(pictures, now_s, voice), self.live, speaks=voice is not None))
        self._waiting_since_s = now_s

    def _take_voice(self, now_s: float) -> Burst:
        waiting, self._voice = self._voice, []
        return Burst(sorted(waiting, key=lambda packet: packet.sequence), now_s)

    def _take_pictures(self) -> list[Packet]:
        """What of the picture leaves together."""
        timeline = self._timeline
        number = max(self.frontier, timeline.highest + 1 - timeline.size)
        end = self._complete if self._complete > number else timeline.highest + 1
        packets: list[Packet] = []
        taken = 0
        while number < end and taken < CHUNK_BYTES:
            packet = timeline.get(number)
            number += 1
            if packet is not None:
                packets.append(packet)
                taken += len(packet.payload)
        self.frontier = number
        self._waiting_bytes = self._waiting_bytes - taken if number <= timeline.highest else 0
        self._credit -= taken
        return packets

    def _refill(self, now_s: float) -> float:
        elapsed_s, self._credited_at_s = now_s - self._credited_at_s, now_s
        rate = max(PACE_BYTES_PER_S, self._waiting_bytes / DRAIN_S)
        self._credit = min(CREDIT_BYTES, self._credit + elapsed_s * rate)
        return self._credit


def _is_near(other: Rhythm, since_s: float, now_s: float) -> bool:
    """Whether it is worth waiting for the other stream's next piece, for what has waited since then."""
    return other.due_s <= since_s + RIDE_S and now_s < other.due_s + LATE_S
