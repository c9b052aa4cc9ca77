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
#: What ``make image-emulated`` makes unless it is told otherwise.
USUAL = "amd64"


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one processor has of its own; ``emulation.toml`` says what each is. ``preferences`` is a file of ours."""

    family: str
    packages: tuple[str, ...]
    preferences: str
    wheels: str
    machine: tuple[str, ...]
    tools: tuple[str, ...]
    builds_lgpio: tuple[str, ...]
    variables: dict[str, str]


class _Shared(msgspec.Struct, frozen=True):
    layers: tuple[str, ...]
    without: tuple[str, ...]
    packages: tuple[str, ...]
    hook: str
    writes: tuple[str, ...]
    variables: dict[str, str]


class _Listed(_Shared, frozen=True, forbid_unknown_fields=True):
    architectures: dict[str, Architecture]


class Differences(_Shared, frozen=True):
    """``emulation.toml`` for one processor, its own packages and variables among all of them.

    ``hook`` is relative to ``image-build/``; ``writes`` are the paths that it may touch.
    """

    own: Architecture


@dataclass(frozen=True, slots=True)
class Plan:
    """What mmdebstrap is given: packages, and by phase the hooks in their order, with the environment that they see."""

    packages: tuple[str, ...]
    hooks: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, str]


def read_differences(architecture: str = USUAL, path: Path = DIFFERENCES) -> Differences:
    """The list. Raises ``msgspec.ValidationError``; ``LayerWrong`` for a processor that is not in it."""
    listed = msgspec.toml.decode(path.read_bytes(), type=_Listed)
    own = listed.architectures.get(architecture)
    if own is None:
        raise LayerWrong(f"{architecture} is no architecture of {path.name}; known: {' '.join(listed.architectures)}")
    return Differences(
        layers=listed.layers,
        without=listed.without,
        packages=(*listed.packages, *own.packages),
        hook=listed.hook,
        writes=listed.writes,
        variables={**listed.variables, **own.variables},
        own=own,
    )


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
