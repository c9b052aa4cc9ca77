"""What ``scripts/image.sh`` asks of Python: the plan as files that a shell reads, and what is told of a made image.

python -m scripts.image plan FOLDER ARCHITECTURE           packages, and one script for each of mmdebstrap's phases
python -m scripts.image same A B                           names what differs in two folders, and fails then
python -m scripts.image within BEFORE AFTER                refuses what the emulation's hook wrote elsewhere
python -m scripts.image bill ROOT FILE VERSION MADE_S      the bill of materials
python -m scripts.image channel BUNDLE VERSION URL FILE    what a kit's `parta-kit update check` reads
python -m scripts.image imager IMAGE.xz FAMILY URL FILE VERSION MADE_S    adds the image to Imager's repository file
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import msgspec

from scripts.image.bill import bill_of
from scripts.image.channel import channel_of
from scripts.image.emulation import (
    DIFFERENCES,
    USUAL,
    Architecture,
    layers_of,
    planned,
    read_differences,
    touched_elsewhere,
)
from scripts.image.imager import Made, entry_of, with_entry
from scripts.image.layer import LayerWrong
from scripts.image.same import differences


def write_plan(folder: Path, architecture: str = USUAL) -> None:
    """``packages``, ``kernel.pref``, ``target`` for the shell; for each phase an executable that takes the root."""
    differences = read_differences(architecture)
    plan = planned(layers_of(differences), differences)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "packages").write_text(",".join(plan.packages))
    (folder / "kernel.pref").write_bytes((DIFFERENCES.parents[1] / differences.own.preferences).read_bytes())
    (folder / "target").write_text(_target(differences.own))
    variables = [f"export {name}={shlex.quote(value)}" for name, value in plan.variables.items() if value]
    hooks = {**plan.hooks, "stand-ins": (f'{shlex.quote(str(DIFFERENCES.parent / differences.hook))} "$1"',)}
    (folder / "variables").write_text("\n".join([*variables, ""]))
    for phase, commands in hooks.items():
        script = folder / phase
        script.write_text("\n".join(["#!/bin/sh", "set -eu", f". {folder.resolve()}/variables", *commands, ""]))
        script.chmod(0o755)


def _target(own: Architecture) -> str:
    lines = (
        f"FAMILY={shlex.quote(own.family)}",
        f"WHEELS={shlex.quote(own.wheels)}",
        f"EMULATOR=({shlex.join(own.machine)})",
        f"EMULATOR_PACKAGES={shlex.quote(','.join(own.tools))}",
        f"BUILDS_LGPIO_WITH=({shlex.join(own.builds_lgpio)})",
    )
    return "\n".join([*lines, ""])


def check_within(before: Path, after: Path) -> None:
    """Fail, and name them, where paths outside the list were touched."""
    earlier, later = (path.read_text(encoding="utf-8").splitlines() for path in (before, after))
    if strays := touched_elsewhere(earlier, later, read_differences().writes):
        sys.exit(f"image: emulation.d/install wrote outside `writes` of emulation.toml: {', '.join(strays[:10])}")


def check_same(one: Path, other: Path) -> None:
    """Fail, and name everything, where the two are not one."""
    if lines := list(differences(one, other)):
        sys.exit("\n".join([f"image: {len(lines)} paths differ:", *lines]))


def write_bill(root: Path, file: Path, version: str, made_s: str) -> None:
    """The bill of a root."""
    file.write_text(bill_of(root, version, int(made_s)), encoding="utf-8")


def add_to_imager(packed: Path, family: str, url: str, file: Path, version: str, made_s: str) -> None:
    """The image's entry, in a file that may name others."""
    repository = with_entry(file, entry_of(Made(packed, family, version, int(made_s)), url))
    file.write_bytes(msgspec.json.format(msgspec.json.encode(repository), indent=2) + b"\n")


def main(words: list[str]) -> None:
    """Do it."""
    try:
        match words:
            case ["plan", folder, architecture]:
                write_plan(Path(folder), architecture)
            case ["within", before, after]:
                check_within(Path(before), Path(after))
            case ["same", one, other]:
                check_same(Path(one), Path(other))
            case ["bill", root, file, version, made_s]:
                write_bill(Path(root), Path(file), version, made_s)
            case ["channel", bundle, version, url, file]:
                Path(file).write_text(channel_of(Path(bundle), version, url), encoding="utf-8")
            case ["imager", packed, family, url, file, version, made_s]:
                add_to_imager(Path(packed), family, url, Path(file), version, made_s)
            case _:
                sys.exit(__doc__)
    except (LayerWrong, msgspec.ValidationError) as error:
        sys.exit(f"image: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
