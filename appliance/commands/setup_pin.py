"""``parta-kit setup-pin``: a new PIN for the kit's setup page."""

from __future__ import annotations

from pathlib import Path

from appliance.overrides import give_to_owner
from appliance.settings import KitSettings
from appliance.setup.pin import new_pin, set_pin, spoken


def setup_pin(settings: KitSettings) -> int:
    """Set it, and show it. Raises ``StateUnusable``."""
    state_dir, pin = Path(settings.kit.state_dir), new_pin()
    set_pin(state_dir, pin)
    give_to_owner(state_dir)
    print(f"The PIN of the setup page is now {spoken(pin)}")
    return 0
