"""The settings that the setup page changes: checked, kept in the kit's overrides, and in force. Not here: effects."""

from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.overrides import Overrides, merged, set_overrides
from appliance.settings import KitSettings

ORIGIN = "setup page"


class KeptSettings:
    """This kit's settings now."""

    def __init__(self, settings: KitSettings) -> None:
        self.now = settings

    @property
    def state_dir(self) -> Path:
        """Where the kit keeps its state."""
        return Path(self.now.kit.state_dir)

    def with_these(self, changes: Overrides) -> KitSettings:
        """What the settings would be. Raises ``ConfigurationError``."""
        return merged(self.now, changes, origin=ORIGIN)

    async def change(self, changes: Overrides) -> None:
        """Keep these. Raises ``ConfigurationError``, ``StateUnusable``."""
        changed = self.with_these(changes)
        await asyncio.to_thread(set_overrides, self.state_dir, changes)
        self.now = changed
