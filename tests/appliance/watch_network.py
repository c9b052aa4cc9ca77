"""``python -m tests.appliance.watch_network``: prints everybody on the local network as JSON, at each change.

Run by ``test_found_on_the_network.py`` on a host of its own, because a process has one network.
"""

from __future__ import annotations

import asyncio

from appliance.commands.discover import as_json
from appliance.discovery import Seen, look_around

FOR_S = 120.0  # longer than any test


def _print(seen: Seen) -> None:
    print(as_json(seen), flush=True)


if __name__ == "__main__":
    asyncio.run(look_around(FOR_S, _print))
