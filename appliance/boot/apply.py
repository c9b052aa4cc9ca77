"""Applies the boot file, and below it what Raspberry Pi Imager left: all of it, or, when anything is wrong, nothing.

Used by ``commands/apply_boot_file.py``, as root, before the kit starts. A mistake leaves the old configuration in force
and is told in ``parta-error.txt`` beside the file and in the kit's ``/status``. Secrets leave the card last, so a power
cut at any moment only means that the file is applied once more. Not here: what may stand in it (``file.py``).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from appliance.boot.file import (
    FILE_NAME,
    MAX_BYTES,
    BootFile,
    as_toml,
    check_boot_file,
    overrides_of,
    read_boot_file,
    without_secrets,
)
from appliance.boot.imager import FILES as IMAGER_FILES
from appliance.boot.imager import over, read_imager
from appliance.boot.notice import clear_notice, write_notice
from appliance.boot.system_files import SystemFile, system_files
from appliance.durable import link_durably, remove_durably, write_durably
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
    """What was applied last: the file's digest as it was left on the card, and what it said, without secrets.

    ``imager``: what Raspberry Pi Imager said, whose files are gone; it goes on to stand below every later ``boot``.
    """

    digest: str
    boot: BootFile
    imager: BootFile = BootFile()


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
        imager = _imager_files(card)
        if not imager and (content is None or (record is not None and record.digest == _digest(content))):
            return False
        _apply(card, settings, content, imager, record)
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


def _apply(
    card: Card, settings: KitSettings, content: bytes | None, imager: Mapping[str, str], record: _Record | None
) -> None:
    known = None if record is None or not record.boot.wifi.ssid else record.boot.wifi
    own = read_boot_file(_text(content or b"", FILE_NAME), settings, origin=FILE_NAME, known=known)
    base = BootFile() if record is None else record.imager
    if imager:
        base = read_imager(imager)
        check_boot_file(base, settings, origin="what Raspberry Pi Imager set", known=known)
    boot = over(base, own)
    keep_wifi = known is not None and boot.wifi == known and (record is not None and boot.lan == record.boot.lan)
    if known is not None and boot.wifi == known and not keep_wifi and boot.wifi.security != "open":
        raise ConfigurationError(f"{FILE_NAME}: wifi: [lan] changes its address; write the Wi-Fi's key once more")
    relay_ca, wifi_ca = _pem(card, "relay", boot.relay.ca_file), _pem(card, "wifi", boot.wifi.ca_file)
    _write_all(card.root, system_files(boot, keep_wifi=keep_wifi, wifi_ca=wifi_ca))
    _set_kit(card, boot, relay_ca, record)
    on_card = None if content is None else as_toml(without_secrets(own), APPLIED).encode()
    digest = _digest(on_card or b"")
    applied = _Record(digest=digest, boot=without_secrets(boot), imager=without_secrets(base))
    write_durably(card.state_dir / RECORD_FILE, msgspec.json.encode(applied))
    if on_card is not None:
        write_durably(card.file, on_card)
    for name in IMAGER_FILES:
        remove_durably(card.file.with_name(name))


def _set_kit(card: Card, boot: BootFile, relay_ca: str | None, record: _Record | None) -> None:
    ca_file = card.state_dir / RELAY_CA_FILE
    if relay_ca is not None:
        write_durably(ca_file, relay_ca.encode())
    changes = overrides_of(boot, str(ca_file) if relay_ca else "")
    set_overrides(card.state_dir, changes, instead_of=_forgotten(record, boot))
    if boot.kit.setup_pin:
        set_pin(card.state_dir, boot.kit.setup_pin)


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
    before: list[SystemFile] = []
    try:
        before = [_as_it_is(root, file) for file in files]
        for file in files:
            if not file.keep:
                _write(root, file)
    except OSError as error:
        for file in before:
            with contextlib.suppress(OSError):
                _write(root, file)
        raise ConfigurationError(f"{FILE_NAME}: the system cannot be written: {error.strerror or error}") from error


def _as_it_is(root: Path, file: SystemFile) -> SystemFile:
    path = root / file.path
    if file.link:
        return replace(file, content=str(path.readlink()) if path.is_symlink() else None)
    content = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else None
    return replace(file, content=content)


def _write(root: Path, file: SystemFile) -> None:
    path = root / file.path
    if file.content is None:
        remove_durably(path)
        return
    _make_readable(path.parent)
    if file.link:
        link_durably(path, file.content)
        return
    write_durably(path, file.content.encode(errors="surrogateescape"))
    path.chmod(file.mode)


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
        raise ConfigurationError(f"{path.name}: is larger than {MAX_BYTES} bytes, and is no such file")
    return content


def _imager_files(card: Card) -> dict[str, str]:
    """Those that are there, by name."""
    found = {name: _read(card.file.with_name(name)) for name in IMAGER_FILES}
    return {name: _text(content, name) for name, content in found.items() if content is not None}


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")  # Windows' Notepad marks UTF-8
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name}: not UTF-8 text; save it as UTF-8") from error


def _record(state_dir: Path) -> _Record | None:
    try:
        return msgspec.json.decode((state_dir / RECORD_FILE).read_bytes(), type=_Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return None  # then the file is applied once more; only stripped secrets may have to be written again


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
