"""The emulation image's plan: the layers of a Pi's image, changed by what ``image-build/emulation.toml`` lists.

Reads the two, and runs nothing. Used by ``scripts/image.sh`` (through ``__main__.py``) and ``tests/image``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from scripts.image.layer import LAYERS, PHASES, Layer, LayerWrong, read_layer

DIFFERENCES = LAYERS.parent / "emulation.toml"


class Differences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``emulation.toml``: ``hook`` is relative to ``image-build/``; ``writes`` are the paths that it may touch."""

    layers: tuple[str, ...]
    architecture: str
    without: tuple[str, ...]
    packages: tuple[str, ...]
    preferences: str
    hook: str
    writes: tuple[str, ...]
    variables: dict[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What mmdebstrap is given: packages, and by phase the hooks in their order, with the environment that they see."""

    packages: tuple[str, ...]
    hooks: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, str]


def read_differences(path: Path = DIFFERENCES) -> Differences:
    """The list. Raises ``msgspec.ValidationError``."""
    return msgspec.toml.decode(path.read_bytes(), type=Differences)


def layers_of(differences: Differences, folder: Path = LAYERS) -> list[Layer]:
    """The layers that the emulation image is made of, in their order. Raises ``LayerWrong``."""
    return [read_layer(folder / f"{name}.yaml") for name in differences.layers]


def planned(layers: Sequence[Layer], differences: Differences) -> Plan:
    """The plan. Raises ``LayerWrong`` for a difference from something that is not there."""
    packages = list(dict.fromkeys(package for layer in layers for package in layer.packages))
    for package in differences.without:
        if package not in packages:
            raise LayerWrong(f"emulation.toml: without: no layer has {package}")
        packages.remove(package)
    for package in differences.packages:
        if package in packages:
            raise LayerWrong(f"emulation.toml: packages: {package} is in a layer already")
    variables = {name: value for layer in layers for name, value in layer.variables.items()}
    for name, value in differences.variables.items():
        if f"IGconf_{name}" not in variables:
            raise LayerWrong(f"emulation.toml: variables: no layer has {name}")
        variables[f"IGconf_{name}"] = value
    hooks = {phase: tuple(hook for layer in layers for hook in layer.hooks[phase]) for phase in PHASES}
    return Plan((*packages, *differences.packages), hooks, variables)


def touched_elsewhere(before: Sequence[str], after: Sequence[str], writes: Sequence[str]) -> list[str]:
    """Paths that a hook changed outside ``writes``. Each line is a path below the root, a tab, and its state."""
    changed = {line.partition("\t")[0] for line in {*before} ^ {*after}}
    parents = {parent for path in writes for parent in _above(path)}
    return sorted(path for path in changed if path not in parents and not any(_within(path, top) for top in writes))


def _above(path: str) -> list[str]:
    return [str(parent) for parent in Path(path).parents]


def _within(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")
