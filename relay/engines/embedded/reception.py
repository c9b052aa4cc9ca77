"""What the relay receives from one source, as RFC 3550 counts it: loss, jitter, and the report block for it. Pure."""

from __future__ import annotations

from relay.engines.embedded.rtcp import ReportBlock, SenderReport


class Reception:
    """Statistics of one source."""

    __slots__ = ("_clock_rate", "_first", "_jitter", "_prior", "_sr", "_transit", "highest", "received", "ssrc")

    def __init__(self, ssrc: int, clock_rate: int, first: int) -> None:
        self.ssrc = ssrc
        self._clock_rate = clock_rate
        self._first = first
        self.highest = first
        self.received = 0
        self._prior = (0, 0)
        self._jitter = 0.0
        self._transit: float | None = None
        self._sr = (0, 0.0)

    def count(self, sequence: int, timestamp: int, now_s: float) -> None:
        """A packet came; ``sequence`` is extended."""
        self.received += 1
        if sequence <= self.highest and self.received > 1:
            return  # a late one says nothing about jitter
        self.highest = sequence
        transit = now_s * self._clock_rate - timestamp
        if self._transit is not None:
            step = abs(transit - self._transit)
            if step < 0x40000000:  # a wrap of the timestamp is not jitter
                self._jitter += (step - self._jitter) / 16
        self._transit = transit

    def heard(self, report: SenderReport, now_s: float) -> None:
        """A sender report came."""
        self._sr = (report.ntp >> 16 & 0xFFFFFFFF, now_s)

    def block(self, now_s: float) -> ReportBlock:
        """The report since the last one (RFC 3550 §6.4.1, A.3)."""
        expected = self.highest - self._first + 1
        due, got = expected - self._prior[0], self.received - self._prior[1]
        self._prior = (expected, self.received)
        lsr, heard_at_s = self._sr
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=max(0, (due - got) * 256 // due) & 0xFF if due > 0 else 0,
            lost=expected - self.received,
            highest=self.highest,
            jitter=int(self._jitter) & 0xFFFFFFFF,
            lsr=lsr,
            dlsr=int((now_s - heard_at_s) * 65536) & 0xFFFFFFFF if lsr else 0,
        )
