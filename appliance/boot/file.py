"""What ``parta.toml`` may say: the schema, its checks, and the same as text again.

Pure. Read by ``apply.py`` on the kit and written by ``enrol_files.py`` on a PC, so both hold to one schema. Not here:
what becomes of it on the system (``system_files.py``).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from appliance.boot.names import host_name_trouble, public_key_trouble, time_zone_trouble
from appliance.overrides import SECTIONS, Overrides, merged
from appliance.settings import KitSettings
from appliance.setup.pin import DIGITS, is_pin
from config.strict_toml import ConfigurationError, parse

FILE_NAME = "parta.toml"
HEADER = "# Parta: one kit's settings. Put this file on the card's first partition (bootfs) and start the kit.\n"
MAX_BYTES = 64 * 1024

#: Removed from the card once they are applied: whoever holds the card later must not find them.
SECRETS = (("relay", "enrol_code"), ("wifi", "psk"), ("wifi", "password"), ("kit", "setup_pin"))

Security = Literal["open", "psk", "eap"]
_PSK = re.compile(r"[\x20-\x7e]{8,63}|[0-9a-fA-F]{64}")
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_FILE = re.compile(r"[\w.-]+")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    pass


class KitPart(_Section, frozen=True, kw_only=True):
    """``[kit]``: room and class are for people, the enrolment code decides; the PIN is the setup page's.

    ``host_name`` is one label; ``time_zone`` one of the IANA's, for the logs. Empty: the image's own.
    """

    room: str = ""
    class_name: str = ""
    host_name: str = ""
    time_zone: str = ""
    setup_pin: str = ""


class RelayPart(_Section, frozen=True, kw_only=True):
    """``[relay]``: ``ca_file`` is a PEM file beside this one."""

    url: str = ""
    enrol_code: str = ""
    proxy: str = ""
    ca_file: str = ""


class WifiPart(_Section, frozen=True, kw_only=True):
    """``[wifi]``: ``security`` "psk" wants ``psk``; "eap" (802.1X, PEAP) wants ``identity`` and ``password``."""

    ssid: str = ""
    security: Security = "psk"
    psk: str = ""
    identity: str = ""
    password: str = ""
    ca_file: str = ""
    hidden: bool = False


class LanPart(_Section, frozen=True, kw_only=True):
    """``[lan]``: a static address instead of DHCP, on the Wi-Fi if there is one in this file, else on the cable."""

    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()


class SshPart(_Section, frozen=True, kw_only=True):
    """``[ssh]``: lines of ``.pub`` files. Without any, no SSH server runs; ``None``: not said, so Imager's hold."""

    authorized_keys: tuple[str, ...] | None = None


class BootFile(_Section, frozen=True, kw_only=True):
    """Everything that ``parta.toml`` can say. The last seven sections are those of ``kit.toml``."""

    kit: KitPart = KitPart()
    relay: RelayPart = RelayPart()
    wifi: WifiPart = WifiPart()
    lan: LanPart = LanPart()
    ssh: SshPart = SshPart()
    camera: dict[str, Any] = {}
    microphone: dict[str, Any] = {}
    recording: dict[str, Any] = {}
    panel: dict[str, Any] = {}
    network: dict[str, Any] = {}
    setup: dict[str, Any] = {}
    update: dict[str, Any] = {}


def read_boot_file(text: str, settings: KitSettings, *, origin: str, known: WifiPart | None = None) -> BootFile:
    """The file, checked. ``known`` is a Wi-Fi whose key the kit has already. Raises ``ConfigurationError``."""
    boot = parse(text, BootFile, origin=origin)
    check_boot_file(boot, settings, origin=origin, known=known)
    return boot


def check_boot_file(boot: BootFile, settings: KitSettings, *, origin: str, known: WifiPart | None = None) -> None:
    """What no single key can say. Raises ``ConfigurationError`` that names the key."""
    for key, trouble in _troubles(boot, known):
        raise ConfigurationError(f"{origin}: {key}: {trouble}")
    merged(settings, overrides_of(boot), origin=origin)


def _troubles(boot: BootFile, known: WifiPart | None) -> list[tuple[str, str]]:
    return [*_wifi_troubles(boot.wifi, known), *_lan_troubles(boot.lan), *_name_troubles(boot)]


def _wifi_troubles(wifi: WifiPart, known: WifiPart | None) -> list[tuple[str, str]]:
    if not wifi.ssid:
        said = [key for key in ("psk", "identity", "password", "ca_file") if getattr(wifi, key)]
        return [("wifi.ssid", f"is empty, and wifi.{said[0]} is not; name the network")] if said else []
    found = []
    if len(wifi.ssid.encode()) > 32:
        found.append(("wifi.ssid", "is longer than 32 octets, which no network's name is"))
    if wifi == known:
        return found  # its key is on the kit, and no other one was written
    if wifi.security == "psk" and not _PSK.fullmatch(wifi.psk):
        found.append(("wifi.psk", "must be a password of 8 to 63 plain characters, or 64 hex digits"))
    if wifi.security == "eap" and not (wifi.identity and wifi.password):
        found.append(("wifi.identity", 'and wifi.password are both wanted when wifi.security is "eap"'))
    return found


def _lan_troubles(lan: LanPart) -> list[tuple[str, str]]:
    found = []
    if lan.address:
        try:
            network = ipaddress.IPv4Interface(lan.address).network
        except ValueError:
            return [("lan.address", f'"{lan.address}" is no IPv4 address with its prefix, such as "192.168.1.20/24"')]
        if "/" not in lan.address:
            found.append(("lan.address", f'"{lan.address}" lacks its prefix; write it as "{lan.address}/24"'))
        if not _is_address(lan.gateway) or ipaddress.IPv4Address(lan.gateway) not in network:
            found.append(("lan.gateway", f'"{lan.gateway}" is no address within {network}'))
    elif lan.gateway:
        found.append(("lan.address", "is empty, and lan.gateway is not; give the address with its prefix"))
    found += [("lan.dns", f'"{server}" is no IPv4 address') for server in lan.dns if not _is_address(server)]
    found += [("lan.ntp", f'"{server}" is no host') for server in lan.ntp if not _HOST.fullmatch(server)]
    return found


def _name_troubles(boot: BootFile) -> list[tuple[str, str]]:
    files = (("relay.ca_file", boot.relay.ca_file), ("wifi.ca_file", boot.wifi.ca_file))
    found = [
        (key, f'"{name}" is no file name; put the PEM file beside this one, and give its name alone')
        for key, name in files
        if name and not _FILE.fullmatch(name)
    ]
    found += [
        ("ssh.authorized_keys", told) for key in boot.ssh.authorized_keys or () if (told := public_key_trouble(key))
    ]
    if boot.kit.host_name and (told := host_name_trouble(boot.kit.host_name)):
        found.append(("kit.host_name", told))
    if boot.kit.time_zone and (told := time_zone_trouble(boot.kit.time_zone)):
        found.append(("kit.time_zone", told))
    if boot.kit.setup_pin and not is_pin(boot.kit.setup_pin):
        found.append(("kit.setup_pin", f"has to be {DIGITS} digits, in quotes"))
    if boot.relay.proxy and not boot.relay.proxy.startswith(("http://", "https://")):
        found.append(("relay.proxy", "must start with http://"))
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def overrides_of(boot: BootFile, ca_file: str = "") -> Overrides:
    """What the file sets of the kit's own settings; ``ca_file`` is where relay.ca_file was put."""
    relay = {key: value for key, value in msgspec.to_builtins(boot.relay).items() if value and key != "ca_file"}
    if ca_file:
        relay["ca_file"] = ca_file
    sections: dict[str, dict[str, Any]] = {**{name: getattr(boot, name) for name in SECTIONS}, "relay": relay}
    return {name: values for name, values in sections.items() if values}


def without_secrets(boot: BootFile) -> BootFile:
    """The same, as it may stay on the card."""
    relay = msgspec.structs.replace(boot.relay, enrol_code="")
    kit = msgspec.structs.replace(boot.kit, setup_pin="")
    return msgspec.structs.replace(boot, kit=kit, relay=relay, wifi=without_wifi_secrets(boot.wifi))


def without_wifi_secrets(wifi: WifiPart) -> WifiPart:
    """The Wi-Fi without its keys."""
    return msgspec.structs.replace(wifi, psk="", password="")


def as_toml(boot: BootFile, header: str = HEADER) -> str:
    """The file as text; defaults are left out. What is read from it is the same."""
    table: Mapping[str, Mapping[str, Any]] = msgspec.to_builtins(boot)
    parts = [
        f"[{section}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in values.items())
        for section, values in table.items()
        if values
    ]
    return "\n".join([header, *parts])


def _value(value: object) -> str:
    """A TOML value, tables inline. JSON's strings, numbers, booleans and lists are TOML's, but for a bare DEL."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
