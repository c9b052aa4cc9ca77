"""A version on trial: what it has to show before it starts by itself, and the record of how that went.

The record outlives the restart from one slot to the other, so that the old version can tell why the new one was given
up. A trial that left no reason was cut off, as by the mains: that says nothing about the version, so what brings it may
try it again, but not for ever. Pure, but for reading and writing the record. Used by ``commands/update*.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from appliance.durable import write_durably
from appliance.errors import UpdateUnavailable
from appliance.update.kit_state import KitState

#: Kept by both slots (``parta-slots.conf``); root's alone.
FOLDER = Path("/var/lib/parta-update")
RECORD = "trial.json"

Outcome = Literal["installed", "started", "good", "cut_off", "given_up"]

#: What a version leaves behind that hangs or crashes as it starts, or whose kit lost its power.
SILENT = "it did not come up far enough to say why, or the power was gone meanwhile"
#: After so many trials that were cut off, a version is given up. One cut is the mains; three in a row may be a version
#: that crashes the kit, which cannot be told from the mains; a kit with a stick in it would try it at each start.
CUTS = 3
TOO_OFTEN = f"each of its {CUTS} trials was cut off: the power was gone each time, or this version brings the kit down"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """``slot``: where the new version is. ``camera``, ``relay``: whether the old one saw the one, reached the other.

    ``cuts``: how many trials of this version were cut off, one after the other.
    """

    slot: str
    version: str
    camera: bool = False
    relay: bool = False
    outcome: Outcome = "installed"
    why: str = ""
    cuts: int = 0


def read_trial(folder: Path = FOLDER) -> Trial | None:
    """The last trial, or ``None`` when there was none. Raises ``UpdateUnavailable`` for a record that is spoilt."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Trial)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise UpdateUnavailable(f"{folder / RECORD} cannot be read: {error}; remove it") from error


def write_trial(trial: Trial, folder: Path = FOLDER) -> None:
    """Keep it. Raises ``OSError``."""
    write_durably(folder / RECORD, msgspec.json.encode(trial))


def is_given_up(version: str, last: Trial | None) -> bool:
    """Whether the last trial ended so: nobody tries that version again without being told to."""
    return last is not None and last.outcome == "given_up" and last.version == version


def cuts_so_far(version: str, last: Trial | None) -> int:
    """What a new trial of a version has to count from. One that was given up begins anew: a person wants it."""
    return last.cuts if last is not None and last.outcome == "cut_off" and last.version == version else 0


def after_restart(trial: Trial, running: str) -> Trial:
    """The record, when slot ``running`` has started: what became of a trial that is still open there."""
    if trial.outcome not in {"installed", "started"}:
        return trial
    if running == trial.slot:
        return msgspec.structs.replace(trial, outcome="started")
    if trial.why:
        return msgspec.structs.replace(trial, outcome="given_up")
    cuts = trial.cuts + 1
    if cuts < CUTS:
        return msgspec.structs.replace(trial, outcome="cut_off", why=SILENT, cuts=cuts)
    return msgspec.structs.replace(trial, outcome="given_up", why=TOO_OFTEN, cuts=cuts)


def missing(trial: Trial, kit: KitState, *, camera: bool) -> str:
    """What the version still owes, in words, or "" when it has shown everything."""
    if not kit.ready:
        return f"parta-kit.service is not ready ({kit.active or 'not there'}, {kit.result or 'no result'})"
    if trial.relay and not kit.reaches_relay:
        return f"it does not reach the relay, which the version before did (it says: {kit.said or 'nothing'})"
    if trial.camera and not camera:
        return "it sees no camera, and the version before saw one"
    return ""
