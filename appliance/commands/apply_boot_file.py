"""``parta-kit apply-boot-file``: takes over what ``parta.toml`` on the card says. Run as root, before the kit starts.

Not here: what that means (``boot/apply.py``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.boot.apply import Card, apply_boot_file
from appliance.overrides import give_to_owner
from appliance.settings import KitSettings


def apply(settings: KitSettings, options: argparse.Namespace) -> int:
    """Apply. ``settings`` are those of ``kit.toml`` alone. Raises ``ConfigurationError``, ``StateUnusable``."""
    card = Card(options.file, options.root, Path(settings.kit.state_dir))
    try:
        applied = apply_boot_file(card, settings)
    finally:
        if card.state_dir.is_dir():
            give_to_owner(card.state_dir)
    print(f"{options.file}: {'applied' if applied else 'nothing new'}")
    return 0
