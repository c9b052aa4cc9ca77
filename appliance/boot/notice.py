"""What the kit has to tell a person, kept in its state: written before it runs, shown in ``/status``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from appliance.durable import remove_durably, write_durably
from appliance.errors import StateUnusable
from appliance.hw.base import Fault

NOTICE_FILE = "notice.json"


def read_notice(state_dir: Path) -> Fault | None:
    """The notice, if there is one. One that cannot be read is itself one."""
    path = state_dir / NOTICE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Fault)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        return Fault("notice_unreadable", f"{path}: cannot be read ({error}); delete it")


def write_notice(state_dir: Path, key: str, reason: str) -> None:
    """Keep it until ``clear_notice``. Raises ``StateUnusable``."""
    path = state_dir / NOTICE_FILE
    try:
        write_durably(path, msgspec.json.encode(Fault(key, reason)))
    except OSError as error:
        raise StateUnusable(f"{path}: cannot be written ({error.strerror}); check kit.state_dir") from error


def clear_notice(state_dir: Path) -> None:
    """There is nothing to tell any more. Raises ``StateUnusable``."""
    try:
        remove_durably(state_dir / NOTICE_FILE)
    except OSError as error:
        raise StateUnusable(f"{state_dir}: cannot be written ({error.strerror}); check kit.state_dir") from error
