"""What Raspberry Pi Imager's own customisation says, read from the files that it leaves on the card, as a boot file.

Imager 2 writes ``user-data`` and ``network-config`` for an image whose ``init_format`` is "cloudinit", which is what
``scripts/image/imager.py`` says of ours; Imager 1 writes ``firstrun.sh`` for a file that was chosen by hand. Neither is
ever run: host name, time zone, Wi-Fi and SSH keys are read, and all else (user, password, keyboard, packages) is passed
over. Pure. Used by ``apply.py``, which lets ``parta.toml`` go before it. The forms are those of raspberrypi/rpi-imager,
src/customization_generator.cpp (2.0.10), of cloud-init's cloud-config and of netplan.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace as _replaced

from appliance.boot.file import BootFile, KitPart, SshPart, WifiPart
from config.strict_toml import ConfigurationError

USER_DATA, NETWORK, FIRST_RUN = "user-data", "network-config", "firstrun.sh"
#: All that Imager may leave; ``meta-data`` has nothing for us, and goes with the others.
FILES = (USER_DATA, NETWORK, FIRST_RUN, "meta-data")
_TOOL = "/imager_custom"  # each wish of firstrun.sh is one call of it, beside other ways to the same


def read_imager(files: Mapping[str, str]) -> BootFile:
    """What these files say, by name. Unchecked: ``check_boot_file``. Raises ``ConfigurationError``."""
    said = BootFile()
    if FIRST_RUN in files:
        said = _first_run(files[FIRST_RUN])
    if USER_DATA in files:
        said = over(said, _user_data(_yaml(files[USER_DATA], USER_DATA)))
    if NETWORK in files:
        said = over(said, BootFile(wifi=_wifi(_yaml(files[NETWORK], NETWORK))))
    return said


def over(base: BootFile, own: BootFile) -> BootFile:
    """``own``, and what it does not say of host name, time zone, Wi-Fi and SSH, from ``base``."""
    kit = {key: getattr(own.kit, key) or getattr(base.kit, key) for key in ("host_name", "time_zone")}
    return _replaced(
        own,
        kit=_replaced(own.kit, **kit),
        wifi=own.wifi if own.wifi.ssid else base.wifi,
        ssh=base.ssh if own.ssh.authorized_keys is None else own.ssh,
    )


def _user_data(said: Mapping[str, Any]) -> BootFile:
    kit = KitPart(host_name=_text(said, "hostname", USER_DATA), time_zone=_text(said, "timezone", USER_DATA))
    users = [said, said.get("user"), *_list(said, "users")]
    keys = [key for user in users if isinstance(user, dict) for key in _list(user, "ssh_authorized_keys")]
    return BootFile(kit=kit, ssh=_ssh(keys))


def _ssh(keys: list[Any]) -> SshPart:
    lines = dict.fromkeys(key.strip() for key in keys if isinstance(key, str) and key.strip())
    return SshPart(authorized_keys=tuple(lines) or None)


def _wifi(said: Mapping[str, Any]) -> WifiPart:
    """Of all radios: Imager knows one, and writes one network for it."""
    radios = _table(_table(said, "network", NETWORK) or said, "wifis", NETWORK)
    points = [
        (ssid, point or {})
        for name in radios
        for ssid, point in _table(_table(radios, name, NETWORK), "access-points", NETWORK).items()
    ]
    if not points:
        return WifiPart()
    [(ssid, point), *more] = points
    if more or not isinstance(point, dict):
        raise ConfigurationError(f"{NETWORK}: access-points: has to name one Wi-Fi, with its settings below it")
    auth = _table(point, "auth", NETWORK)
    password = _text(point, "password", NETWORK) or _text(auth, "password", NETWORK)
    if auth.get("key-management") == "eap":
        raise ConfigurationError(f"{NETWORK}: auth: a Wi-Fi with 802.1X is set by [wifi] of parta.toml")
    return _psk(ssid, password, hidden=point.get("hidden") == "true")


def _psk(ssid: str, psk: str, *, hidden: bool) -> WifiPart:
    return WifiPart(ssid=ssid, security="psk" if psk else "open", psk=psk, hidden=hidden)


def _first_run(text: str) -> BootFile:
    kit: dict[str, str] = {}
    wifi, keys = WifiPart(), list[Any]()
    for words in _wishes(text):
        match words:
            case ["set_hostname", name]:
                kit["host_name"] = name
            case ["set_timezone", name]:
                kit["time_zone"] = name
            case ["enable_ssh", "-k", *lines]:
                keys += lines
            case ["set_wlan", "-h", ssid, psk, *_]:
                wifi = _psk(ssid, psk, hidden=True)
            case ["set_wlan", ssid, psk, *_]:
                wifi = _psk(ssid, psk, hidden=False)
    return BootFile(kit=KitPart(**kit), wifi=wifi, ssh=_ssh(keys))


def _wishes(text: str) -> Iterator[list[str]]:
    for number, line in enumerate(text.splitlines(), 1):
        tool, called, wish = line.strip().partition(f"{_TOOL} ")
        if not called or " " in tool:
            continue
        try:
            yield shlex.split(wish)
        except ValueError as error:
            raise ConfigurationError(f"{FIRST_RUN}: line {number}: its quotes do not match") from error


def _yaml(text: str, origin: str) -> dict[str, Any]:
    """A table of texts. A mistake is told by its line alone: the line itself may be a key."""
    import yaml  # a tenth of this program's start, for files that few cards have

    try:
        said = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 – makes nothing but texts, lists and tables of them
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise ConfigurationError(f"{origin}: line {line}: not valid YAML") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{origin}: not valid YAML") from error
    if said in (None, ""):
        return {}
    if not isinstance(said, dict):
        raise ConfigurationError(f"{origin}: is no table; Raspberry Pi Imager writes one")
    return said


def _table(said: Mapping[str, Any], key: str, origin: str) -> dict[str, Any]:
    value = said.get(key) or {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{origin}: {key}: is no table")
    return value


def _text(said: Mapping[str, Any], key: str, origin: str) -> str:
    value = said.get(key, "")
    if not isinstance(value, str):
        raise ConfigurationError(f"{origin}: {key}: is no text")
    return value


def _list(said: Mapping[str, Any], key: str) -> list[Any]:
    """What is there, or nothing: cloud-init takes a single text, too."""
    value = said.get(key) or []
    return value if isinstance(value, list) else [value]
