"""Which packets are sent again. Pure; ``session.py`` asks for each that aiortc is about to repeat.

A receiver that does not know of a queue asks again and again while the first answer still waits in it; each further
answer would only make that queue longer, and it is the voice that waits in it too. So nothing is repeated twice within
a round trip.
"""

from __future__ import annotations

from appliance.stream.timestamps import rtp_header, rtp_payload

#: Repeats are remembered for as many packets; a receiver gives one up long before.
REMEMBERED = 1024
#: Of a round trip: an answer and the next request may have crossed.
PATIENCE = 0.9


class Repeats:
    """The repeats of one session."""

    def __init__(self) -> None:
        self._sent_s: dict[tuple[int, int], float] = {}

    def allows(self, packet: bytes, *, rtx: bool, now_s: float, round_trip_s: float) -> bool:
        """Whether this repeat is to leave; it is then remembered. ``rtx``: the number is in the payload (RFC 4588)."""
        sequence, _, ssrc = rtp_header(packet)
        number = int.from_bytes(rtp_payload(packet)[:2], "big") if rtx else sequence
        before_s = self._sent_s.pop((ssrc, number), None)
        allowed = before_s is None or now_s - before_s >= round_trip_s * PATIENCE
        self._sent_s[ssrc, number] = now_s if allowed or before_s is None else before_s
        if len(self._sent_s) > REMEMBERED:
            del self._sent_s[next(iter(self._sent_s))]
        return allowed
