"""``parta.toml``: what is wrong is named with its key, and what is right survives being written and read."""

from __future__ import annotations

import re
import sys
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.boot.file import (
    BootFile,
    KitPart,
    LanPart,
    RelayPart,
    SshPart,
    WifiPart,
    as_toml,
    overrides_of,
    read_boot_file,
    without_secrets,
)
from appliance.overrides import merged
from appliance.settings import KitSettings
from config.strict_toml import ConfigurationError

#: Of nobody: made by ssh-keygen, and its other half thrown away.
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOEbXRp899+RtwhcSJFTPuaFZgdMzKevlYFoJKWqE5/X admin@school"
WHOLE = """
[kit]
room = "Кабинет 12"
class_name = "7Б"
host_name = "kit-12"
time_zone = "Asia/Yekaterinburg"
[relay]
url = "https://parta.school.example"
enrol_code = "ABCD-EFGH"
proxy = "http://proxy.school.example:3128"
ca_file = "school.pem"
[wifi]
ssid = "Школа"
psk = "correct horse"
[lan]
address = "192.168.1.20/24"
gateway = "192.168.1.1"
dns = ["192.168.1.1"]
ntp = ["ntp.school.example"]
[ssh]
authorized_keys = ["{KEY}"]
[camera]
fps = 15
[recording]
quota_mb = 8000
[update]
channel = "https://files.school.example/channel.json"
""".replace("{KEY}", KEY)


def _read(text: str, known: WifiPart | None = None) -> BootFile:
    return read_boot_file(text, KitSettings(), origin="parta.toml", known=known)


def test_everything_that_it_may_say_is_read() -> None:
    boot = _read(WHOLE)
    assert (boot.kit.room, boot.wifi.ssid, boot.lan.ntp) == ("Кабинет 12", "Школа", ("ntp.school.example",))
    assert (boot.kit.host_name, boot.kit.time_zone) == ("kit-12", "Asia/Yekaterinburg")
    assert boot.ssh.authorized_keys == (KEY,)
    assert overrides_of(boot)["camera"] == {"fps": 15}
    assert merged(KitSettings(), overrides_of(boot), origin="parta.toml").recording.quota_mb == 8000
    assert overrides_of(boot)["update"] == {"channel": "https://files.school.example/channel.json"}
    assert overrides_of(boot, "/state/relay-ca.pem")["relay"] == {
        "url": "https://parta.school.example",
        "enrol_code": "ABCD-EFGH",
        "proxy": "http://proxy.school.example:3128",
        "ca_file": "/state/relay-ca.pem",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[wifi]\nsid = 'x'", "wifi.sid: unknown key; did you mean ssid?"),
        ("[wlan]\nssid = 'x'", "wlan: unknown key; did you mean lan?"),
        ("[wifi]\nssid = 'x'\npsk = 'short'", "wifi.psk: must be a password of 8 to 63"),
        ("[wifi]\nssid = 'x'\npsk = 'восемь-букв'", "wifi.psk: must be a password of 8 to 63"),
        ('[wifi]\nssid = "x"\npsk = "eight\\nletters"', "wifi.psk: must be a password of 8 to 63"),
        ("[wifi]\npsk = 'long enough'", "wifi.ssid: is empty, and wifi.psk is not"),
        ("[wifi]\nssid = 'x'\nsecurity = 'eap'\nidentity = 'kit'", "wifi.identity: and wifi.password are both wanted"),
        ("[wifi]\nssid = 'x'\nsecurity = 'wep'", "wifi.security: invalid enum value 'wep'"),
        (f"[wifi]\nssid = '{'Ш' * 17}'\nsecurity = 'open'", "wifi.ssid: is longer than 32 octets"),
        ("[lan]\naddress = '192.168.1.300/24'", 'lan.address: "192.168.1.300/24" is no IPv4 address'),
        ("[lan]\naddress = '192.168.1.20'", 'lan.address: "192.168.1.20" lacks its prefix'),
        ("[lan]\naddress = '192.168.1.20/24'\ngateway = '10.0.0.1'", 'lan.gateway: "10.0.0.1" is no address within'),
        ("[lan]\ngateway = '10.0.0.1'", "lan.address: is empty, and lan.gateway is not"),
        ("[lan]\ndns = ['dns.example']", 'lan.dns: "dns.example" is no IPv4 address'),
        ('[lan]\nntp = ["a\\nb"]', "lan.ntp: "),
        ("[relay]\nurl = 'parta.example'", "relay.url: must start with https://"),
        ("[relay]\nproxy = 'proxy:3128'", "relay.proxy: must start with http://"),
        ("[relay]\nca_file = '../../etc/shadow'", "relay.ca_file: "),
        ("[camera]\nfsp = 3", "camera.fsp: unknown key; did you mean fps?"),
        ("[camera]\nfps = 0", "camera.fps: expected int >= 1"),
        ("[update]\nchannel = 'http://files.example'", "update.channel: must start with https://"),
        ("[kit]\nstate_dir = '/'", "kit.state_dir: unknown key"),
        ("[kit]\nhost_name = 'kit_12'", 'kit.host_name: "kit_12" is no host name; use 1 to 63 letters'),
        ("[kit]\nhost_name = 'kit.school.example'", 'kit.host_name: "kit.school.example" is no host name'),
        ("[kit]\nhost_name = '-kit'", "kit.host_name: "),
        (f"[kit]\nhost_name = '{'k' * 64}'", "kit.host_name: "),
        ("[kit]\nhost_name = 'прибор'", "kit.host_name: "),
        ('[kit]\nhost_name = "kit\\n"', "kit.host_name: "),
        (
            "[kit]\nhost_name = '12'",
            'kit.host_name: "12" is digits alone, which programs take for an address; write "kit-12"',
        ),
        ("[kit]\nhost_name = 'localhost'", 'kit.host_name: "localhost" is what every machine calls itself'),
        (
            "[kit]\ntime_zone = 'Asia/Ekaterinburg'",
            'kit.time_zone: "Asia/Ekaterinburg" is no time zone; did you mean Asia/',
        ),
        ("[kit]\ntime_zone = 'Asia'", 'kit.time_zone: "Asia" is no time zone'),
        ("[kit]\ntime_zone = '../localtime'", 'kit.time_zone: "../localtime" is no time zone'),
        ("[ssh]\nauthorized_keys = 'ssh-ed25519 A'", "ssh.authorized_keys: expected array"),
        (
            "[ssh]\nauthorized_keys = ['my key']",
            'ssh.authorized_keys: "my key" is no public key; write the line of a .pub',
        ),
        (f"[ssh]\nauthorized_keys = ['{KEY[:60]}']", 'ssh.authorized_keys: "ssh-ed25519 AAAA'),
        (f"[ssh]\nauthorized_keys = ['command=\"id\" {KEY}']", "ssh.authorized_keys: "),
        (f"[ssh]\nauthorized_keys = ['{KEY.replace('ssh-ed25519', 'ssh-rsa')}']", "ssh.authorized_keys: "),
        (f'[ssh]\nauthorized_keys = ["{KEY}\\n{KEY}"]', 'ssh.authorized_keys: "ssh-ed25519" goes on over'),
        (
            "[ssh]\nauthorized_keys = ['-----BEGIN OPENSSH PRIVATE KEY-----']",
            "ssh.authorized_keys: holds a private key",
        ),
        ("[relay\n", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _read(text)
    assert str(caught.value).startswith(f"parta.toml: {told}")


@pytest.fixture
def no_zones(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system that knows no time zones, as Windows."""
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()


@pytest.mark.usefixtures("no_zones")
def test_on_a_pc_that_knows_no_time_zones_the_form_is_checked_and_the_kit_checks_the_rest() -> None:
    assert _read("[kit]\ntime_zone = 'Asia/Yekaterinburg'").kit.time_zone == "Asia/Yekaterinburg"
    with pytest.raises(ConfigurationError, match=r'"UTC\+5:00" is no time zone; write it as "Asia/Yekaterinburg"'):
        _read("[kit]\ntime_zone = 'UTC+5:00'")


def test_a_wifi_whose_key_the_kit_has_needs_none_on_the_card() -> None:
    known = WifiPart(ssid="Школа")
    assert _read('[wifi]\nssid = "Школа"\n', known).wifi == known
    with pytest.raises(ConfigurationError, match=r"wifi\.psk"):
        _read('[wifi]\nssid = "Другая"\n', known)


def test_no_secret_stays_in_what_may_stay_on_the_card() -> None:
    eap = WifiPart(ssid="x", security="eap", identity="kit", password="p4ssword-of-the-kit", psk="k3y-of-the-kit")
    left = as_toml(without_secrets(BootFile(relay=RelayPart(enrol_code="C0DE"), wifi=eap)))
    assert not any(secret in left for secret in ("p4ssword", "k3y", "C0DE"))
    assert 'identity = "kit"' in left


def test_the_shipped_file_is_one_that_a_kit_takes_with_everything_in_it() -> None:
    """Commented keys included: they are what people will switch on."""
    shipped = (Path(__file__).parents[3] / "config" / "parta.toml").read_text(encoding="utf-8")
    assert _read(shipped).wifi.ssid == "School"
    every = re.sub(r"^# (\w+ = )", r"\1", shipped, flags=re.MULTILINE)
    boot = msgspec.to_builtins(_read(every))
    for section, part in (
        ("kit", KitPart),
        ("relay", RelayPart),
        ("wifi", WifiPart),
        ("lan", LanPart),
        ("ssh", SshPart),
    ):
        assert set(boot[section]) | {"security"} >= set(part.__struct_fields__), section


def test_tables_within_a_section_are_written_and_read_and_go_over_the_kits_own() -> None:
    boot = _read("[panel.pins]\nstart = 16\n")
    assert _read(as_toml(boot)) == boot
    pins = merged(KitSettings(), overrides_of(boot), origin="x").panel.pins
    assert pins == msgspec.structs.replace(KitSettings().panel.pins, start=16)


plain = st.text(max_size=20)
boot_files = st.builds(
    BootFile,
    kit=st.builds(KitPart, room=plain, class_name=plain),
    relay=st.builds(RelayPart, enrol_code=plain),
    wifi=st.builds(WifiPart, ssid=st.just("x"), security=st.just("open"), identity=plain, hidden=st.booleans()),
    lan=st.builds(LanPart, dns=st.just(("10.0.0.1", "10.0.0.2"))),
    camera=st.builds(dict, fps=st.integers(1, 60)),
)


@given(boot_files)
def test_what_is_written_is_read_the_same(boot: BootFile) -> None:
    assert _read(as_toml(boot)) == boot
