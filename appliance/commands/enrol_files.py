"""``parta-kit enrol-files rooms.csv --out DIR``: one ``parta.toml`` per room, each checked as the kit will check it.

With them comes a sheet to print for the kits' boxes (``box_sheet.py``). Runs on the IT person's PC; needs no
kit. Nothing is written unless every row is right.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from appliance.boot.file import FILE_NAME, BootFile, as_toml, check_boot_file, read_boot_file
from appliance.commands.box_sheet import Slip, box_sheet
from appliance.durable import write_durably
from appliance.settings import KitSettings
from appliance.setup.pin import new_pin
from config.strict_toml import ConfigurationError, convert

Reader = Callable[[str], Any]


def _list(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


#: What a column is called, and which key it fills.
COLUMNS: Mapping[str, tuple[str, str, Reader]] = {
    "room": ("kit", "room", str),
    "class": ("kit", "class_name", str),
    "host_name": ("kit", "host_name", str),
    "time_zone": ("kit", "time_zone", str),
    "setup_pin": ("kit", "setup_pin", str),
    "relay": ("relay", "url", str),
    "code": ("relay", "enrol_code", str),
    "proxy": ("relay", "proxy", str),
    "ca_file": ("relay", "ca_file", str),
    "wifi_ssid": ("wifi", "ssid", str),
    "wifi_security": ("wifi", "security", str),
    "wifi_psk": ("wifi", "psk", str),
    "wifi_identity": ("wifi", "identity", str),
    "wifi_password": ("wifi", "password", str),
    "wifi_ca_file": ("wifi", "ca_file", str),
    "address": ("lan", "address", str),
    "gateway": ("lan", "gateway", str),
    "dns": ("lan", "dns", _list),
    "ntp": ("lan", "ntp", _list),
    "update_channel": ("update", "channel", str),
    "ssh_keys": ("ssh", "authorized_keys", _lines),
}
#: For the sheet alone: a kit has no use for it.
LINK = "class_link"
_COLUMN_OF = {f"{section}.{key}": column for column, (section, key, _) in COLUMNS.items()}
#: Beside the folders.
SHEET = "boxes.html"
WANTED = ("room", "relay", "code")
_LINK = re.compile(r"https?://[^\s/]+/c/[\w-]{16,64}")
#: What every file system and every person can read.
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Room:
    """One row: what its kit reads, and what is printed for its box."""

    boot: BootFile
    slip: Slip


def enrol_files(options: argparse.Namespace) -> int:
    """Write the files. Raises ``ConfigurationError`` that names every wrong row and its column."""
    rooms = rooms_of(_read(options.rooms), origin=options.rooms.name)
    for folder, room in rooms.items():
        _write(options.out / folder / FILE_NAME, as_toml(room.boot))
    _write(options.out / SHEET, box_sheet([room.slip for room in rooms.values()]))
    print(
        f"{len(rooms)} files in {options.out}, one folder per room, and {SHEET} for their boxes, with the PINs of the "
        "setup pages and the class links, to print and cut. They hold codes and keys: keep them to yourself."
    )
    return 0


def _write(path: Path, text: str) -> None:
    try:
        write_durably(path, text.encode())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}; choose another --out") from error


def rooms_of(text: str, *, origin: str) -> dict[str, Room]:
    """The room of each row, by the folder that its boot file goes into. Raises ``ConfigurationError``."""
    table = csv.DictReader(io.StringIO(text, newline=""), dialect=_dialect(text), restkey="", strict=True)
    _check_heading(table.fieldnames or [], origin)
    rooms: dict[str, Room] = {}
    troubles = []
    try:
        for row in table:
            where = f"{origin}, row {table.line_num}"
            try:
                boot = _boot_file(row, where)
                folder = _UNSAFE.sub("-", boot.kit.room).strip(".-") or "room"
            except ConfigurationError as error:
                troubles.append(str(error))
                continue
            if not boot.kit.setup_pin:
                boot = replace(boot, kit=replace(boot.kit, setup_pin=new_pin()))
            if folder in rooms:
                troubles.append(f"{where}: room: {boot.kit.room} is there already")
            if boot.kit.host_name and boot.kit.host_name in (other.boot.kit.host_name for other in rooms.values()):
                troubles.append(f"{where}: host_name: {boot.kit.host_name} is there already")
            slip = Slip(boot.kit.room, boot.kit.class_name, boot.kit.setup_pin, _link(row))
            rooms[folder] = Room(boot, slip)
    except csv.Error as error:
        raise ConfigurationError(f"{origin}, row {table.line_num}: not valid CSV: {error}") from error
    if troubles:
        raise ConfigurationError("\n".join(troubles))
    if not rooms:
        raise ConfigurationError(f"{origin}: holds no room; write one in each row below the heading")
    return rooms


def _dialect(text: str) -> type[csv.Dialect]:
    """Spreadsheets of some countries, Russia's among them, part columns by semicolons."""

    class Dialect(csv.excel):
        delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","

    return Dialect


def _check_heading(heading: Sequence[str], origin: str) -> None:
    known = [*COLUMNS, LINK]
    for column in heading:
        if column not in known:
            raise ConfigurationError(f"{origin}, row 1: {column!r}: unknown column; known: {', '.join(known)}")
    for column in WANTED:
        if column not in heading:
            raise ConfigurationError(f"{origin}, row 1: the column {column!r} is missing")
    if len(set(heading)) < len(heading):
        raise ConfigurationError(f"{origin}, row 1: a column is there twice")


def _boot_file(row: Mapping[str, Any], where: str) -> BootFile:
    if "" in row or None in row.values():
        raise ConfigurationError(f"{where}: has another number of columns than the heading")
    table: dict[str, dict[str, Any]] = {}
    for column, (section, key, read) in COLUMNS.items():
        if text := row.get(column, "").strip():
            table.setdefault(section, {})[key] = read(text)
    for column in WANTED:
        if not row[column].strip():
            raise ConfigurationError(f"{where}: {column}: is empty")
    if (link := _link(row)) and not _LINK.fullmatch(link):
        raise ConfigurationError(f"{where}: {LINK}: is no link of a class; parta-relay class link prints it")
    try:
        boot = convert(table, BootFile, origin=where)
        check_boot_file(boot, KitSettings(), origin=where)
        return read_boot_file(as_toml(boot), KitSettings(), origin=where)  # as the kit will
    except ConfigurationError as error:
        raise ConfigurationError(_in_columns(str(error))) from error


def _link(row: Mapping[str, str]) -> str:
    return row.get(LINK, "").strip()


def _in_columns(text: str) -> str:
    """The same, with columns' names where the file's keys are."""
    for key, column in _COLUMN_OF.items():
        text = re.sub(rf"(?<![\w.]){re.escape(key)}(?!\w)", column, text)
    return text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f'{path}: not UTF-8 text; save it as "CSV UTF-8"') from error
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
