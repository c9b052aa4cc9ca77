"""Which packets are sent again. Pure; ``session.py`` asks for each that aiortc is about to repeat.

A receiver that does not know of a queue asks again and again while the first answer still waits in it; each further
answer would only make that queue longer, and it is the voice that waits in it too. So nothing is repeated twice within
a round trip; and once a key frame is to follow, no packet of a picture before it is.
"""

from __future__ import annotations

from appliance.stream.timestamps import rtp_header, rtp_payload

#: Repeats are remembered for as many packets; a receiver gives one up long before.
REMEMBERED = 1024
#: Of a round trip: an answer and the next request may have crossed.
PATIENCE = 0.9
#: Nobody asks any more for what was lost so long ago, and 16-bit numbers last for three minutes.
FORGOTTEN_S = 10.0


class Repeats:
    """The repeats of one session."""

    def __init__(self) -> None:
        self._sent_s: dict[tuple[int, int], float] = {}
        self._gives_up = False
        self._begins: tuple[int, float] | None = None  # a packet's number, and when it left

    def give_up(self) -> None:
        """What was lost of the pictures so far is not mended: a key frame will come."""
        self._gives_up = True

    def key_frame(self, sequence: int, now_s: float) -> None:
        """A key frame begins with this packet. What was given up is before it."""
        if self._gives_up:
            self._gives_up, self._begins = False, (sequence, now_s)

    def allows(self, packet: bytes, *, picture: bool, rtx: bool, now_s: float, round_trip_s: float) -> bool:
        """Whether this repeat is to leave; it is then remembered. ``rtx``: the number is in the payload (RFC 4588)."""
        sequence, _, ssrc = rtp_header(packet)
        number = int.from_bytes(rtp_payload(packet)[:2], "big") if rtx else sequence
        if picture and self._given_up(number, now_s):
            return False
        before_s = self._sent_s.pop((ssrc, number), None)
        allowed = before_s is None or now_s - before_s >= round_trip_s * PATIENCE
        self._sent_s[ssrc, number] = now_s if allowed or before_s is None else before_s
        if len(self._sent_s) > REMEMBERED:
            del self._sent_s[next(iter(self._sent_s))]
        return allowed

    def _given_up(self, number: int, now_s: float) -> bool:
        if self._gives_up or self._begins is None:
            return self._gives_up
        first, left_s = self._begins
        if now_s - left_s >= FORGOTTEN_S:
            self._begins = None
            return False
        return (number - first) & 0xFFFF >= 0x8000
