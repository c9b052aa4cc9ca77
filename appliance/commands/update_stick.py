"""``parta-kit update stick DEVICE``: an update for a kit that nobody can log in to, by putting a USB stick into it.

Run by ``parta-update-stick@.service`` when one is plugged in. Takes the newest bundle in the stick's top folder that is
signed, for this family of boards, newer than what runs, and was not given up before; waits for the end of a lesson. One
that was cut off is tried again, by the stick that is still in or put in again. Not here: installing (``update.py``).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from appliance.commands.update import OK, install_file, require_here
from appliance.errors import UpdateRefused, UpdateUnavailable
from appliance.settings import KitSettings
from appliance.update import engine
from appliance.update.kit_state import LOOK_EVERY_S, read_kit_state
from appliance.update.source import SUFFIX, is_newer
from appliance.update.tools import run
from appliance.update.trial import Trial, is_given_up, read_trial

#: The unit's own folder, in a mount namespace of its own: the stick is let go of when the unit ends.
MOUNTED = Path("/run/parta-update-stick")
MOUNT_S = 60.0


def update_from_stick(settings: KitSettings, device: Path) -> int:
    """Install from it what is to be installed. Raises ``UpdateUnavailable``, ``UpdateRefused``."""
    require_here()
    done = run(["mount", "-o", "ro,nosuid,nodev,noexec", str(device), str(MOUNTED)], MOUNT_S)
    if done.code != 0:
        raise UpdateUnavailable(f"{device} cannot be read: {done.complained}")
    bundle = newest(_genuine(MOUNTED), engine.running_version(), read_trial())
    if bundle is None:
        print(f"{device}: no update for this kit")
        return OK
    while read_kit_state().in_use or engine.read_slots().on_trial:
        time.sleep(LOOK_EVERY_S)
    return install_file(settings, bundle)


def newest(bundles: dict[Path, str], running: str, last: Trial | None) -> Path | None:
    """Of bundles and their versions, the one to install."""
    best = None
    for bundle, version in bundles.items():
        newer = is_newer(version, running if best is None else bundles[best])
        if newer and not is_given_up(version, last):
            best = bundle
    return best


def _genuine(folder: Path) -> dict[Path, str]:
    found, family = {}, engine.family()
    for bundle in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            compatible, version = engine.examine(bundle)
        except UpdateRefused as error:
            print(f"{bundle.name}: {error}", file=sys.stderr)
        else:
            if compatible == family:
                found[bundle] = version
    return found
