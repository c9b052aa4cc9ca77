"""What a boot file becomes on the system: NetworkManager's connections, time servers, names and keys, as text.

Pure: a list of files. ``apply.py`` writes them. The forms are those of nm-settings-keyfile(5), timesyncd.conf(5),
hostname(5), localtime(5), sshd(8) and nft(8). All of /etc/parta is read by the image's own system (image-build/).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from appliance.boot.file import BootFile, KitPart, LanPart, WifiPart

CONNECTIONS = "etc/NetworkManager/system-connections"
WIFI_FILE = f"{CONNECTIONS}/parta-wifi.nmconnection"
CABLE_FILE = f"{CONNECTIONS}/parta-cable.nmconnection"
NTP_FILE = "etc/systemd/timesyncd.conf.d/parta.conf"
WIFI_CA_FILE = "etc/parta/wifi-ca.pem"
HOST_NAME_FILE = "etc/parta/hostname"
TIME_ZONE_LINK = "etc/parta/localtime"
ZONES = "/usr/share/zoneinfo"
SSH_KEYS_FILE = "etc/parta/ssh/authorized_keys"
SSH_DOOR_FILE = "etc/parta/firewall/ssh.nft"
SSH_DOOR = 'add rule inet parta input tcp dport 22 accept comment "SSH, by the keys of parta.toml"\n'
_NAMESPACE = uuid.UUID("b3a5f8f0-5d0c-4a8e-9a53-7061727461aa")


@dataclass(frozen=True, slots=True)
class SystemFile:
    """A file below the system's root; ``content`` ``None``: it must not be there, ``keep``: leave it as it is.

    ``link``: a symbolic link, and ``content`` is where it leads.
    """

    path: str
    content: str | None
    mode: int = 0o600  # NetworkManager ignores connections that others can read
    keep: bool = False
    link: bool = False


def system_files(boot: BootFile, *, keep_wifi: bool, wifi_ca: str | None = None) -> list[SystemFile]:
    """All files, in the order of writing. ``keep_wifi``: its key was stripped from the card, and it is the same."""
    wifi = boot.wifi if boot.wifi.ssid else None
    cable = boot.lan.address and wifi is None
    return [
        SystemFile(WIFI_CA_FILE, wifi_ca, 0o644),
        SystemFile(WIFI_FILE, None if wifi is None else wifi_connection(wifi, boot.lan), keep=keep_wifi),
        SystemFile(CABLE_FILE, cable_connection(boot.lan) if cable else None),
        SystemFile(NTP_FILE, f"[Time]\nNTP={' '.join(boot.lan.ntp)}\n" if boot.lan.ntp else None, 0o644),
        *_names(boot.kit),
        *_ssh(boot.ssh.authorized_keys or ()),
    ]


def _names(kit: KitPart) -> list[SystemFile]:
    return [
        SystemFile(HOST_NAME_FILE, f"{kit.host_name}\n" if kit.host_name else None, 0o644),
        SystemFile(TIME_ZONE_LINK, f"{ZONES}/{kit.time_zone}" if kit.time_zone else None, link=True),
    ]


def _ssh(keys: tuple[str, ...]) -> list[SystemFile]:
    """The keys, and the firewall's door, which is open only while there are any."""
    return [
        SystemFile(SSH_KEYS_FILE, "".join(f"{key}\n" for key in keys) or None, 0o644),
        SystemFile(SSH_DOOR_FILE, SSH_DOOR if keys else None, 0o644),
    ]


def wifi_connection(wifi: WifiPart, lan: LanPart) -> str:
    """A Wi-Fi as NetworkManager keeps it."""
    hidden = "hidden=true\n" if wifi.hidden else ""
    parts = [
        _connection("parta-wifi", "wifi"),
        f"[wifi]\nmode=infrastructure\nssid={_ssid(wifi.ssid)}\n{hidden}",
        *_security(wifi),
        _addresses(lan),
    ]
    return "\n".join(parts)


def cable_connection(lan: LanPart) -> str:
    """A static address on the cable."""
    return "\n".join([_connection("parta-cable", "ethernet"), _addresses(lan)])


def _connection(name: str, kind: str) -> str:
    return (
        f"[connection]\nid={name}\nuuid={uuid.uuid5(_NAMESPACE, name)}\ntype={kind}\n"
        "autoconnect=true\nautoconnect-priority=10\n"
    )


def _security(wifi: WifiPart) -> list[str]:
    if wifi.security == "open":
        return []
    if wifi.security == "psk":
        return [f"[wifi-security]\nkey-mgmt=wpa-psk\npsk={_escaped(wifi.psk)}\n"]
    ca = f"ca-cert=/{WIFI_CA_FILE}\n" if wifi.ca_file else ""
    eap = (
        f"[802-1x]\neap=peap;\nidentity={_escaped(wifi.identity)}\npassword={_escaped(wifi.password)}\n"
        f"phase2-auth=mschapv2\n{ca}"
    )
    return ["[wifi-security]\nkey-mgmt=wpa-eap\n", eap]


def _addresses(lan: LanPart) -> str:
    if not lan.address:
        return "[ipv4]\nmethod=auto\n"
    dns = f"dns={';'.join(lan.dns)};\n" if lan.dns else ""
    return f"[ipv4]\nmethod=manual\naddress1={lan.address},{lan.gateway}\n{dns}"


def _ssid(ssid: str) -> str:
    """As octets, which any name is, in the list form of nm-settings-keyfile(5)."""
    return "".join(f"{octet};" for octet in ssid.encode())


def _escaped(text: str) -> str:
    """GKeyFile's escapes: a leading space, and backslashes; line ends cannot get here (checked by ``file.py``)."""
    text = text.replace("\\", "\\\\")
    return f"\\s{text[1:]}" if text.startswith(" ") else text
