"""Applies the boot file: all of it, or, when anything is wrong with it, nothing.

Used by ``commands/apply_boot_file.py``, as root, before the kit starts. A mistake leaves the old configuration in force
and is told in ``parta-error.txt`` beside the file and in the kit's ``/status``. Secrets leave the card last, so a power
cut at any moment only means that the file is applied once more. Not here: what may stand in it (``file.py``).
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.boot.file import (
    FILE_NAME,
    MAX_BYTES,
    BootFile,
    as_toml,
    overrides_of,
    read_boot_file,
    without_secrets,
)
from appliance.boot.notice import clear_notice, write_notice
from appliance.boot.system_files import SystemFile, system_files
from appliance.durable import remove_durably, write_durably
from appliance.overrides import Overrides, set_overrides
from appliance.settings import KitSettings
from appliance.setup.pin import set_pin
from config.strict_toml import ConfigurationError

ERROR_FILE = "parta-error.txt"
RECORD_FILE = "boot-file.json"
RELAY_CA_FILE = "relay-ca.pem"
APPLIED = (
    "# Parta: this kit's settings. They are applied, and the codes and keys are gone from this card.\n"
    "# Change what you like and start the kit again; write a code or key only to set a new one.\n"
)


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was applied last: the file's digest as it was left on the card, and what it said, without secrets."""

    digest: str
    boot: BootFile


@dataclass(frozen=True, slots=True)
class Card:
    """Where the boot file is, and where the system and the kit keep what it says."""

    file: Path
    root: Path
    state_dir: Path


def apply_boot_file(card: Card, settings: KitSettings) -> bool:
    """Apply the file if it is new. True if it was. Raises ``ConfigurationError``, having told it on the card."""
    record = _record(card.state_dir)
    try:
        content = _read(card.file)
        if content is None or (record is not None and record.digest == _digest(content)):
            return False
        _apply(card, settings, _text(content), record)
    except ConfigurationError as error:
        tell(card, str(error))
        raise
    except OSError as error:
        reason = (
            f"{FILE_NAME}: cannot be taken over: {error.strerror or error}; is the card worn out or write-protected?"
        )
        tell(card, reason)
        raise ConfigurationError(reason) from error
    clear_notice(card.state_dir)
    with contextlib.suppress(OSError):  # a card that cannot be written now keeps an old error file
        remove_durably(card.file.with_name(ERROR_FILE))
    return True


def tell(card: Card, reason: str) -> None:
    """Tell a mistake where the person looks: on the card, and in the kit's status."""
    write_notice(card.state_dir, "boot_file_refused", f"{reason}; the old settings stay in force")
    text = (
        f"{FILE_NAME} was not applied; the kit goes on with its old settings.\r\n"
        f"{FILE_NAME} не применён; комплект работает с прежними настройками.\r\n\r\n{reason}\r\n"
    )
    with contextlib.suppress(OSError):  # a read-only card: the status tells it, too
        write_durably(card.file.with_name(ERROR_FILE), text.encode())


def _apply(card: Card, settings: KitSettings, text: str, record: _Record | None) -> None:
    known = None if record is None or not record.boot.wifi.ssid else record.boot.wifi
    boot = read_boot_file(text, settings, origin=FILE_NAME, known=known)
    keep_wifi = known is not None and boot.wifi == known and (record is not None and boot.lan == record.boot.lan)
    if known is not None and boot.wifi == known and not keep_wifi and boot.wifi.security != "open":
        raise ConfigurationError(f"{FILE_NAME}: wifi: [lan] changes its address; write the Wi-Fi's key once more")
    relay_ca, wifi_ca = _pem(card, "relay", boot.relay.ca_file), _pem(card, "wifi", boot.wifi.ca_file)
    _write_all(card.root, system_files(boot, keep_wifi=keep_wifi, wifi_ca=wifi_ca))
    ca_file = card.state_dir / RELAY_CA_FILE
    if relay_ca is not None:
        write_durably(ca_file, relay_ca.encode())
    changes = overrides_of(boot, str(ca_file) if relay_ca else "")
    set_overrides(card.state_dir, changes, instead_of=_forgotten(record, boot))
    if boot.kit.setup_pin:
        set_pin(card.state_dir, boot.kit.setup_pin)
    left = without_secrets(boot)
    on_card = as_toml(left, APPLIED).encode()
    write_durably(card.state_dir / RECORD_FILE, msgspec.json.encode(_Record(digest=_digest(on_card), boot=left)))
    write_durably(card.file, on_card)


def _forgotten(record: _Record | None, boot: BootFile) -> Overrides:
    """What the file before this one set; and its code, which is for nobody but its own relay."""
    if record is None:
        return {}
    before = dict(overrides_of(record.boot, record.boot.relay.ca_file))
    if boot.relay.url != record.boot.relay.url:
        before["relay"] = {**before.get("relay", {}), "enrol_code": ""}
    return before


def _write_all(root: Path, files: list[SystemFile]) -> None:
    """Write all, or put back what was there. Raises ``ConfigurationError``."""
    before = []
    try:
        before = [(root / file.path, _content(root / file.path)) for file in files]
        for file in files:
            if not file.keep:
                _write(root / file.path, None if file.content is None else file.content.encode(), file.mode)
    except OSError as error:
        for (path, content), file in zip(before, files, strict=False):
            with contextlib.suppress(OSError):
                _write(path, content, file.mode)
        raise ConfigurationError(f"{FILE_NAME}: the system cannot be written: {error.strerror or error}") from error


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _write(path: Path, content: bytes | None, mode: int) -> None:
    if content is None:
        remove_durably(path)
        return
    _make_readable(path.parent)
    write_durably(path, content)
    path.chmod(mode)


def _make_readable(folder: Path) -> None:
    """Make the folder, if it is missing, for all to read, whatever the umask: timesyncd is not root."""
    if not folder.is_dir():
        _make_readable(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)


def _pem(card: Card, section: str, name: str) -> str | None:
    if not name:
        return None
    try:
        text = card.file.with_name(name).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{FILE_NAME}: {section}.ca_file: {name} cannot be read beside it: {error}") from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ConfigurationError(f"{FILE_NAME}: {section}.ca_file: {name} holds no certificate in PEM form")
    return text


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MAX_BYTES:
        raise ConfigurationError(f"{FILE_NAME}: is larger than {MAX_BYTES} bytes, and is no such file")
    return content


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")  # Windows' Notepad marks UTF-8
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{FILE_NAME}: not UTF-8 text; save it as UTF-8") from error


def _record(state_dir: Path) -> _Record | None:
    try:
        return msgspec.json.decode((state_dir / RECORD_FILE).read_bytes(), type=_Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return None  # then the file is applied once more; only stripped secrets may have to be written again


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
