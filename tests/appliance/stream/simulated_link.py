"""A link as arithmetic, in front of an ``Uplink``: a rate, a bounded queue, a delay, loss. No clock, no I/O."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.stream.path import Probe, Sample
from appliance.stream.uplink import Target, Uplink

STEP_S = 0.02
SAMPLE_STEPS = 5  # 0.1 s, and half of it while a queue is suspected
REPORT_STEPS = 50  # 1 s
PACKET_OCTETS = 1200


@dataclass
class SimulatedLink:
    """``carries(t)`` in bit/s. The encoder follows its target at once; a key frame's burst can be added."""

    uplink: Uplink
    carries: Callable[[float], float]
    queue_octets: int = 64_000
    path_s: float = 0.04
    loss: float = 0.0
    seed: int = 1
    uses: float = 1.0  # which part of its target the encoder uses
    targets: list[tuple[float, Target]] = field(default_factory=list)
    queues_s: list[tuple[float, float]] = field(default_factory=list)
    refused_octets: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._step = self._since_sample = self._reported_step = 0
        self._queue = self._sent = self._reported_sent = self._reported_lost = self._nacked = 0.0
        self._lost = 0.0
        self._flying: list[Probe] = []

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self._advance()

    @property
    def now_s(self) -> float:
        return self._step * STEP_S

    def _advance(self) -> None:
        limits, target = self.uplink._limits, self.uplink.target
        pictures_bps = 0.0 if target.hold else target.bitrate_bps * self.uses
        octets = limits.wire_bps(pictures_bps) * STEP_S / 8
        capacity = self.carries(self.now_s)
        room = self.queue_octets + capacity * STEP_S / 8 - self._queue
        refused = max(0.0, octets - room)
        air = sum(self._random.random() < self.loss for _ in range(round(octets / PACKET_OCTETS * 10))) / 10
        self._queue = max(0.0, self._queue + octets - refused - capacity * STEP_S / 8)
        self._sent += octets
        self._lost += refused + air * PACKET_OCTETS
        self.refused_octets += refused
        self.queues_s.append((self.now_s, self._queue * 8 / capacity))
        self._step += 1
        self._since_sample += 1
        if self._since_sample >= SAMPLE_STEPS // (2 if self.uplink.suspects else 1):
            self._since_sample = 0
            self._sample(capacity)

    def _sample(self, capacity: float) -> None:
        now_s = self.now_s
        answered = [probe for probe in self._flying if probe.back_s <= now_s]
        newest_s = max((probe.sent_s for probe in answered), default=-1.0)
        self._flying = [probe for probe in self._flying if probe.sent_s > newest_s]  # a lost one is known by a newer
        lost = None
        if self._step - self._reported_step >= REPORT_STEPS:
            self._reported_step = self._step
            sent, gone = self._sent - self._reported_sent, self._lost - self._reported_lost
            self._reported_sent, self._reported_lost = self._sent, self._lost
            lost = min(1.0, gone / sent) if sent else 0.0
        sample = Sample(
            now_s=now_s,
            wire_octets=int(self._sent),
            packets=int(self._sent / PACKET_OCTETS),
            nacked=int(self._lost / PACKET_OCTETS),
            answered=answered,
            waiting_s=now_s - self._flying[0].sent_s if self._flying else 0.0,
            lost=lost,
        )
        self.targets.append((now_s, self.uplink.observe(sample)))
        lost_probe = self._random.random() < 2 * self.loss  # on its way, or its answer
        took_s = math.inf if lost_probe else self.path_s + self._queue * 8 / capacity
        self._flying.append(Probe(sent_s=now_s, took_s=took_s, octets=int(self._sent)))
