"""How long a silent session is believed. Pure timing; ``session.py`` probes and tells what it heard.

aiortc notices a silent peer after 34 s; a class should not sit before a still picture that long. Not here: what counts
as a sign of life (an authenticated STUN answer, a decrypted RTCP packet).
"""

from __future__ import annotations

from dataclasses import dataclass

#: Silence after which a session is dead: bad mobile links are silent for three seconds, a fourth is the truth.
LIVENESS_S = 4.0
#: Between probes: cheap (100 bytes), enough of them fit in ``LIVENESS_S``, and a queue that grows is seen before it is
#: full: 64 kB before a link that carries 1 Mb/s less than is sent take half a second.
PROBE_EVERY_S = 0.1
#: Silence that is believed once there is another reason for doubt, such as the control channel's end.
SUSPECT_S = 1.0


@dataclass(slots=True)
class Liveness:
    """A session's signs of life, in seconds on any one monotonic clock."""

    heard_s: float
    liveness_s: float = LIVENESS_S
    suspect_s: float = SUSPECT_S
    _suspected_s: float | None = None

    def heard(self, now_s: float) -> None:
        """A sign of life; it ends any doubt."""
        self.heard_s = now_s
        self._suspected_s = None

    def suspect(self, now_s: float) -> None:
        """There is reason for doubt: from now on, silence is believed sooner."""
        if self._suspected_s is None:
            self._suspected_s = now_s

    @property
    def suspected(self) -> bool:
        """Whether there is doubt; probe faster then."""
        return self._suspected_s is not None

    @property
    def dies_s(self) -> float:
        """When the session is dead, if nothing is heard before."""
        regular_s = self.heard_s + self.liveness_s
        return regular_s if self._suspected_s is None else min(regular_s, self._suspected_s + self.suspect_s)
