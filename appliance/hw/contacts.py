"""A button's contact, debounced: raw changes of its level and time in, edges out. Pure.

A level counts once it has stood for ``STANDS_S``: contacts bounce for some milliseconds, and a spark of static on a
metre of wire must not start a lesson. The edge is dated when the level began to stand. Used by ``gpio/panel.py``; its
timer may come late, and no press that was long enough is lost by that.
"""

from __future__ import annotations

from dataclasses import dataclass

STANDS_S = 0.010  # longer than a good button bounces (5 ms), far below the 30 ms that a press may take to be seen


@dataclass(frozen=True, slots=True)
class Contact:
    """One button. ``pressed`` is what was told last; ``since_s``: since when the opposite stands, if it does."""

    pressed: bool = False
    since_s: float | None = None

    @property
    def due_s(self) -> float | None:
        """When to call ``stood``, on the clock of the changes."""
        return None if self.since_s is None else self.since_s + STANDS_S


def changed(contact: Contact, pressed: bool, at_s: float) -> tuple[Contact, float | None]:
    """The level changed at ``at_s``. Returns as ``stood`` does: what stood until then may have been long enough."""
    contact, edge_s = stood(contact, at_s)
    if pressed == contact.pressed:
        return Contact(contact.pressed), edge_s
    return (contact if contact.since_s is not None else Contact(contact.pressed, at_s)), edge_s


def stood(contact: Contact, now_s: float) -> tuple[Contact, float | None]:
    """Time passes. If the new level has stood: the contact turned over, and the time of its edge; else no edge."""
    if contact.since_s is None or now_s < contact.since_s + STANDS_S:
        return contact, None
    return Contact(not contact.pressed), contact.since_s
