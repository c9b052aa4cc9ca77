"""When to ask a publisher for a key frame: requests are merged, spaced, and repeated until one comes. Pure."""

from __future__ import annotations

SPACING_S = 0.5  # a key frame costs ten pictures' worth of bits: twice a second is the most
PATIENCE_S = 1.0  # the request, or the key frame's first packet, may be lost
MOST_REPEATS = 5  # a publisher that never answers (FFmpeg's muxer) is left alone after this many


class KeyFrameRequests:
    """One channel's wish for a key frame."""

    __slots__ = ("_asked_at_s", "_repeats", "wanted")

    def __init__(self) -> None:
        self.wanted = False
        self._asked_at_s = float("-inf")
        self._repeats = 0

    def want(self) -> None:
        """Somebody needs one."""
        if not self.wanted:
            self.wanted = True
            self._repeats = 0

    def came(self) -> None:
        """One starts to arrive."""
        self.wanted = False

    def due(self, now_s: float) -> bool:
        """Whether to ask now; counts as asked."""
        if not self.wanted or now_s - self._asked_at_s < (PATIENCE_S if self._repeats else SPACING_S):
            return False
        if self._repeats > MOST_REPEATS:
            self.wanted = False
            return False
        self._asked_at_s = now_s
        self._repeats += 1
        return True
