"""Notices, in a transaction that writes, whether the register changes, and counts that in the database.

The register is read whole whenever it changed (``register.py``), and lessons write many rows a second that are none of
it. Used by ``database.py`` for every session that writes. Rows of the register are changed as objects, never in bulk.
"""

from __future__ import annotations

from itertools import chain

from sqlalchemy import update
from sqlalchemy.orm import Session

from relay.store.models import ClassRow, KitRow, LessonRow, RelayRow, RoomRow, SchoolRow, StreamKeyRow

_IN_REGISTER = (SchoolRow, ClassRow, RoomRow, KitRow, StreamKeyRow)


def count_register_changes(session: Session, _context: object, _instances: object) -> None:
    """SQLAlchemy's ``before_flush``."""
    if any(_is_in_register(row) for row in chain(session.new, session.dirty, session.deleted)):
        session.execute(update(RelayRow).values(register_revision=RelayRow.register_revision + 1))


def _is_in_register(row: object) -> bool:
    ended_by_hand = isinstance(row, LessonRow) and row.end_reason == "hand"
    return ended_by_hand or isinstance(row, _IN_REGISTER)
