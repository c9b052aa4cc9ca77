"""Where a new version comes from: the channel file that announces it, a web server, a file on a stick.

A download is curl's: it goes on where it was cut off, takes no more of the line than it may, and stops while a lesson
goes on. Whether a bundle is genuine is RAUC's to say. Used by ``commands/update.py``. Blocks.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from appliance.durable import sync_folder
from appliance.errors import UpdateRefused, UpdateUnavailable
from appliance.settings import RelaySection
from appliance.update.kit_state import LOOK_EVERY_S
from appliance.update.tools import run, run_unless

CURL = "curl"
SUFFIX = ".raucb"
INCOMING = f"incoming{SUFFIX}"  # what is to be installed now
CHANNEL_S = 60
#: curl gives up on a line that is slower than this for so long; what has come is kept.
SLOWEST_BYTES_S, SLOW_FOR_S = 500, 60
RANGE_REFUSED = 33  # curl(1)'s exit code: the server cannot go on where it was cut off
SPARE_BYTES = 64 << 20  # what a lesson needs beside it, at the least


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel file announces: the newest version, and its bundle."""

    version: str
    url: Annotated[str, msgspec.Meta(pattern="^https://")]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


def is_newer(version: str, than: str) -> bool:
    """Whether one version comes after another, number by number."""
    ours, theirs = (tuple(map(int, re.findall(r"\d+", each))) for each in (than, version))
    return theirs > ours


def read_channel(url: str, relay: RelaySection) -> Channel:
    """What is announced there. Raises ``UpdateUnavailable``."""
    done = run([*_curl(relay), url], CHANNEL_S)
    if done.code != 0:
        raise UpdateUnavailable(f"the channel {url} cannot be read: {done.complained or done.code}")
    try:
        return msgspec.json.decode(done.said, type=Channel)
    except msgspec.MsgspecError as error:
        raise UpdateUnavailable(f"{url} is no channel file: {error}") from error


def copied(file: Path, folder: Path) -> Path:
    """The bundle, in a folder where nobody can exchange it meanwhile, and from where no stick is pulled out."""
    target = folder / INCOMING
    try:
        _require_space(folder, file.stat().st_size)
        shutil.copyfile(file, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise UpdateRefused(f"{file} cannot be read: {error.strerror or error}") from error
    return target


def downloaded(url: str, relay: RelaySection, kb_s: int, folder: Path, in_use: Callable[[], bool]) -> Path:
    """The bundle at ``url``, fetched to its end. Raises ``UpdateUnavailable``; what has come by then is kept."""
    part = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"
    for other in folder.glob("*.part"):
        if other != part:
            other.unlink()
    command = [*_curl(relay), "--limit-rate", f"{kb_s}K", "--continue-at", "-", "--output", str(part)]
    command += ["--speed-limit", str(SLOWEST_BYTES_S), "--speed-time", str(SLOW_FOR_S), url]
    while (done := run_unless(command, in_use, LOOK_EVERY_S)) is None:
        while in_use():
            time.sleep(LOOK_EVERY_S)
    if done.code == RANGE_REFUSED:
        part.unlink(missing_ok=True)
    if done.code != 0:
        why = done.complained or f"curl ended with {done.code}"
        raise UpdateUnavailable(f"{url} could not be fetched: {why}. Try again: it goes on where it was")
    target = folder / INCOMING
    part.replace(target)
    sync_folder(folder)
    return target


def check_sum(bundle: Path, sha256: str) -> None:
    """Raises ``UpdateRefused`` when the file is not what the channel announces; it is gone then: lessons need the
    room."""
    with bundle.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        bundle.unlink()
        raise UpdateRefused(
            "what was fetched is not what the channel announces: its SHA-256 differs. Nothing was changed"
        )


def _curl(relay: RelaySection) -> list[str]:
    """Over https alone, the way that the kit takes to its relay."""
    command = [CURL, "--fail", "--silent", "--show-error", "--location", "--proto", "=https", "--connect-timeout", "30"]
    if relay.proxy:
        command += ["--proxy", relay.proxy]
    if relay.ca_file:
        command += ["--cacert", relay.ca_file]
    return command


def _require_space(folder: Path, size_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size_bytes + SPARE_BYTES:
        raise UpdateRefused(
            f"the card has {free >> 20} MB left, and the bundle takes {size_bytes >> 20}: wait until the relay has the "
            "recordings"
        )
