"""What a ``parta-relay`` command works with, and how its answer looks to people and to scripts. Used by ``commands.py``
and ``lesson_commands.py``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from relay.archive.files import FileStore
from relay.classroom.register import Register
from relay.store.database import Database
from relay.store.keeping import Keeping
from relay.store.office import Office
from relay.store.register import read_register
from relay.store.stills import StillFolder

Value = str | int | bool | None
Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Told:
    """A command's result. ``data`` is for ``--json``; ``text`` is for people."""

    data: Row | Sequence[Row]
    text: str


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command works with."""

    office: Office
    database: Database
    keeping: Keeping
    files: FileStore
    stills: StillFolder
    public_url: str

    async def register(self) -> Register:
        """Everything there is."""
        return await read_register(self.database)


Command = Callable[[Desk, Namespace], Awaitable[Told]]


def listed(rows: Sequence[Row], columns: Sequence[str], empty: str) -> Told:
    """Rows, as a table with these columns."""
    return Told(rows, _table(rows, columns) if rows else empty)


def _table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    lines = [[column.replace("_", " ").upper() for column in columns]]
    lines += [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cell(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def when(unix_ms: int) -> str:
    """A moment as people here tell it."""
    return datetime.fromtimestamp(unix_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
