"""The repository file of Raspberry Pi Imager: with ``rpi-imager --repo FILE`` it offers "Parta kit" and nothing else.

The fields are those of raspberrypi/rpi-imager, doc/json-schema/os-list-schema.json and its schema notes. One file names
all images that lie beside it: building another family adds its own. Used by ``__main__.py``, for
``scripts/image.sh``.
"""

from __future__ import annotations

import base64
import hashlib
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

ICON = Path(__file__).resolve().parents[2] / "image-build" / "icon.svg"
PIECE_BYTES = 1 << 20

#: What Imager calls the boards that an image boots on: their names and their tags.
FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "pi5": ("Raspberry Pi 5", ("pi5-64bit",)),
    "cm5": ("Compute Module 5", ("pi5-64bit",)),
    "pi4": ("Raspberry Pi 4", ("pi4-64bit",)),
    "cm4": ("Compute Module 4", ("pi4-64bit",)),
    "pi3": ("Raspberry Pi 3", ("pi3-64bit",)),
    "zero2w": ("Raspberry Pi Zero 2 W", ("pi3-64bit",)),
    "emulation": ("emulation", ("qemu",)),  # a tag of no board: Imager offers it for none of them
    "emulation-arm64": ("emulation, arm64", ("qemu",)),
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One image. ``init_format`` "cloudinit": files that are read and never run (``appliance/boot/imager.py``).

    "systemd" would have the kit run a script as root, and wait for it; "none" would have Imager ask for nothing.
    """

    name: str
    description: str
    icon: str
    url: str
    extract_size: int
    extract_sha256: str
    image_download_size: int
    image_download_sha256: str
    release_date: str
    devices: tuple[str, ...]
    init_format: str = "cloudinit"


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    os_list: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """An image that was made: its packed file, the family that it boots on, its version and date (Unix time)."""

    packed: Path
    family: str
    version: str
    made_s: int


def entry_of(made: Made, base_url: str) -> Entry:
    """The image's entry; ``base_url`` is the folder that it will be fetched from. Reads the whole image."""
    board, tags = FAMILIES[made.family]
    extracted, extract_size = _sum_of_extracted(made.packed)
    return Entry(
        name=f"Parta kit ({board})",
        description=f"Parta {made.version}: one button, and the lesson is live. Put parta.toml on the card after it.",
        icon="data:image/svg+xml;base64," + base64.b64encode(ICON.read_bytes()).decode(),
        url=f"{base_url.rstrip('/')}/{made.packed.name}",
        extract_size=extract_size,
        extract_sha256=extracted,
        image_download_size=made.packed.stat().st_size,
        image_download_sha256=_sum(made.packed),
        release_date=datetime.fromtimestamp(made.made_s, UTC).date().isoformat(),
        devices=tags,
    )


def with_entry(file: Path, entry: Entry) -> Repository:
    """What the file said, with this entry in the place of its older self. Raises ``msgspec.ValidationError``."""
    before = msgspec.json.decode(file.read_bytes(), type=Repository).os_list if file.exists() else ()
    kept = [each for each in before if each.name != entry.name]
    return Repository(os_list=tuple(sorted([*kept, entry], key=lambda each: each.name)))


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sum_of_extracted(packed: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with lzma.open(packed) as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size
