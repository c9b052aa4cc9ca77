"""What samples of a session tell of the path to the relay: its queue, what it carries, what was sent, what was lost.

Pure: no clock, no I/O. A link that is too narrow delays before it loses, so the queue that stands in the network is the
early sign; it is the round trip beyond the shortest one. Used by ``uplink.py``, which draws the conclusions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

#: What is sent is averaged over this: a few pictures at the lowest frame rate, nine probes.
SENT_OVER_S = 0.9
#: The shortest round trip of this long is the path itself; a new path (Wi-Fi to LTE) is believed after as long.
BASE_S = 30.0
_BASE_PARTS = 3
_PROMPT_KEPT = 8
#: A rate is proved by this much of it, which came without a queue; and this long ago, it proves nothing.
PROOF_S, PROVES_S = 0.25, 3.0
#: A queue that is shorter is none.
QUEUE_LOW_S = 0.03
#: So long nothing comes through in the air at times, and no queue is to blame.
SILENT_S = 0.3
#: So many measurements in a row show a queue that stands: a key frame's burst, or a stalled machine, is gone before.
STANDING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A round trip that was measured: when it began, how long it took, and how many octets had left the wire before."""

    sent_s: float
    took_s: float
    octets: int

    @property
    def back_s(self) -> float:
        """When its answer came."""
        return self.sent_s + self.took_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The link at ``now_s``, several times a second. ``wire_octets``, ``packets`` and ``nacked`` count from the start.

    ``answered``: probes that came back since the sample before. ``waiting_s``: for how long the oldest one is out that
    no newer one has overtaken. ``lost``: a new receiver report's fraction, else ``None``. ``blocked``: the socket
    takes nothing.
    """

    now_s: float
    wire_octets: int
    packets: int
    nacked: int
    answered: Sequence[Probe] = ()
    waiting_s: float = 0.0
    lost: float | None = None
    blocked: bool = False


class Path:
    """The path of one session, as its samples show it."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()
        self._probes: deque[Probe] = deque(maxlen=3)
        self._prompt: deque[Probe] = deque(maxlen=_PROMPT_KEPT)  # without one between them that met a queue
        self._proofs: deque[tuple[float, float]] = deque()  # when, and which rate
        self._delays: deque[float] = deque(maxlen=STANDING)
        self._bases: deque[tuple[float, float]] = deque(maxlen=_BASE_PARTS + 1)  # from when, shortest since
        #: The fraction lost, by receiver reports, over the last two or three of them.
        self.loss = 0.0

    def learn(self, sample: Sample) -> None:
        """Take a sample, at rising ``now_s``."""
        self._samples.append(sample)
        while len(self._samples) > 2 and sample.now_s - self._samples[1].now_s >= SENT_OVER_S:
            self._samples.popleft()
        for probe in sample.answered:
            self._probes.append(probe)
            self._learn_base(probe.back_s, probe.took_s)
            self._learn_proof(probe)
        newest_s = sample.answered[-1].took_s if sample.answered else 0.0
        if (seen_s := max(newest_s, sample.waiting_s)) > 0:
            self._delays.append(seen_s)
        if sample.lost is not None:
            self.loss += (sample.lost - self.loss) / 2

    def _learn_base(self, now_s: float, took_s: float) -> None:
        if self._bases and now_s - self._bases[-1][0] < BASE_S / _BASE_PARTS:
            since_s, shortest_s = self._bases[-1]
            self._bases[-1] = since_s, min(shortest_s, took_s)
        else:
            self._bases.append((now_s, took_s))

    def _learn_proof(self, probe: Probe) -> None:
        """What was sent between two probes has passed without a queue if neither they nor one between them met any."""
        if self._beyond_shortest_s(probe.took_s) > QUEUE_LOW_S:
            self._prompt.clear()
            return
        before = next((one for one in reversed(self._prompt) if probe.sent_s - one.sent_s >= PROOF_S), None)
        self._prompt.append(probe)
        if before is not None:
            proved_bps = 8 * (probe.octets - before.octets) / (probe.sent_s - before.sent_s)
            while self._proofs and self._proofs[-1][1] <= proved_bps:
                self._proofs.pop()
            self._proofs.append((probe.sent_s, proved_bps))
        while self._proofs and probe.sent_s - self._proofs[0][0] > PROVES_S:
            self._proofs.popleft()

    def forget_proofs(self) -> None:
        """The link carries less than it did."""
        self._prompt.clear()
        self._proofs.clear()

    def settle_for_this_delay(self) -> None:
        """The delay is the path's own: from now on it is the shortest round trip there is."""
        if self._delays and self._bases:
            now_s = self._samples[-1].now_s
            self._bases.clear()
            self._bases.append((now_s, min(self._delays)))

    def forget_losses(self) -> None:
        """They were a full queue's, and that is gone."""
        self.loss = 0.0

    @property
    def queue_s(self) -> float:
        """How long a packet waits in a queue that stands in the network.

        In front of a narrow link answers go on coming, later and later. A radio that is silent for a moment owes all of
        them, and then gives them at once: where the newest one was prompt, only a long silence counts.
        """
        if len(self._delays) < STANDING:
            return 0.0
        standing_s = self._beyond_shortest_s(min(self._delays))
        was_prompt = not self._probes or self._beyond_shortest_s(self._probes[-1].took_s) <= QUEUE_LOW_S
        return 0.0 if was_prompt and standing_s < SILENT_S else standing_s

    @property
    def newest_queue_s(self) -> float:
        """By the newest measurement alone."""
        return self._beyond_shortest_s(self._delays[-1]) if self._delays else 0.0

    def _beyond_shortest_s(self, delay_s: float) -> float:
        return max(0.0, delay_s - min((shortest_s for _, shortest_s in self._bases), default=delay_s))

    @property
    def carried_bps(self) -> float:
        """What came through between the newest probes: as much as the link carries where their delay grew, else what
        was sent. A queue keeps the order: it is what left between them, in the time between their arrivals. 0 where
        it is not known."""
        if len(self._probes) < 2:
            return 0.0
        first, last = self._probes[0], self._probes[-1]
        took_s = max(last.sent_s - first.sent_s, last.back_s - first.back_s)
        return 8 * (last.octets - first.octets) / took_s if took_s > 0 else 0.0

    @property
    def proven_bps(self) -> float:
        """The highest rate that lately came without a queue."""
        return self._proofs[0][1] if self._proofs else 0.0

    @property
    def seen_until_s(self) -> float:
        """When the newest probe that came back had left: later than this nothing is known of the queue."""
        return self._probes[-1].sent_s if self._probes else 0.0

    @property
    def sent_bps(self) -> float:
        """What left lately, on the wire; 0 while there is only one sample."""
        first, last = self._samples[0], self._samples[-1]
        if last.now_s <= first.now_s:
            return 0.0
        return max(0.0, 8 * (last.wire_octets - first.wire_octets) / (last.now_s - first.now_s))

    @property
    def nacked(self) -> float:
        """Which part of what left lately was asked for again."""
        first, last = self._samples[0], self._samples[-1]
        return min(1.0, max(0, last.nacked - first.nacked) / max(1, last.packets - first.packets))

    @property
    def blocked(self) -> bool:
        """Whether the socket took nothing at the newest samples: the queue stands in this machine."""
        newest = list(self._samples)[-2:]
        return len(newest) == 2 and all(sample.blocked for sample in newest)
