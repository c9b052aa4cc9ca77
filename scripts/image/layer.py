"""One layer of ``image-build/layer/``, in the form of Raspberry Pi's rpi-image-gen: its header and its body.

Reads files and runs nothing. The header's fields are those of rpi-image-gen's documentation (docs/layer/index.adoc,
docs/config/index.adoc of raspberrypi/rpi-image-gen), because its own ``metadata --lint`` is in no package registry;
what it does not know is refused here, too. Used by ``emulation.py`` and by ``tests/image``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

LAYERS = Path(__file__).resolve().parents[2] / "image-build" / "layer"

#: In the order of running, as mmdebstrap has them; what rpi-image-gen calls the same.
PHASES = ("setup", "extract", "essential", "customize", "cleanup")

_LAYER_FIELDS = {
    "Name", "Category", "Desc", "Description", "Version", "Requires", "Provides", "RequiresProvider", "AfterProvider",
    "Conflicts", "Type", "Generator", "Sets",
}  # fmt: skip
_VARIABLE_FIELDS = {"Desc", "Description", "Required", "Valid", "Set", "Triggers", "Conflicts", "Anchor"}
_SET = {"y", "n", "immediate", "lazy", "force", "skip"}
_VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}")
_FIELD = re.compile(r"X-Env-(?P<kind>Layer|Var)-(?P<name>[A-Za-z0-9_]+)(?:-(?P<what>[A-Za-z]+))?")


class LayerWrong(Exception):
    """A layer that rpi-image-gen would refuse; it says where and why."""


class _Mmdebstrap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    packages: tuple[str, ...] = ()
    setup_hooks: tuple[str, ...] = ()
    extract_hooks: tuple[str, ...] = ()
    essential_hooks: tuple[str, ...] = ()
    customize_hooks: tuple[str, ...] = ()
    cleanup_hooks: tuple[str, ...] = ()


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mmdebstrap: _Mmdebstrap = _Mmdebstrap()


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: ``variables`` are its own with their defaults, by the whole name that hooks see (``IGconf_…``)."""

    name: str
    requires: tuple[str, ...]
    packages: tuple[str, ...]
    hooks: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, str]


def read_layer(path: Path) -> Layer:
    """The layer. Raises ``LayerWrong``."""
    text = path.read_text(encoding="utf-8")
    try:
        body = msgspec.convert(yaml.safe_load(text) or {}, _Body)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise LayerWrong(f"{path.name}: {error}") from error
    fields = header(text, path.name)
    hooks = {phase: getattr(body.mmdebstrap, f"{phase}_hooks") for phase in PHASES}
    requires = tuple(filter(None, (name.strip() for name in fields.get("X-Env-Layer-Requires", "").split(","))))
    variables = _variables(fields, path)
    return Layer(fields["X-Env-Layer-Name"], requires, body.mmdebstrap.packages, hooks, variables)


def header(text: str, origin: str) -> dict[str, str]:
    """The fields between METABEGIN and METAEND, checked. Raises ``LayerWrong``."""
    found = re.search(r"^# METABEGIN\n(.*?)^# METAEND$", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise LayerWrong(f"{origin}: has no METABEGIN … METAEND")
    fields: dict[str, str] = {}
    last = ""
    for line in found[1].splitlines():
        if line == "#":
            continue
        if line.startswith("#  ") and last:
            fields[last] += "\n" + line[3:]
            continue
        last, colon, value = line.removeprefix("# ").partition(":")
        if not line.startswith("# ") or not colon:
            raise LayerWrong(f"{origin}: {line!r} is neither a field nor the rest of one")
        if last in fields:
            raise LayerWrong(f"{origin}: {last} is there twice")
        fields[last] = value.strip()
    for trouble in _troubles(fields):
        raise LayerWrong(f"{origin}: {trouble}")
    return fields


def _troubles(fields: Mapping[str, str]) -> list[str]:
    found = [f"{name} is missing" for name in ("X-Env-Layer-Name",) if not fields.get(name)]
    declared = {match["name"] for field in fields if (match := _FIELD.fullmatch(field)) and _declares(match)}
    for field, value in fields.items():
        match = _FIELD.fullmatch(field)
        if field in {"X-Env-VarPrefix", "X-Env-VarRequires", "X-Env-VarRequires-Valid"}:
            continue
        if match is None or (match["kind"] == "Layer" and (match["name"] not in _LAYER_FIELDS or match["what"])):
            found.append(f"{field}: no such field")
        elif match["kind"] == "Var" and match["what"]:
            if match["what"] not in _VARIABLE_FIELDS:
                found.append(f"{field}: no such field")
            elif match["name"] not in declared:
                found.append(f"{field}: there is no X-Env-Var-{match['name']}")
            elif match["what"] == "Set" and value not in _SET:
                found.append(f"{field}: {value!r} is none of {', '.join(sorted(_SET))}")
    if declared and not fields.get("X-Env-VarPrefix"):
        found.append("X-Env-VarPrefix is missing, and there are variables")
    if not _VERSION.fullmatch(fields.get("X-Env-Layer-Version", "0.0.0")):
        found.append("X-Env-Layer-Version: has to be three numbers, such as 1.0.0")
    return found


def _declares(match: re.Match[str]) -> bool:
    return match["kind"] == "Var" and not match["what"]


def _variables(fields: Mapping[str, str], path: Path) -> dict[str, str]:
    prefix = fields.get("X-Env-VarPrefix", "")
    return {
        f"IGconf_{prefix}_{match['name']}": value.replace("${DIRECTORY}", str(path.parent))
        for field, value in fields.items()
        if (match := _FIELD.fullmatch(field)) and _declares(match)
    }
