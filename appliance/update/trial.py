"""A version on trial: what it has to show before it starts by itself, and the record of how that went.

The record outlives the restart from one slot to the other, so that the old version can tell why the new one was given
up. Pure, but for reading and writing it. Used by ``commands/update.py`` and ``commands/update_trial.py``.
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

Outcome = Literal["installed", "started", "good", "given_up"]

#: What a version leaves behind that hangs or crashes as it starts, or whose kit lost its power.
SILENT = "it did not come up far enough to say why, or the power was gone meanwhile"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """``slot``: where the new version is. ``camera``, ``relay``: whether the old one saw the one, reached the other."""

    slot: str
    version: str
    camera: bool = False
    relay: bool = False
    outcome: Outcome = "installed"
    why: str = ""


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


def after_restart(trial: Trial, running: str) -> Trial:
    """The record, when slot ``running`` has started: what became of a trial that is still open there."""
    if trial.outcome not in {"installed", "started"}:
        return trial
    if running == trial.slot:
        return msgspec.structs.replace(trial, outcome="started")
    return msgspec.structs.replace(trial, outcome="given_up", why=trial.why or SILENT)


def missing(trial: Trial, kit: KitState, *, camera: bool) -> str:
    """What the version still owes, in words, or "" when it has shown everything."""
    if not kit.ready:
        return f"parta-kit.service is not ready ({kit.active or 'not there'}, {kit.result or 'no result'})"
    if trial.relay and not kit.reaches_relay:
        return f"it does not reach the relay, which the version before did (it says: {kit.said or 'nothing'})"
    if trial.camera and not camera:
        return "it sees no camera, and the version before saw one"
    return ""
