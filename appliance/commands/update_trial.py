"""``parta-kit update trial``: at each start, lets a new version prove itself, or has the kit restart without it.

Run by ``parta-update-trial.service`` from early on, whatever else hangs. A version that is not marked good is not
started again by the firmware. Not here: what a good one is (``update/trial.py``).
"""

from __future__ import annotations

import sys
import time

import msgspec

from appliance.errors import UpdateUnavailable
from appliance.settings import KitSettings
from appliance.update import engine
from appliance.update.kit_state import LOOK_EVERY_S, camera_is_seen, read_kit_state
from appliance.update.tools import run
from appliance.update.trial import Trial, after_restart, missing, read_trial, write_trial

#: The firmware's side, which answers before D-Bus does (parta-slots.d).
SLOTS = "/usr/lib/parta/slots"
ANSWER_S = 30.0
OK = 0


def update_trial(settings: KitSettings, within_s: float) -> int:
    """Judge this start. Raises ``UpdateUnavailable`` when the slots cannot be told apart."""
    running = _slots("get-current")
    on_trial = _slots("get-state", running) != "good"
    trial = _open_record(running)
    if not on_trial:
        return OK
    trial = trial or Trial(slot=running, version=engine.running_version(), outcome="started")
    why = _prove(settings, trial, within_s)
    write_trial(msgspec.structs.replace(trial, outcome="started" if why else "good", why=why))
    if not why:
        print(f"{trial.version} is good, and starts by itself from now on")
        return OK
    print(f"{trial.version} is given up, and the kit goes back: {why}", file=sys.stderr, flush=True)
    engine.restart()
    return OK


def _open_record(running: str) -> Trial | None:
    """The record as this start leaves it; a spoilt one is no reason to give up a version."""
    try:
        before = read_trial()
    except UpdateUnavailable as error:
        print(error, file=sys.stderr)
        return None
    if before is None:
        return None
    now = after_restart(before, running)
    if now != before:
        write_trial(now)
    if now.outcome != before.outcome and now.outcome in {"cut_off", "given_up"}:
        ended = now.outcome.replace("_", " ")
        print(f"the update to {now.version} was {ended}: {now.why}", file=sys.stderr)
    return now if now.slot == running and now.outcome == "started" else None


def _prove(settings: KitSettings, trial: Trial, within_s: float) -> str:
    """Wait until nothing is missing, and mark it good; what was missing in the end, or ""."""
    ends_s = time.monotonic() + within_s
    camera = not trial.camera
    while True:
        kit = read_kit_state()
        camera = camera or (kit.ready and camera_is_seen(settings.camera))
        why = missing(trial, kit, camera=camera)
        if not why:
            try:
                engine.mark_good()
            except UpdateUnavailable as error:
                why = str(error)
            else:
                return ""
        if kit.gave_up:
            return f"parta-kit.service does not start ({kit.result})"
        if time.monotonic() >= ends_s:
            return f"within {within_s:.0f} s {why}"
        time.sleep(LOOK_EVERY_S)


def _slots(*words: str) -> str:
    done = run([SLOTS, *words], ANSWER_S)
    if done.code != 0:
        raise UpdateUnavailable(done.complained or f"{SLOTS} {' '.join(words)} ended with {done.code}")
    return done.said
