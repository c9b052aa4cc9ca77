"""Who wants to be woken when something changes: the pupils' event streams of each class, and each kit's connection.

A follower is a plain function that sets a flag; it must not block. Who uses it: ``registry.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

Wake = Callable[[], None]


class Followers:
    """See the module."""

    def __init__(self) -> None:
        self._of_class: defaultdict[str, set[Wake]] = defaultdict(set)
        self._of_kit: dict[str, Wake] = {}

    def follow_class(self, class_id: str, wake: Wake) -> Callable[[], None]:
        """Any number may follow a class; returns the end of it."""
        followers = self._of_class[class_id]
        followers.add(wake)

        def leave() -> None:
            followers.discard(wake)
            if not followers and self._of_class.get(class_id) is followers:
                del self._of_class[class_id]

        return leave

    def follow_kit(self, kit_id: str, wake: Wake) -> Callable[[], None]:
        """A kit has one follower: the newest. Returns the end of it."""
        self._of_kit[kit_id] = wake

        def leave() -> None:
            if self._of_kit.get(kit_id) is wake:
                del self._of_kit[kit_id]

        return leave

    def classes(self) -> list[str]:
        """The classes that somebody follows."""
        return list(self._of_class)

    def follows_class(self, class_id: str) -> bool:
        """Whether anybody follows this class."""
        return class_id in self._of_class

    def wake_class(self, class_id: str) -> None:
        """Wake the followers of a class."""
        for wake in list(self._of_class.get(class_id, ())):
            wake()

    def wake_kits(self, kit_ids: Iterable[str] | None = None) -> None:
        """Wake the followers of these kits, or of all."""
        for kit_id in list(self._of_kit) if kit_ids is None else kit_ids:
            if (wake := self._of_kit.get(kit_id)) is not None:
                wake()
