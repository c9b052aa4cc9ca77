"""How often something may be tried: token buckets, pure (the caller says what time it is).

Used against guessing enrol codes: only failures are counted, so that fifty kits behind one school router enrol at once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

MAX_ADDRESSES = 4096  # what is remembered of strangers is bounded; the global bucket holds when this overflows


@dataclass(slots=True)
class TokenBucket:
    """At most ``capacity`` at once, refilled at ``per_s``."""

    capacity: float
    per_s: float
    level: float = field(init=False)
    _as_of_s: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.level = self.capacity

    def wait_s(self, now_s: float) -> float:
        """How long until one may be taken; 0 when it may be now."""
        self._refill(now_s)
        return max(0.0, (1 - self.level) / self.per_s)

    def take(self, now_s: float) -> None:
        """Take one, whether there is one or not: the debt is waited for."""
        self._refill(now_s)
        self.level = max(self.level - 1, -self.capacity)

    def _refill(self, now_s: float) -> None:
        passed_s = 0.0 if self._as_of_s is None else max(0.0, now_s - self._as_of_s)
        self.level = min(self.capacity, self.level + passed_s * self.per_s)
        self._as_of_s = now_s


class GuessLimit:
    """Failed tries, per address and in all."""

    def __init__(self, per_address: tuple[float, float] = (10, 1 / 6), in_all: tuple[float, float] = (100, 2)) -> None:
        """``(capacity, per_s)`` of the buckets."""
        self._per_address = per_address
        self._all = TokenBucket(*in_all)
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long this address has to wait before it may try; 0: not at all."""
        bucket = self._buckets.get(address)
        own_s = 0.0 if bucket is None else bucket.wait_s(now_s)
        return max(own_s, self._all.wait_s(now_s))

    def failed(self, address: str, now_s: float) -> None:
        """Count a failure."""
        bucket = self._buckets.setdefault(address, TokenBucket(*self._per_address))
        self._buckets.move_to_end(address)
        bucket.take(now_s)
        self._all.take(now_s)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
