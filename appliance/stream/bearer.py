"""What a request to a relay or WHIP server carries in ``Authorization: Bearer``: the protocol, and the static one.

A leaf of ``stream``. ``identity.Authoriser`` is the kit's own; ``StaticBearer`` serves any other WHIP server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Bearer(Protocol):
    """Something that can authorise requests."""

    def authorise(self, method: str, path: str, lesson_id: str | None = None) -> str:
        """A token for this one request: called anew for each, because a kit's token is good once."""
        ...

    def learn_time(self, date: str) -> bool:
        """Called with the Date header of a 401. True if a token signed now would differ, and is worth a retry."""
        ...


@dataclass(frozen=True, slots=True)
class StaticBearer:
    """One opaque token for everything, such as another server's stream key."""

    token: str

    def authorise(self, method: str, path: str, lesson_id: str | None = None) -> str:
        return self.token

    def learn_time(self, date: str) -> bool:
        return False
