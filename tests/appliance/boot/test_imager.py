"""What Raspberry Pi Imager leaves on the card: read as it writes it, below ``parta.toml``, and gone afterwards.

The examples have the form of what Imager 2.0.10 wrote (captured by the makers of jphastings/gosd for an ``init_format``
of "cloudinit") and of raspberrypi/rpi-imager, src/customization_generator.cpp, for the rest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.boot.apply import ERROR_FILE
from appliance.boot.file import BootFile, KitPart, SshPart, WifiPart
from appliance.boot.imager import FILES, FIRST_RUN, NETWORK, USER_DATA, over, read_imager
from appliance.boot.system_files import HOST_NAME_FILE, SSH_KEYS_FILE, TIME_ZONE_LINK, WIFI_FILE
from appliance.cli import CANNOT_START, OK
from config.strict_toml import ConfigurationError
from tests.appliance.boot.test_apply import Box
from tests.appliance.boot.test_file import KEY

PSK = "3103b87804bb44f3ae397ee94737e1db750128c9300c083b1c518647484f6cc5"
CLOUD = f"""#cloud-config
manage_resolv_conf: false

hostname: kit-12
manage_etc_hosts: true
packages:
- avahi-daemon
apt:
  preserve_sources_list: true
  conf: |
    Acquire {{
      Check-Date "false";
    }};
timezone: Asia/Yekaterinburg
keyboard:
  model: pc105
  layout: "ru"
user:
  name: admin
  shell: /bin/bash
  lock_passwd: false
  passwd: "$y$jB5$4/JS7FqNFVLC9VqNnsoGj.$xtfezEEVGXRbcepoowjjzSj7hwWc/TvZhgu3Z0FGgR3"
  ssh_authorized_keys:
    - {KEY}
runcmd:
  - [ systemctl, enable, --now, ssh ]
"""
USERS = f"""#cloud-config
hostname: 12
enable_ssh: true
users:
- name: admin
  groups: users,adm,sudo
  shell: /bin/bash
  lock_passwd: true
  ssh_authorized_keys:
    - {KEY}
    - {KEY.replace("admin@school", "her@home")}
  sudo: ALL=(ALL) NOPASSWD:ALL
"""
NETWORKS = f"""network:
  version: 2
  ethernets:
    eth0:
      dhcp4: true
      optional: true
  wifis:
    wlan0:
      dhcp4: true
      regulatory-domain: "RU"
      access-points:
        "Школа \\"7\\"":
          hidden: true
          password: "{PSK}"
      optional: true
"""
SCRIPT = f"""#!/bin/sh

set +e

CURRENT_HOSTNAME=$(cat /etc/hostname | tr -d " \\t\\n\\r")
if [ -f /usr/lib/raspberrypi-sys-mods/imager_custom ]; then
   /usr/lib/raspberrypi-sys-mods/imager_custom set_hostname kit-12
else
   echo kit-12 >/etc/hostname
fi
FIRSTUSER=$(getent passwd 1000 | cut -d: -f1)
if [ -f /usr/lib/raspberrypi-sys-mods/imager_custom ]; then
   /usr/lib/raspberrypi-sys-mods/imager_custom enable_ssh -k '{KEY}'
else
   systemctl enable ssh
fi
if [ -f /usr/lib/raspberrypi-sys-mods/imager_custom ]; then
   /usr/lib/raspberrypi-sys-mods/imager_custom set_wlan  -h 'Teachers'"'"' room' '{PSK}' 'RU'
else
cat >/etc/wpa_supplicant/wpa_supplicant.conf <<'WPAEOF'
country=RU
WPAEOF
fi
if [ -f /usr/lib/raspberrypi-sys-mods/imager_custom ]; then
   /usr/lib/raspberrypi-sys-mods/imager_custom set_keymap 'ru'
   /usr/lib/raspberrypi-sys-mods/imager_custom set_timezone 'Asia/Yekaterinburg'
fi
rm -f /boot/firstrun.sh
sed -i 's| systemd.run.*||g' /boot/cmdline.txt
exit 0
"""
KIT = KitPart(host_name="kit-12", time_zone="Asia/Yekaterinburg")


def test_imager_2_s_files_name_the_kit_its_zone_its_wifi_and_its_visitors() -> None:
    assert read_imager({USER_DATA: CLOUD, NETWORK: NETWORKS}) == BootFile(
        kit=KIT, wifi=WifiPart(ssid='Школа "7"', psk=PSK, hidden=True), ssh=SshPart(authorized_keys=(KEY,))
    )


def test_users_may_be_a_list_as_imager_2_0_0_wrote_it_and_a_name_of_digits_is_text() -> None:
    said = read_imager({USER_DATA: USERS})
    assert said.kit.host_name == "12"
    assert said.ssh.authorized_keys == (KEY, KEY.replace("admin@school", "her@home"))


def test_imager_1_s_script_is_read_and_not_run() -> None:
    wifi = WifiPart(ssid="Teachers' room", psk=PSK, hidden=True)
    assert read_imager({FIRST_RUN: SCRIPT}) == BootFile(kit=KIT, wifi=wifi, ssh=SshPart(authorized_keys=(KEY,)))


@pytest.mark.parametrize("point", ["{}", "", '{password: ""}', "{auth: {key-management: none}}"])
def test_a_wifi_without_a_password_is_open(point: str) -> None:
    said = read_imager({NETWORK: f"network: {{wifis: {{wlan0: {{access-points: {{Guests: {point}}}}}}}}}"})
    assert (said.wifi.ssid, said.wifi.security) == ("Guests", "open")


@pytest.mark.parametrize("text", ["", "#cloud-config\n", "network:\n  version: 2\n", "network:\n"])
def test_files_that_set_nothing_set_nothing(text: str) -> None:
    assert read_imager({USER_DATA: text, NETWORK: text}) == BootFile()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({USER_DATA: "a: [1\nb: secret"}, "user-data: line 2: not valid YAML"),
        ({USER_DATA: "secret"}, "user-data: is no table"),
        ({USER_DATA: "hostname: [a]"}, "user-data: hostname: is no text"),
        ({NETWORK: "network: []\nwifis: a"}, "network-config: wifis: is no table"),
        ({NETWORK: "wifis: {wlan0: {access-points: {a: {}, b: {}}}}"}, "network-config: access-points: "),
        ({NETWORK: "wifis: {w: {access-points: {a: {auth: {key-management: eap}}}}}"}, "network-config: auth: a Wi-Fi"),
        ({FIRST_RUN: "/usr/lib/raspberrypi-sys-mods/imager_custom set_wlan 'a\n"}, "firstrun.sh: line 1: its quotes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_without_what_stands_there(files: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_imager(files)
    assert str(caught.value).startswith(told)
    assert "secret" not in str(caught.value)


def test_parta_toml_goes_before_it_key_by_key_and_network_by_network() -> None:
    base = read_imager({USER_DATA: CLOUD, NETWORK: NETWORKS})
    own = BootFile(kit=KitPart(host_name="room-12", room="12"), wifi=WifiPart(ssid="Staff", psk="of the staff"))
    both = over(base, own)
    assert both.kit == KitPart(host_name="room-12", room="12", time_zone="Asia/Yekaterinburg")
    assert both.wifi == own.wifi
    assert both.ssh == base.ssh
    assert over(base, BootFile(ssh=SshPart(authorized_keys=()))).ssh.authorized_keys == ()


@pytest.fixture
def written(tmp_path: Path) -> Box:
    """A card that Imager wrote and set."""
    box = Box(tmp_path)
    box.card.parent.mkdir()
    box.config.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n')
    texts = {USER_DATA: CLOUD, NETWORK: NETWORKS, "meta-data": "instance-id: rpi-imager-1783287924709\n"}
    for name, text in texts.items():
        box.card.with_name(name).write_text(text, encoding="utf-8")
    return box


def left(box: Box) -> list[str]:
    """What is on the card."""
    return sorted(path.name for path in box.card.parent.iterdir())


def test_what_imager_set_is_taken_over_and_leaves_the_card_with_its_keys(written: Box) -> None:
    assert written.boot() == OK
    assert written.system(HOST_NAME_FILE) == "kit-12\n"
    assert (written.folder / "root" / TIME_ZONE_LINK).readlink() == Path("/usr/share/zoneinfo/Asia/Yekaterinburg")
    assert f"psk={PSK}" in written.system(WIFI_FILE)
    assert written.system(SSH_KEYS_FILE) == f"{KEY}\n"
    assert left(written) == []
    assert written.boot() == OK
    assert written.system(HOST_NAME_FILE) == "kit-12\n"


def test_a_file_of_ours_that_comes_later_goes_before_it_and_the_wifi_stays(written: Box) -> None:
    written.boot()
    written.write('[kit]\nhost_name = "room-12"\n[relay]\nurl = "https://parta.school.example"\n')
    assert written.boot() == OK
    assert written.system(HOST_NAME_FILE) == "room-12\n"
    assert f"psk={PSK}" in written.system(WIFI_FILE), "its key is on the kit alone by now"
    assert left(written) == ["parta.toml"]
    assert "kit-12" not in written.card.read_text(encoding="utf-8"), "the card's file says what it said, and no more"
    written.write("# nothing\n")
    assert written.boot() == OK
    assert written.system(HOST_NAME_FILE) == "kit-12\n"


def test_both_on_a_new_card_are_taken_over_at_once(written: Box) -> None:
    written.write('[wifi]\nssid = "Staff"\npsk = "of the staff"\n[ssh]\nauthorized_keys = []\n')
    assert written.boot() == OK
    assert "psk=of the staff" in written.system(WIFI_FILE)
    assert written.system(HOST_NAME_FILE) == "kit-12\n"
    assert not (written.folder / "root" / SSH_KEYS_FILE).exists()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "hostname: kit-12",
            "hostname: kit_12",
            'what Raspberry Pi Imager set: kit.host_name: "kit_12" is no host name',
        ),
        ("Asia/Yekaterinburg", "Asia/Nowhere", "what Raspberry Pi Imager set: kit.time_zone: "),
        (KEY, "ssh-ed25519 AAAA", "what Raspberry Pi Imager set: ssh.authorized_keys: "),
        ("user:", "user: [", "user-data: line "),
    ],
)
def test_what_is_wrong_with_it_is_told_and_nothing_is_taken_over(
    written: Box, before: str, after: str, told: str
) -> None:
    written.card.with_name(USER_DATA).write_text(CLOUD.replace(before, after), encoding="utf-8")
    assert written.boot() == CANNOT_START
    assert told in written.card.with_name(ERROR_FILE).read_text(encoding="utf-8")
    assert not (written.folder / "root").exists()
    assert set(left(written)) == {ERROR_FILE, *FILES} - {FIRST_RUN}
