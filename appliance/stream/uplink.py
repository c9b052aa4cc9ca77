"""What the network carries, as a target for the encoder: additive increase, multiplicative decrease, voice first.

Pure: samples in, a target out, no clock and no I/O. A queue that stands in the network is the early signal; loss
without one counts only where it is heavy, because wireless links lose 2 % at any rate. How much a full link carries is
what comes through while its queue grows. Frame rate falls before the board becomes illegible:
sharpness matters more than motion here.

Used by ``session.py``, which samples and paces; the encoder hears of the target through ``publisher.py``.
Not here: what the samples tell (``path.py``), what is dropped when even this is too much (``queues.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.settings import CameraSection, MicrophoneSection
from appliance.stream.path import QUEUE_LOW_S, Path, Sample

#: A queue of this much that does not go away by itself is ours.
QUEUE_HIGH_S = 0.08
#: Loss without a queue: up to the first it is the medium's, above the second the link refuses what is too much.
LOSS_CALM, LOSS_HEAVY = 0.05, 0.10
#: Receiver reports still speak of the time before for as long: a second, its smoothing and a round trip.
LOSS_STALE_S = 2.0
#: The first for so long, or more for shorter, after the rate has risen: a short buffer refuses what is too much.
REFUSED_S = 2.0
#: Of what the link was found to carry: leaves room for the next key frame.
DECREASE = 0.85
LEAST_STEP = 0.4  # never below this part at once, so that one stalled second does not cost the board
#: While the queue empties, of what the link carries: the voice waits in it too.
DRAIN = 0.5
#: Where that much less is carried, or the queue is that long, no picture leaves until it is empty, and then a key frame
#: does: an encoder takes a second to obey, the queue overflows before, and to repeat what it lost takes longer.
DEEP = 0.6
DEEP_S = 0.2
#: A queue that did not shrink within this and its own length was not understood; sooner where nothing makes it longer.
SHRINKS_S, SHRINKS_DEEP_S = 1.0, 0.3
SHRUNK = 0.8
FRUITLESS = 3  # so many decreases that did not shorten the delay: it is not our queue
#: The increase: back to where the trouble was, a look around there, then faster and faster (the cube, as in RFC 9438).
PLATEAU_S = 1.0
RISE_PER_S3 = 0.07  # of the whole range
#: An encoder that does not use what it has proves nothing about more: not beyond this times what is sent, or this
#: times the fastest that came without a queue. After trouble a key frame leaves faster than the rate, and proves more.
UNPROVEN = 1.5
PROVEN = 2.0
#: A camera that cannot follow is believed to send so many times the most, at most.
BEYOND = 2.5
#: After trouble, pictures leave no faster than this times the rate, so that voice does not queue behind a key frame.
PACE = 1.25
PACED_S = 30.0

WIRE_OVERHEAD_OCTETS = 44  # of an RTP packet: SRTP's tag 16, UDP 8, IPv4 20
RTP_OCTETS = 20  # the header, with the extensions that aiortc adds
_VOICE_PACKETS_PER_S = 50
_PICTURE_OVERHEAD = 1.06  # 64 octets on each 1,200
#: Fewer bits for each picture than this times its pixels, and chalk is not legible (20 kbit at 720p).
LEGIBLE_BITS_PER_PIXEL = 0.022
SLOWER_FPS = (15, 10, 5)
FASTER_FROM = 1.3  # times the legible rate, before the frame rate rises again
FASTER_AFTER_S = 1.5  # a look around above what the link carries is over by then


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the settings leave open: the picture's rate, its full frame rate and size; and what voice takes first."""

    min_bps: int
    max_bps: int
    fps: int
    pixels: int
    voice_bps: int

    @property
    def voice_wire_bps(self) -> int:
        """Voice as the network counts it: at 20 ms a packet, half of it is headers."""
        return self.voice_bps + _VOICE_PACKETS_PER_S * (WIRE_OVERHEAD_OCTETS + RTP_OCTETS) * 8

    def wire_bps(self, picture_bps: float) -> float:
        """Picture at this rate, and voice, on the wire."""
        return picture_bps * _PICTURE_OVERHEAD + self.voice_wire_bps

    def picture_bps(self, wire_bps: float) -> int:
        """What voice leaves for the picture; never outside the settings."""
        left = (wire_bps - self.voice_wire_bps) / _PICTURE_OVERHEAD
        return int(min(max(left, self.min_bps), self.max_bps))

    def legible_fps(self, picture_bps: float) -> int:
        """The highest frame rate at which each picture gets the bits that it needs."""
        rates = [self.fps, *(fps for fps in SLOWER_FPS if fps < self.fps)]
        affordable = picture_bps / (self.pixels * LEGIBLE_BITS_PER_PIXEL)
        return next((fps for fps in rates if fps <= affordable), rates[-1])


def limits_of(camera: CameraSection, microphone: MicrophoneSection) -> Limits:
    """What the settings let the picture take."""
    return Limits(
        min_bps=camera.bitrate_min_kbps * 1000,
        max_bps=camera.bitrate_kbps * 1000,
        fps=camera.fps,
        pixels=camera.width * camera.height,
        voice_bps=microphone.bitrate_bps,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the encoder is to make. ``pace_bps``: how fast pictures may leave; ``None``: as they come. ``hold``: none
    may leave now, so that the network's queue becomes empty; the first one after that is a key frame."""

    bitrate_bps: int
    fps: int
    pace_bps: int | None
    hold: bool = False


@dataclass(slots=True)
class _Drain:
    """A queue that empties: since when it was last seen to shrink, and from what at most. ``grew``: what left before
    ``since_s`` made it longer, and still arrives."""

    since_s: float
    queue_s: float
    grew: bool = False
    fruitless: int = 0
    deep: bool = False


class Uplink:
    """A lesson's way up. It begins with the most that the settings allow, and outlives sessions."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._least, self._most = limits.wire_bps(limits.min_bps), limits.wire_bps(limits.max_bps)
        self._rate = self._ceiling = self._most
        self._path = Path()
        self._now_s: float | None = None
        self._trouble_s: float | None = None
        self._drain: _Drain | None = None
        self._rising_s = 0.0  # how long the increase has run
        self._losing_s = 0.0  # how long as much was lost as is the medium's at most; twice as much counts twice
        self._fps, self._enough_s = limits.fps, 0.0

    @property
    def target(self) -> Target:
        """What the encoder is to make now."""
        hold = self._drain is not None and self._drain.deep
        rate = self._rate if self._drain is None else self._ceiling * DRAIN
        pace = int(PACE * (self._rate - self._limits.voice_wire_bps)) if self._troubled_within(PACED_S) else None
        return Target(bitrate_bps=self._limits.picture_bps(rate), fps=self._fps, pace_bps=pace, hold=hold)

    @property
    def suspects(self) -> bool:
        """Whether a queue may be growing: look again soon."""
        return self._path.newest_queue_s > QUEUE_LOW_S

    def begin(self) -> None:
        """A new session: another path perhaps, and counts from zero. What the link carried stays known."""
        self._path = Path()
        self._now_s = self._drain = None
        self._rising_s = self._losing_s = 0.0

    def observe(self, sample: Sample) -> Target:
        """Take a sample; what to aim at from now on."""
        elapsed_s = 0.0 if self._now_s is None else max(0.0, sample.now_s - self._now_s)
        self._now_s = sample.now_s
        self._path.learn(sample)
        lost = self._lost()
        self._losing_s = self._losing_s + elapsed_s * lost / LOSS_CALM if lost >= LOSS_CALM else 0.0
        if self._drain is not None:
            self._empty(self._drain, sample.now_s)
        elif (carried := self._carried()) is not None:
            self._decrease(carried, _Drain(sample.now_s, self._path.queue_s, grew=True))
        elif self._calm():
            self._increase(elapsed_s)
        self._choose_fps(elapsed_s)
        return self.target

    def _troubled_within(self, seconds: float) -> bool:
        return self._trouble_s is not None and self._now_s is not None and self._now_s - self._trouble_s < seconds

    def _sent_bps(self) -> float:
        return min(self._path.sent_bps or self._rate, self._most * BEYOND)

    def _carried(self) -> float | None:
        """What the link carries (bit/s) when that is less than what is sent; ``None`` while there is no trouble."""
        path = self._path
        stale = self._troubled_within(LOSS_STALE_S)
        if path.queue_s > QUEUE_HIGH_S or path.blocked:
            refused = 0.0 if stale else self._lost()
            return min(path.carried_bps or self._sent_bps(), self._sent_bps() * (1 - refused))
        refuses_rise = self._losing_s >= REFUSED_S and self._rising_s > 0
        if not stale and (path.loss > LOSS_HEAVY or refuses_rise):
            return self._sent_bps() * (1 - self._lost())
        return None

    def _decrease(self, carried: float, drain: _Drain) -> None:
        self._ceiling = max(self._least, min(self._rate, max(carried, self._rate * LEAST_STEP)))
        drain.deep = drain.grew and (self._ceiling < self._rate * DEEP or self._path.newest_queue_s > DEEP_S)
        self._rate = max(self._least, self._ceiling * DECREASE)
        self._trouble_s, self._drain, self._rising_s = self._now_s, drain, 0.0
        self._path.forget_proofs()

    def _empty(self, drain: _Drain, now_s: float) -> None:
        """Wait until the queue is gone; where it does not shrink, the link carries still less, or it is not ours."""
        queue_s = self._path.queue_s
        drain.queue_s = max(drain.queue_s, queue_s)
        if drain.grew:
            drain.deep = drain.deep or self._path.newest_queue_s > DEEP_S
            if self._path.seen_until_s <= drain.since_s:
                self._lower_ceiling(self._path.carried_bps)
        if queue_s < QUEUE_LOW_S and not self._path.blocked:
            self._drain, self._trouble_s = None, now_s
            self._path.forget_losses()
        elif queue_s < drain.queue_s * SHRUNK:
            # What is known of a queue is as old as it is long: when one is first seen to shrink, it is nearly gone.
            self._drain = _Drain(now_s, queue_s)
        elif now_s - drain.since_s >= (SHRINKS_DEEP_S if drain.deep else SHRINKS_S) + drain.queue_s:
            lossless = self._lost() < LOSS_HEAVY and not self._path.blocked
            if drain.fruitless + 1 >= FRUITLESS and lossless:
                self._path.settle_for_this_delay()
                self._drain = None
            else:
                self._decrease(self._sent_bps(), _Drain(now_s, queue_s, fruitless=drain.fruitless + 1))

    def _lower_ceiling(self, carried: float) -> None:
        """What was sent before the decrease still arrives, and shows better and better how much too much it was."""
        ceiling = max(self._least, self._most * LEAST_STEP * LEAST_STEP, carried)
        if ceiling < self._ceiling:
            self._ceiling, self._rate = ceiling, max(self._least, ceiling * DECREASE)

    def _calm(self) -> bool:
        path = self._path
        return not self.suspects and not path.blocked and self._lost() < LOSS_CALM

    def _lost(self) -> float:
        return max(self._path.loss, self._path.nacked)

    def _increase(self, elapsed_s: float) -> None:
        if self._rate >= self._most:
            return
        grown = self._grown(self._rising_s + elapsed_s)
        if grown > max(self._rate, UNPROVEN * self._sent_bps(), PROVEN * self._path.proven_bps):
            return
        self._rising_s += elapsed_s
        self._rate = min(self._most, max(self._rate, grown))

    def _grown(self, rising_s: float) -> float:
        beyond_s = rising_s - PLATEAU_S
        if beyond_s < 0:
            return self._ceiling * (1 + (1 - DECREASE) * (beyond_s / PLATEAU_S) ** 3)
        return self._ceiling + (self._most - self._least) * RISE_PER_S3 * beyond_s**3

    def _choose_fps(self, elapsed_s: float) -> None:
        """Down at once; up when there is enough for a while, with something to spare or all that there can be."""
        picture_bps = self._limits.picture_bps(self._rate)
        spared_bps = picture_bps if self._rate >= self._most else picture_bps / FASTER_FROM
        slower, faster = self._limits.legible_fps(picture_bps), self._limits.legible_fps(spared_bps)
        self._enough_s = self._enough_s + elapsed_s if faster > self._fps else 0.0
        if slower < self._fps:
            self._fps = slower
        elif self._enough_s >= FASTER_AFTER_S:
            self._fps, self._enough_s = faster, 0.0
