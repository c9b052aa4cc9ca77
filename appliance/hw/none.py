"""No panel at all: a kit that only the relay's commands and its own start drive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from appliance.hw.base import Edge, Face, NoBuzzer


class NoPanel:
    """``panel.kind = "none"``: no button is ever pressed, no lamp lit."""

    buzzer = NoBuzzer()

    @asynccontextmanager
    async def open(self, on_edge: Callable[[Edge], None]) -> AsyncIterator[NoPanel]:
        """Nothing to switch on."""
        yield self

    def show(self, face: Face) -> None:
        """Nothing to show it on."""
