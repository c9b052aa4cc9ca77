"""How much of the picture one viewer's line bears: all of it, key frames only, or none. The voice is never asked about.

Without a decoder there are three pictures to send: **full**; **slow**, the board as a still about every two seconds,
each spread over the time that the line needs for it; and **voice**, no picture. The evidence is the viewer's own:
REMB, its browser's estimate of the line, which falls within a fraction of a second when a queue grows; round trips
that grow; the share of packets that it asks for again, or reports as lost; and the loss of its voice. Scattered loss
is the radio's and is mended by sending again: only loss beyond mending counts.

Down at once. Up in steps that each have to prove themselves: each key frame that leaves without new evidence triples
the pace, but not beyond where the line failed before, until it has been calm for a while; the while doubles with each
failure. When the pace would carry the full picture, the full picture is sent.

Pure; times in seconds on the caller's clock. Not here: who sends what when (``sparing.py``).
"""

from __future__ import annotations

from collections import deque

from relay.engines.base import Picture, PictureChoice

# REMB. It rises by itself, and falls only when packets queue: to 0.85 of what arrives.
FALL = 0.97  # of the last one: less is a fall
FAR_BELOW, BELOW = 0.5, 0.8  # of what the picture needs: enough alone; enough twice, or together with loss
HINT_S = 2.0
FIRST_BELOW = 0.4  # likewise, of the first one, before which there is none to fall from

NEED_WINDOW_S = 2.0
LOSS_WINDOW_S = 2.0
LOST = 0.3  # share of the packets, beyond which sending again does not mend it
LOST_SOME = 0.08
FEWEST = 60  # packets, to speak of a share
SETTLE_S = 3.0  # a viewer that starts is sent a whole group of pictures at once, which small routers may not hold
# Round trips: what they grow by stands in a queue, in which the voice stands, too.
QUEUE_S = {"full": 0.4, "slow": 0.25}
EMPTY_S = 0.12
FARTHEST_S = 0.8  # by satellite; what is more than that was a queue from the first
FLOOR_DRIFT = 0.002  # per second: a way that has become longer is no queue for ever

VOICE_LOST = 0.1  # share of the voice that makes the picture step back

CALM_S = (4.0, 60.0)  # before the line is tried beyond where it failed: at first, and at most
PROVEN_S = 30.0  # of the full picture: then the next failure is a first one
DRAIN_S = (1.3, 3.0)  # after a step down: let the queue that told of it run empty; at least, and at most
FALLING_S = 0.7  # after a step down REMB goes on falling; later it falls because less is sent
STRAIN_EVERY_S = 0.4  # after it has run empty: evidence of the same queue is one evidence
LITTLE_BACK_OFF, BACK_OFF, MOST_BACK_OFF = 0.85, 0.7, 0.5
PACE_STEP = 3.0
HEADROOM = 1.2  # of what the full picture needs, before it is sent
SLOWEST_S = 8.0  # a key frame that takes longer is no board any more
FIRST_PACE_BPS = 200_000  # where nothing is known: the least that is called broadband by nobody
LEAST_PACE_BPS = 16_000


class Need:
    """What the full picture takes, from how much of it came within the last group of pictures or so."""

    def __init__(self) -> None:
        self._came: deque[tuple[float, int]] = deque()

    def bps(self, now_s: float, octets: int) -> float:
        """Bits per second, when ``octets`` came so far."""
        came = self._came
        came.append((now_s, octets))
        while now_s - came[0][0] > NEED_WINDOW_S:
            came.popleft()
        began_s, before = came[0]
        return 8 * (octets - before) / (now_s - began_s) if now_s > began_s else 0.0


class Adaptation:
    """One viewer's picture. ``picture`` is what to send now, ``pace_bps`` how fast a slow one may leave."""

    def __init__(self, now_s: float) -> None:
        self.chosen: PictureChoice = "auto"
        self.picture: Picture = "full"
        self.pace_bps = float(FIRST_PACE_BPS)
        self.hold_until_s = float("-inf")
        self._since_s = now_s  # this picture is sent
        self._settled_at_s = now_s + SETTLE_S
        self._strained_at_s = float("-inf")
        self._calm_s = CALM_S[0]
        self._ceiling_bps: float | None = None  # where the line failed
        self._need_bps = 0.0
        self._key_octets = 0
        self._remb_bps = 0.0
        self._hinted_at_s = float("-inf")
        self._floor_s = float("inf")
        self._floor_at_s = now_s
        self._queues = 0  # in a row
        self._window: deque[tuple[float, int, int]] = deque()  # when, packets sent so far, packets missed so far
        self._missed = 0

    # -- the viewer's choice

    def choose(self, chosen: PictureChoice, now_s: float) -> None:
        """The viewer's own wish. ``slow`` is at most that; ``full`` is full whatever it costs."""
        self.chosen = chosen
        if chosen == "auto":
            self._become("slow" if now_s - self._strained_at_s < self._calm_s else "full", now_s)
        else:
            self._become(chosen, now_s)

    def _become(self, picture: Picture, now_s: float) -> None:
        if picture != self.picture:
            self.picture, self._since_s = picture, now_s
            self._window.clear()
            self._queues = 0
            if picture == "full":
                self._settled_at_s = now_s + SETTLE_S

    # -- what the stream needs

    def on_tick(self, now_s: float, sent: int, need_bps: float, key_octets: int) -> None:
        """A few times a second: packets of picture ``sent`` so far, what the full picture takes now, and the size of
        its newest key frame."""
        self._need_bps, self._key_octets = need_bps, key_octets
        window = self._window
        window.append((now_s, sent, self._missed))
        while now_s - window[0][0] > LOSS_WINDOW_S:
            window.popleft()
        if self._lost_share() > LOST and (self.picture == "slow" or now_s > self._settled_at_s):
            self._strain(now_s)
        if self.picture == "voice" and self.chosen == "auto" and now_s - self._quiet_since_s() > 2 * self._calm_s:
            self.pace_bps = self._pace_for(SLOWEST_S / 2)
            self._become("slow", now_s)
        if self.picture == "full" and now_s - self._quiet_since_s() > PROVEN_S:
            self._calm_s, self._ceiling_bps = CALM_S[0], None

    def _quiet_since_s(self) -> float:
        return max(self._since_s, self._strained_at_s)

    def _lost_share(self) -> float:
        if not self._window:
            return 0.0
        _, sent, missed = self._window[0]
        packets = self._window[-1][1] - sent
        return (self._missed - missed) / packets if packets >= FEWEST else 0.0

    def _pace_for(self, seconds: float) -> float:
        """The pace at which a key frame takes so long."""
        return max(LEAST_PACE_BPS, 8 * self._key_octets / seconds)

    # -- evidence

    def on_remb(self, bitrate_bps: float, now_s: float) -> None:
        """The browser's estimate."""
        before_bps = self._remb_bps or FIRST_BELOW * self._need_bps
        fell, self._remb_bps = bitrate_bps < FALL * before_bps, bitrate_bps
        if not fell or self._need_bps <= 0:
            return
        if self.picture == "slow":
            self._strain(now_s, bitrate_bps if now_s - self._since_s < FALLING_S else None)
        elif bitrate_bps < FAR_BELOW * self._need_bps:
            self._strain(now_s, bitrate_bps)
        elif bitrate_bps < BELOW * self._need_bps:
            hinted = now_s - self._hinted_at_s < HINT_S
            self._hinted_at_s = now_s
            if hinted or self._lost_share() > LOST_SOME:
                self._strain(now_s, bitrate_bps)

    def on_round_trip(self, round_trip_s: float, now_s: float) -> None:
        """One round trip, each measured by another report."""
        drifted_s = self._floor_s + FLOOR_DRIFT * (now_s - self._floor_at_s)
        self._floor_s, self._floor_at_s = min(round_trip_s, drifted_s), now_s
        queue_s = round_trip_s - min(self._floor_s, FARTHEST_S)
        if now_s < self.hold_until_s and queue_s > EMPTY_S:
            self.hold_until_s = min(self._strained_at_s + DRAIN_S[1], max(self.hold_until_s, now_s + queue_s))
        long = queue_s > QUEUE_S.get(self.picture, queue_s) and now_s > self._settled_at_s
        self._queues = self._queues + 1 if long else 0
        if self._queues > (self.picture == "full"):
            own = self.picture == "slow" and now_s - self._strained_at_s > DRAIN_S[1]  # no queue from before
            self._strain(now_s, self._borne_bps(queue_s) if own else None)

    def _borne_bps(self, queue_s: float) -> float | None:
        """What a line bears on which a key frame at the present pace leaves such a queue."""
        bits = 8 * self._key_octets
        return bits / (bits / self.pace_bps + queue_s) if bits else None

    def settle(self, now_s: float) -> None:
        """The viewer was silent and is back: what it tells now is of an outage, and of no narrow line."""
        self._window.clear()
        self._settled_at_s, self._queues = now_s + SETTLE_S, 0

    def on_missed(self, packets: int) -> None:
        """The viewer asks for so many packets of the picture for the first time, or reports them as lost for good."""
        self._missed += packets

    def on_voice_lost(self, share: float, now_s: float) -> None:
        """This share of the voice was lost since the last report."""
        if share > VOICE_LOST and self.picture == "slow":
            self._strain(now_s)

    def _strain(self, now_s: float, bears_bps: float | None = None) -> None:
        """The line does not bear what it is given; ``bears_bps``: what it seems to bear."""
        if self.chosen == "full" or self.picture == "voice":
            return
        if now_s < self.hold_until_s + STRAIN_EVERY_S:  # the same queue still
            if now_s - self._since_s < FALLING_S:
                self.pace_bps = max(LEAST_PACE_BPS, min(self.pace_bps, bears_bps or self.pace_bps))
                self._ceiling_bps = self.pace_bps / BACK_OFF
            return
        if self.picture == "full" or (self._ceiling_bps is not None and self.pace_bps > self._ceiling_bps):
            tried_late = self._ceiling_bps is not None
            self._calm_s = min(CALM_S[1], 2 * self._calm_s) if tried_late else CALM_S[0]
        self._strained_at_s = now_s
        if self.picture == "full":
            known_bps = BACK_OFF * (self._ceiling_bps or self._need_bps)
            guessed_bps = min(known_bps, self._need_bps * MOST_BACK_OFF * (1 - min(1.0, self._lost_share())))
            self.pace_bps = bears_bps or guessed_bps
            self._ceiling_bps = self.pace_bps / BACK_OFF
            self.hold_until_s = now_s + DRAIN_S[0]
            self._become("slow", now_s)
        else:
            bears_bps = bears_bps or BACK_OFF / LITTLE_BACK_OFF * self.pace_bps
            self._ceiling_bps = min(self.pace_bps, bears_bps / BACK_OFF)
            self.pace_bps = min(LITTLE_BACK_OFF * self.pace_bps, LITTLE_BACK_OFF * bears_bps)
            self.hold_until_s = now_s + DRAIN_S[0] / 3
        self.pace_bps = max(LEAST_PACE_BPS, self.pace_bps)
        if self._key_octets and self.pace_bps < self._pace_for(SLOWEST_S):
            self._become("voice", now_s)

    # -- up again

    def on_key_frame_sent(self, began_s: float, now_s: float) -> None:
        """A key frame has left, paced, since ``began_s``, and its evidence has had time to come: if there is none,
        the line bears more."""
        if self.picture != "slow" or self._strained_at_s >= began_s:
            return
        paced_bps, ceiling_bps = self.pace_bps, self._ceiling_bps
        calm = now_s - self._strained_at_s > self._calm_s
        self.pace_bps = min(PACE_STEP * paced_bps, max(FIRST_PACE_BPS, 2 * HEADROOM * self._need_bps))
        if ceiling_bps is not None and not calm:
            self.pace_bps = max(paced_bps, min(self.pace_bps, BACK_OFF * ceiling_bps))
        if self.chosen == "auto" and calm and paced_bps >= HEADROOM * self._need_bps:
            self._become("full", now_s)
