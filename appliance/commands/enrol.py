"""``parta-kit enrol CODE``: makes this kit known to a relay, at once and by hand.

A kit that finds a code in its settings does the same by itself (``kit.py``). Not here: the request
(``stream/enrol.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import msgspec

from appliance.identity import Credentials
from appliance.kit import enrol_now
from appliance.overrides import give_to_owner, merged, set_overrides
from appliance.settings import KitSettings


def enrol(settings: KitSettings, options: argparse.Namespace) -> int:
    """Enrol, and keep the relay's address if another one was given. Raises ``KitError``."""
    state_dir = Path(settings.kit.state_dir)
    overrides = {} if options.relay is None else {"relay": {"url": options.relay}}
    effective = merged(settings, overrides, origin="--relay")
    found = asyncio.run(enrol_now(effective.relay, options.code, state_dir))
    if options.relay is not None:
        set_overrides(state_dir, overrides)
    give_to_owner(state_dir)
    print(as_json(found) if options.json else as_text(found))
    return 0


def as_json(found: Credentials) -> str:
    """For scripts. The class's link is not for their logs."""
    told = {
        key: value for key, value in msgspec.structs.asdict(found).items() if key not in {"class_path", "code_digest"}
    }
    return json.dumps(told, ensure_ascii=False)


def as_text(found: Credentials) -> str:
    """For a person."""
    return (
        f"Enrolled at {found.relay_url}: {found.school}, room {found.room}; it teaches {found.class_name}.\n"
        "A kit that runs already has to be started again: systemctl restart parta-kit"
    )
