"""What a boot file becomes on the system: in words, and as NetworkManager's own code reads it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from appliance.boot.file import BootFile, KitPart, LanPart, SshPart, WifiPart
from appliance.boot.system_files import (
    CABLE_FILE,
    HOST_NAME_FILE,
    NTP_FILE,
    SSH_DOOR_FILE,
    SSH_KEYS_FILE,
    TIME_ZONE_LINK,
    WIFI_CA_FILE,
    WIFI_FILE,
    SystemFile,
    system_files,
)

NMCLI = shutil.which("nmcli")
PSK = BootFile(wifi=WifiPart(ssid="Школа; 7", psk=" back\\slash;"), lan=LanPart(ntp=("ntp.example", "10.0.0.1")))
EAP = WifiPart(ssid="edu", security="eap", identity="kit12", password="secret word", ca_file="wifi.pem", hidden=True)
STATIC = LanPart(address="192.168.1.20/24", gateway="192.168.1.1", dns=("192.168.1.1", "192.168.1.2"))


def _files(boot: BootFile) -> dict[str, SystemFile]:
    return {file.path: file for file in system_files(boot, keep_wifi=False)}


def test_a_wifi_is_one_connection_that_only_root_can_read() -> None:
    files = _files(PSK)
    assert files[WIFI_FILE].mode == 0o600
    assert "key-mgmt=wpa-psk\npsk=\\sback\\\\slash;\n" in (files[WIFI_FILE].content or "")
    assert files[CABLE_FILE].content is None
    assert files[WIFI_CA_FILE].content is None


def test_time_servers_are_timesyncds() -> None:
    assert _files(PSK)[NTP_FILE].content == "[Time]\nNTP=ntp.example 10.0.0.1\n"
    assert _files(BootFile())[NTP_FILE].content is None


def test_the_name_is_a_file_and_the_time_zone_a_link_into_the_systems_own() -> None:
    files = _files(BootFile(kit=KitPart(host_name="kit-12", time_zone="Asia/Yekaterinburg")))
    assert files[HOST_NAME_FILE].content == "kit-12\n"
    assert (files[TIME_ZONE_LINK].content, files[TIME_ZONE_LINK].link) == (
        "/usr/share/zoneinfo/Asia/Yekaterinburg",
        True,
    )


def test_the_firewall_has_a_door_for_ssh_only_while_there_is_a_key() -> None:
    files = _files(BootFile(ssh=SshPart(authorized_keys=("ssh-ed25519 A", "ssh-ed25519 B"))))
    assert files[SSH_KEYS_FILE].content == "ssh-ed25519 A\nssh-ed25519 B\n"
    assert "tcp dport 22 accept" in (files[SSH_DOOR_FILE].content or "")
    assert _files(BootFile())[SSH_DOOR_FILE].content is None


def test_an_enterprise_wifi_checks_the_authority_that_was_given() -> None:
    content = _files(BootFile(wifi=EAP))[WIFI_FILE].content or ""
    assert f"ca-cert=/{WIFI_CA_FILE}\n" in content
    assert "hidden=true" in content


def test_a_static_address_is_the_wifis_where_there_is_one_and_else_the_cables() -> None:
    address = "method=manual\naddress1=192.168.1.20/24,192.168.1.1\ndns=192.168.1.1;192.168.1.2;\n"
    assert address in (_files(BootFile(lan=STATIC))[CABLE_FILE].content or "")
    assert address in (_files(BootFile(wifi=EAP, lan=STATIC))[WIFI_FILE].content or "")


def test_a_file_that_says_nothing_leaves_nothing() -> None:
    assert {file.content for file in system_files(BootFile(), keep_wifi=False)} == {None}


READ_BACK = [
    (PSK, WIFI_FILE, {"802-11-wireless.ssid": "Школа; 7", "802-11-wireless-security.psk": " back\\slash;"}),
    (
        BootFile(wifi=EAP),
        WIFI_FILE,
        {"802-1x.identity": "kit12", "802-1x.eap": "peap", "802-11-wireless.hidden": "yes"},
    ),
    (BootFile(lan=STATIC), CABLE_FILE, {"ipv4.addresses": "192.168.1.20/24", "ipv4.gateway": "192.168.1.1"}),
]


@pytest.mark.skipif(NMCLI is None, reason="needs NetworkManager's nmcli (apt-get install network-manager)")
@pytest.mark.parametrize(("boot", "path", "expected"), READ_BACK, ids=["psk", "802.1X", "cable"])
def test_networkmanager_reads_the_same_from_it(boot: BootFile, path: str, expected: dict[str, str]) -> None:
    content = _files(boot)[path].content or ""
    as_it_is = _modified(content, "connection.autoconnect", "yes")
    for key, value in expected.items():
        assert _modified(content, key, value) == as_it_is, f"{key} was not {value} already"


def _modified(content: str, key: str, value: str) -> str:
    """The connection after nmcli, which offline reads it as the daemon does, has set ``key`` in it."""
    assert NMCLI is not None
    command = [NMCLI, "--offline", "connection", "modify", key, value]
    return subprocess.run(command, input=content, capture_output=True, text=True, check=True, timeout=20).stdout
