"""``parta-kit discover``: every kit and relay that announces itself on the local network.

Progress goes to stderr, the answer to stdout, so that ``--json`` can be piped. Not here: how it looks
(``discovery.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict

from appliance.discovery import Seen, SeenKit, SeenRelay, look_around
from appliance.errors import NetworkUnavailable

HEADINGS = ("ROOM", "STATE", "ADDRESS", "VERSION", "KIT", "NAME")
STATES = {"new": "not enrolled", "ready": "ready", "lesson": "lesson", "fault": "fault"}


def discover(options: argparse.Namespace) -> int:
    """Look, and tell. Exit code 0, found or not; a script reads the list."""
    try:
        seen = asyncio.run(_look(options.seconds))
    except OSError as error:
        raise NetworkUnavailable(f"cannot look around: {error.strerror or error}") from error
    print(as_json(seen) if options.json else as_text(seen))
    return 0


async def _look(for_s: float) -> Seen:
    progress = Progress(for_s)
    try:
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(progress.tick(), name="progress")
            seen = await look_around(for_s, progress.found)
            ticking.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from group  # there is one thing that fails here: the looking
    finally:
        progress.end()
    return seen


class Progress:
    """One line on stderr that counts: redrawn on a terminal, said once elsewhere."""

    def __init__(self, for_s: float) -> None:
        self._left_s = math.ceil(for_s)
        self._seen = Seen()
        self._redraws = sys.stderr.isatty()

    async def tick(self) -> None:
        """Count the seconds down, until cancelled."""
        if not self._redraws:
            print("looking for kits and relays on the local network …", file=sys.stderr, flush=True)
        while True:
            self._draw()
            await asyncio.sleep(1)
            self._left_s = max(0, self._left_s - 1)

    def found(self, seen: Seen) -> None:
        """Somebody came or went."""
        self._seen = seen
        self._draw()

    def end(self) -> None:
        """Make room for the answer."""
        if self._redraws:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _draw(self) -> None:
        if self._redraws:
            kits, relays = len(self._seen.kits), len(self._seen.relays)
            text = f"looking around … {self._left_s} s left; kits: {kits}, relays: {relays}"
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def as_json(seen: Seen) -> str:
    """For scripts."""
    return json.dumps(
        {"kits": [asdict(kit) for kit in _kits(seen)], "relays": [asdict(relay) for relay in _relays(seen)]},
        ensure_ascii=False,
    )


def as_text(seen: Seen) -> str:
    """For a person: a table of kits, and the relays with what to do with them."""
    kits, relays = _kits(seen), _relays(seen)
    if not kits and not relays:
        return (
            "No kit and no relay has answered. Is this computer on the kits' network? Guest and pupils' Wi-Fi often "
            "keep devices apart."
        )
    parts = [table([HEADINGS, *(_row(kit) for kit in kits)])] if kits else ["No kit has answered."]
    if relays:
        parts.append("\n".join(["Relays here (announced by themselves: check that it is yours):", *offers(relays)]))
    return "\n\n".join(parts)


def offers(relays: Sequence[SeenRelay]) -> list[str]:
    """Each relay, as the command that enrols a kit there."""
    return [f"  {relay.url}  (parta-kit enrol CODE --relay {relay.url})" for relay in relays]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, aligned."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)) for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _row(kit: SeenKit) -> tuple[str, ...]:
    address = ", ".join(f"{address}:{kit.port}" if kit.port else address for address in kit.addresses)
    return kit.room or "–", STATES[kit.state], address, kit.version, kit.kit_id[:8] or "–", kit.name


def _width(text: str) -> int:
    """Cells on a terminal: a room may be called by an emoji, too."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _kits(seen: Seen) -> list[SeenKit]:
    return sorted(seen.kits.values(), key=lambda kit: (kit.room, kit.name))


def _relays(seen: Seen) -> list[SeenRelay]:
    return sorted(seen.relays.values(), key=lambda relay: relay.url)
