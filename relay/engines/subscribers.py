"""Who is told of an engine's changes: functions that take a channel's name, each until it is unsubscribed.

Used by every engine (``embedded/engine.py``, ``workers/pool.py``). Not here: when to tell.
"""

from __future__ import annotations

from collections.abc import Callable

Changed = Callable[[str], None]


class Subscribers:
    """See the module."""

    def __init__(self) -> None:
        self._told: list[Changed] = []

    def add(self, changed: Changed) -> Callable[[], None]:
        """Tell this one from now on. Returns the unsubscriber, which may be called twice."""
        self._told.append(changed)

        def unsubscribe() -> None:
            if changed in self._told:
                self._told.remove(changed)

        return unsubscribe

    def tell(self, channel: str) -> None:
        """Something changed on this channel. Whoever is told may unsubscribe meanwhile."""
        for changed in list(self._told):
            changed(channel)
