"""What was set on this kit, over its ``kit.toml``: by ``parta-kit enrol`` and by the boot file.

Precedence: these, then ``kit.toml``, then the defaults. They are kept in the kit's state, because a kit's root file
system may be read-only and the next image brings a new ``kit.toml``. Not here: who sets them (``commands/``).
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from appliance.durable import write_durably
from appliance.errors import StateUnusable
from appliance.settings import KitSettings, check, load_settings
from config.strict_toml import ConfigurationError, convert

OVERRIDES_FILE = "overrides.json"
#: ``[kit]`` says where these are kept, so they cannot say it themselves.
SECTIONS = ("relay", "camera", "microphone", "recording", "panel", "network", "setup", "update")

Overrides = Mapping[str, Mapping[str, Any]]


def load_effective(config: Path) -> KitSettings:
    """A ``kit.toml`` with this kit's overrides. Raises ``ConfigurationError``, ``StateUnusable``."""
    settings = load_settings(config)
    path = Path(settings.kit.state_dir) / OVERRIDES_FILE
    return merged(settings, read_overrides(path.parent), origin=str(path))


def merged(settings: KitSettings, overrides: Overrides, *, origin: str) -> KitSettings:
    """The settings with these over them. Raises ``ConfigurationError`` in the name of ``origin``."""
    for section in overrides:
        if section not in SECTIONS:
            raise ConfigurationError(f"{origin}: {section}: cannot be set here; known here: {', '.join(SECTIONS)}")
    base: dict[str, dict[str, Any]] = msgspec.to_builtins(settings)
    table = {section: _over(values, overrides.get(section, {})) for section, values in base.items()}
    effective = convert(table, KitSettings, origin=origin)
    check(effective, origin=origin)
    return effective


def _over(values: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One table over another; tables within them, such as a panel's pins, too."""
    table = dict(values)
    for key, value in above.items():
        below = table.get(key)
        table[key] = _over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return table


def read_overrides(state_dir: Path) -> dict[str, dict[str, Any]]:
    """What is set; nothing when nothing was. Raises ``StateUnusable``."""
    path = state_dir / OVERRIDES_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Any]], strict=True)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StateUnusable(f"{path}: cannot be read ({error.strerror}); check its owner and kit.state_dir") from error
    except msgspec.DecodeError as error:
        raise StateUnusable(f"{path}: damaged ({error}); delete it and set this kit up again") from error


def set_overrides(state_dir: Path, changes: Overrides, *, instead_of: Overrides | None = None) -> None:
    """Set these keys, ``instead_of`` others that fall back to ``kit.toml``, and leave the rest.

    A power cut leaves old or new. Raises ``StateUnusable``.
    """
    path = state_dir / OVERRIDES_FILE
    table = read_overrides(state_dir)
    for section, values in (instead_of or {}).items():
        table[section] = {key: value for key, value in table.get(section, {}).items() if key not in values}
    for section, values in changes.items():
        table[section] = {**table.get(section, {}), **values}
    try:
        write_durably(path, json.dumps(table, ensure_ascii=False, indent=2).encode())
    except OSError as error:
        raise StateUnusable(f"{path}: cannot be written ({error.strerror}); check kit.state_dir") from error


def give_to_owner(state_dir: Path) -> None:
    """Give what root wrote to the kit's user, or the kit could not read it. Raises ``StateUnusable``."""
    if os.geteuid() != 0:
        return
    try:
        owner = state_dir.stat()
        for path in state_dir.iterdir():
            found = path.lstat()
            # One with a second name may be somebody else's file, linked here by the kit's user.
            if found.st_uid == 0 and stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    except OSError as error:
        raise StateUnusable(f"{state_dir}: cannot be given to the kit ({error.strerror})") from error
