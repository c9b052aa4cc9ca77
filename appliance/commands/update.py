"""``parta-kit update``: which version runs, whether there is a newer one, having it installed, and going back.

Words for a person; what they stand for is in ``appliance/update/``. Run as root, on a kit from an image with two slots.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import UpdateRefused, UpdateUnavailable
from appliance.settings import KitSettings
from appliance.update import engine
from appliance.update.kit_state import LOOK_EVERY_S, camera_is_seen, read_kit_state
from appliance.update.source import check_sum, copied, downloaded, is_newer, read_channel
from appliance.update.trial import CUTS, FOLDER, Trial, cuts_so_far, is_given_up, read_trial, write_trial

OK = 0
LESSON = "a lesson goes on, or somebody sets this kit up: nothing is changed meanwhile. Run this again afterwards"
ON_TRIAL = "the version that runs is still on trial: `parta-kit update status` tells when it is good, or was given up"


def update(settings: KitSettings, options: argparse.Namespace) -> int:
    """Do what ``options.what`` says. Raises ``UpdateUnavailable``, ``UpdateRefused``."""
    match options.what:
        case "check":
            return check(settings, options)
        case "install":
            return install(settings, options)
        case "rollback":
            return roll_back(settings, options)
        case _:
            return status(options)


def status(options: argparse.Namespace) -> int:
    """Tell what runs, what else is there, and how the last update went."""
    require_here()
    slots, trial = engine.read_slots(), read_trial()
    version = engine.running_version()
    if options.json:
        last = None if trial is None else {"version": trial.version, "outcome": trial.outcome, "why": trial.why}
        told = {"version": version, "slot": slots.running.name, "on_trial": slots.on_trial, "last_update": last}
        print(json.dumps({**told, "other": slots.other.version}, ensure_ascii=False))
    else:
        print(f"Version {version} runs, from slot {slots.running.name}" + (", on trial." if slots.on_trial else "."))
        print(f"The other slot has {slots.other.version or 'nothing that was installed by an update'}.")
        print(as_text(trial))
    return OK


def as_text(trial: Trial | None) -> str:
    """How the last update went, for a person."""
    if trial is None:
        return "No update was installed yet."
    match trial.outcome:
        case "installed":
            return f"{trial.version} is installed, and starts with the next restart."
        case "started":
            return f"{trial.version} has to show that it is good: service, camera, relay."
        case "good":
            return f"The last update, to {trial.version}, is good."
        case "cut_off":
            return (
                f"The last update, to {trial.version}, was cut off ({trial.cuts} of {CUTS} times): {trial.why}. "
                "The next night or stick that brings it tries it again."
            )
    return f"The last update, to {trial.version}, was given up, and the kit went back: {trial.why}."


def check(settings: KitSettings, options: argparse.Namespace) -> int:
    """Compare with the channel."""
    channel = read_channel(_channel_url(settings, options), settings.relay)
    here = engine.running_version()
    newer = is_newer(channel.version, here)
    if options.json:
        print(json.dumps({"version": here, "announced": channel.version, "newer": newer}))
    elif newer:
        print(f"{channel.version} is there; {here or 'no known version'} runs. Install it: parta-kit update install")
    else:
        print(f"{here} runs, and nothing newer is announced ({channel.version}).")
    return OK


def install(settings: KitSettings, options: argparse.Namespace) -> int:
    """Fetch, have it checked and written, and restart into it, on trial."""
    if options.if_newer and not (options.channel or settings.update.channel):
        print("No channel is set: nothing to look for.")
        return OK
    slots = _settled_slots()
    bundle = _bundle(settings, options)
    if bundle is None:
        return OK
    with _used_up(bundle):
        _require_rest()
        _install(settings, bundle, slots.other.name)
    return _restart(restart=options.restart)


def _settled_slots() -> engine.Slots:
    """Both slots, of a kit at rest whose version has proved itself. Raises ``UpdateUnavailable``, ``UpdateRefused``."""
    require_here()
    _require_rest()
    slots = engine.read_slots()
    if slots.on_trial:
        raise UpdateRefused(ON_TRIAL)
    return slots


def install_file(settings: KitSettings, file: Path) -> int:
    """Install a file, of a kit at rest that is not on trial, and restart into it. Raises ``UpdateRefused``."""
    bundle = copied(file, FOLDER)
    with _used_up(bundle):
        _await_rest()  # somebody began to teach while it was copied
        _install(settings, bundle, engine.read_slots().other.name)
    return _restart(restart=True)


@contextmanager
def _used_up(bundle: Path) -> Iterator[None]:
    """What was fetched or copied for this is gone before the restart: lessons need the room."""
    try:
        yield
    finally:
        bundle.unlink(missing_ok=True)


def _install(settings: KitSettings, bundle: Path, slot: str) -> None:
    relay, camera, last = read_kit_state().reaches_relay, camera_is_seen(settings.camera), read_trial()
    engine.install(bundle, _tell)
    version = engine.read_slots().other.version
    write_trial(Trial(slot=slot, version=version, camera=camera, relay=relay, cuts=cuts_so_far(version, last)))
    print(f"{version} is installed.")


def roll_back(settings: KitSettings, options: argparse.Namespace) -> int:
    """Go back to the version in the other slot, on trial like any other."""
    slots = _settled_slots()
    last = read_trial()
    came_from_there = last is not None and last.outcome == "good" and last.slot == slots.running.name
    if not (came_from_there if slots.other.whole is None else slots.other.whole):
        raise UpdateRefused("there is nothing to go back to: the other slot holds no whole version")
    version = slots.other.version or "the version before"
    trial = Trial(
        slot=slots.other.name,
        version=version,
        camera=camera_is_seen(settings.camera),
        relay=read_kit_state().reaches_relay,
        cuts=cuts_so_far(version, last),
    )
    engine.start_other_next()
    write_trial(trial)
    print(f"Going back to {trial.version}.")
    return _restart(restart=options.restart)


def _bundle(settings: KitSettings, options: argparse.Namespace) -> Path | None:
    """What is to be installed, here; ``None``: nothing, and that is well. Raises ``UpdateRefused``,
    ``UpdateUnavailable``."""
    source, sha256 = options.source, ""
    if source is None:
        channel = read_channel(_channel_url(settings, options), settings.relay)
        if told := why_not(channel.version, engine.running_version(), read_trial(), asked_for=not options.if_newer):
            if options.if_newer:
                print(told)
                return None
            raise UpdateRefused(told)
        source, sha256 = channel.url, channel.sha256
    if "://" not in source:
        return copied(Path(source), FOLDER)
    if not source.startswith("https://"):
        raise UpdateRefused(f"{source}: a new version comes over https://, or from a file")
    print(f"fetching {source}", file=sys.stderr, flush=True)
    bundle = downloaded(source, settings.relay, settings.update.download_kb_s, FOLDER, lambda: read_kit_state().in_use)
    if sha256:
        check_sum(bundle, sha256)
    return bundle


def why_not(announced: str, running: str, last: Trial | None, *, asked_for: bool) -> str:
    """Why what the channel announces is not installed, or "". ``asked_for``: by a person, once more if need be."""
    if not is_newer(announced, running):
        return f"nothing newer than {running} is announced ({announced})"
    if not asked_for and is_given_up(announced, last):
        return f"{announced} was given up before; to try it once more: parta-kit update install"
    return ""


def _restart(*, restart: bool) -> int:
    if not restart:
        print("It starts with the next restart: systemctl reboot")
        return OK
    _await_rest()  # somebody began to teach while it was written
    print("Restarting. `parta-kit update status` tells in some minutes how it went.", flush=True)
    engine.restart()
    return OK


def _channel_url(settings: KitSettings, options: argparse.Namespace) -> str:
    url = str(options.channel or settings.update.channel)
    if not url:
        raise UpdateUnavailable(
            "no channel is set: name one with --channel URL or update.channel, or install from a file"
        )
    return url


def require_here() -> None:
    """Raises ``UpdateUnavailable`` where there is no RAUC, or where nobody but root may use it."""
    engine.require_rauc()
    if os.geteuid() != 0:
        raise UpdateUnavailable("only root may update this kit: run it with sudo")


def _require_rest() -> None:
    if read_kit_state().in_use:
        raise UpdateRefused(LESSON)


def _await_rest() -> None:
    while read_kit_state().in_use:
        time.sleep(LOOK_EVERY_S)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
