"""Applying the boot file: all or nothing, secrets off the card, mistakes told; by the real command."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.boot import apply as apply_module
from appliance.boot.apply import ERROR_FILE
from appliance.boot.notice import read_notice
from appliance.boot.system_files import (
    CABLE_FILE,
    HOST_NAME_FILE,
    NTP_FILE,
    SSH_DOOR_FILE,
    SSH_KEYS_FILE,
    TIME_ZONE_LINK,
    WIFI_FILE,
)
from appliance.cli import CANNOT_START, OK, main
from appliance.durable import write_durably
from appliance.overrides import load_effective
from appliance.setup.pin import is_right, stored_pin
from tests.appliance.boot.test_file import KEY

GOOD = """
[relay]
url = "https://parta.school.example"
enrol_code = "C0DE-C0DE"
[wifi]
ssid = "School"
psk = "k3y of the school"
[lan]
ntp = ["ntp.school.example"]
[camera]
fps = 15
"""


@dataclass
class Box:
    """A card, a system and a kit's state."""

    folder: Path

    @property
    def card(self) -> Path:
        return self.folder / "boot" / "parta.toml"

    @property
    def config(self) -> Path:
        return self.folder / "kit.toml"

    def write(self, text: str) -> None:
        self.card.write_text(text, encoding="utf-8")

    def boot(self) -> int:
        """What happens at each start."""
        files = ("--file", str(self.card), "--root", str(self.folder / "root"))
        return main(["apply-boot-file", *files, "--config", str(self.config)])

    def system(self, path: str) -> str:
        return (self.folder / "root" / path).read_text()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path)
    box.card.parent.mkdir()
    box.config.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n[camera]\nfps = 10\nwidth = 640\n')
    return box


def test_the_setup_pages_pin_is_taken_over_as_a_hash_and_leaves_the_card(box: Box) -> None:
    box.write('[kit]\nsetup_pin = "27182818"\n[setup]\nport = 8095\n')
    assert box.boot() == OK
    kept = stored_pin(box.folder / "state")
    assert kept is not None
    assert is_right(kept, "27182818")
    assert "27182818" not in box.card.read_text(encoding="utf-8")
    assert load_effective(box.config).setup.port == 8095


def test_a_card_without_the_file_changes_nothing(box: Box) -> None:
    assert box.boot() == OK
    assert not (box.folder / "root").exists()


def test_what_it_says_goes_before_kit_toml_and_onto_the_system(box: Box) -> None:
    box.write(GOOD)
    before = os.umask(0o077)  # a service manager's choice must not hide the system's files from the system
    try:
        assert box.boot() == OK
    finally:
        os.umask(before)
    settings = load_effective(box.config)
    assert settings.relay.url == "https://parta.school.example"
    assert settings.relay.enrol_code == "C0DE-C0DE"
    assert (settings.camera.fps, settings.camera.width) == (15, 640)
    assert "psk=k3y of the school" in box.system(WIFI_FILE)
    assert (box.folder / "root" / WIFI_FILE).stat().st_mode & 0o777 == 0o600
    assert "ntp.school.example" in box.system(NTP_FILE)
    ntp = box.folder / "root" / NTP_FILE
    assert (ntp.stat().st_mode & 0o777, ntp.parent.stat().st_mode & 0o777) == (0o644, 0o755)


NAMED = """
[kit]
host_name = "kit-12"
time_zone = "Asia/Yekaterinburg"
[ssh]
authorized_keys = ["{key}"]
"""


def test_name_time_zone_and_ssh_are_the_systems_until_they_are_no_longer_said(box: Box) -> None:
    root = box.folder / "root"
    box.write(NAMED.format(key=KEY))
    assert box.boot() == OK
    assert box.system(HOST_NAME_FILE) == "kit-12\n"
    assert (root / TIME_ZONE_LINK).readlink() == Path("/usr/share/zoneinfo/Asia/Yekaterinburg")
    assert box.system(SSH_KEYS_FILE) == f"{KEY}\n"
    keys = root / SSH_KEYS_FILE  # as sshd wants them: to be read by the visitor, to be written by root alone
    assert (keys.stat().st_mode & 0o777, keys.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    assert KEY in box.card.read_text(encoding="utf-8"), "a public key is no secret"
    box.write('[kit]\ntime_zone = "UTC"\n')
    assert box.boot() == OK
    assert (root / TIME_ZONE_LINK).readlink() == Path("/usr/share/zoneinfo/UTC")
    assert not any((root / path).exists() for path in (HOST_NAME_FILE, SSH_KEYS_FILE, SSH_DOOR_FILE))


def test_a_system_that_cannot_be_written_keeps_its_name_and_its_time_zone(box: Box) -> None:
    box.write(NAMED.format(key=KEY))
    box.boot()
    (box.folder / "root" / SSH_DOOR_FILE).unlink()
    (box.folder / "root" / SSH_DOOR_FILE).mkdir()
    box.write(NAMED.format(key=KEY).replace("kit-12", "kit-13").replace("Asia/Yekaterinburg", "Europe/Moscow"))
    assert box.boot() == CANNOT_START
    assert box.system(HOST_NAME_FILE) == "kit-12\n"
    assert (box.folder / "root" / TIME_ZONE_LINK).readlink() == Path("/usr/share/zoneinfo/Asia/Yekaterinburg")


def test_codes_and_keys_leave_the_card_and_the_next_start_changes_nothing(box: Box) -> None:
    box.write(GOOD)
    box.boot()
    left = box.card.read_text()
    assert "C0DE" not in left
    assert "k3y" not in left
    assert 'ssid = "School"' in left
    assert box.boot() == OK
    assert box.card.read_text() == left
    assert "psk=k3y of the school" in box.system(WIFI_FILE)
    assert load_effective(box.config).relay.enrol_code == "C0DE-C0DE"


def test_a_change_of_the_stripped_file_keeps_the_wifis_key(box: Box) -> None:
    box.write(GOOD)
    box.boot()
    box.write(box.card.read_text().replace("fps = 15", "fps = 20"))
    assert box.boot() == OK
    assert load_effective(box.config).camera.fps == 20
    assert "psk=k3y of the school" in box.system(WIFI_FILE)


def test_what_is_no_longer_said_falls_back_to_kit_toml(box: Box) -> None:
    box.write(GOOD)
    box.boot()
    box.write('[relay]\nurl = "https://other.example"\n')
    assert box.boot() == OK
    settings = load_effective(box.config)
    assert (settings.relay.url, settings.camera.fps) == ("https://other.example", 10)
    assert settings.relay.enrol_code == ""  # a code is for its own relay, and for nobody else's eyes
    assert not (box.folder / "root" / WIFI_FILE).exists()
    assert not (box.folder / "root" / NTP_FILE).exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("fps", "fsp"), "camera.fsp: unknown key; did you mean fps?"),
        (GOOD.replace("k3y of the school", "short"), "wifi.psk"),
        (GOOD + "[broken", "not valid TOML"),
        (GOOD + "[kit]\nhost_name = 'kit 12'\n", "kit.host_name"),
        (GOOD + "[kit]\ntime_zone = 'Yekaterinburg'\n", "kit.time_zone"),
        (GOOD + "[ssh]\nauthorized_keys = ['ssh-ed25519']\n", "ssh.authorized_keys"),
        (GOOD.replace("[wifi]", '[wifi]\nca_file = "none.pem"'), "wifi.ca_file: none.pem cannot be read beside it"),
    ],
)
def test_a_mistake_leaves_everything_as_it_was_and_is_told_on_the_card_and_in_the_status(
    box: Box, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    box.write(GOOD)
    box.boot()
    before = load_effective(box.config), box.system(WIFI_FILE)
    box.write(text.replace("parta.school.example", "wrong.example"))
    assert box.boot() == CANNOT_START
    assert (load_effective(box.config), box.system(WIFI_FILE)) == before
    assert told in capsys.readouterr().err
    assert told in box.card.with_name(ERROR_FILE).read_text(encoding="utf-8")
    notice = read_notice(box.folder / "state")
    assert notice is not None
    assert notice.key == "boot_file_refused"
    assert told in notice.reason


def test_a_mistake_never_tells_a_secret(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.write(GOOD.replace("[wifi]", "[wifi]\nhidden = 3"))
    assert box.boot() == CANNOT_START
    told = capsys.readouterr().err + box.card.with_name(ERROR_FILE).read_text(encoding="utf-8")
    assert "k3y" not in told
    assert "C0DE" not in told


def test_a_mistake_that_was_put_right_is_told_no_more(box: Box) -> None:
    box.write("[broken")
    box.boot()
    box.write(GOOD)
    assert box.boot() == OK
    assert not box.card.with_name(ERROR_FILE).exists()
    assert read_notice(box.folder / "state") is None


def test_a_system_that_cannot_be_written_gets_back_what_it_had(box: Box) -> None:
    box.write(GOOD)
    box.boot()
    (box.folder / "root" / CABLE_FILE).mkdir(parents=True)
    before = load_effective(box.config), box.system(WIFI_FILE)
    box.write(GOOD.replace("k3y of", "an0ther k3y of").replace("fps = 15", "fps = 30"))
    assert box.boot() == CANNOT_START
    assert (load_effective(box.config), box.system(WIFI_FILE)) == before


def test_a_power_cut_before_the_card_was_stripped_only_means_doing_it_again(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_durably

    def cut(path: Path, content: bytes) -> None:
        if path == box.card:
            raise KeyboardInterrupt
        real(path, content)

    box.write(GOOD)
    with monkeypatch.context() as patched:
        patched.setattr(apply_module, "write_durably", cut)
        assert box.boot() != OK
    assert box.card.read_text() == GOOD
    assert box.boot() == OK
    assert "C0DE" not in box.card.read_text()
    assert "psk=k3y of the school" in box.system(WIFI_FILE)


def test_a_file_that_notepad_saved_is_read(box: Box) -> None:
    box.card.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert box.boot() == OK
    assert load_effective(box.config).camera.fps == 15


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (GOOD.replace("School", "Школа").encode("cp1251"), "not UTF-8 text"),
        (b"#" * 70_000, "is larger than 65536 bytes"),
    ],
    ids=["cp1251", "large"],
)
def test_what_is_no_such_text_is_refused_and_told(box: Box, content: bytes, told: str) -> None:
    box.card.write_bytes(content)
    assert box.boot() == CANNOT_START
    assert told in box.card.with_name(ERROR_FILE).read_text(encoding="utf-8")


def test_a_card_that_cannot_be_written_is_told_in_the_status(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def protected(path: Path, content: bytes) -> None:
        if path.parent == box.card.parent:
            raise OSError(30, "Read-only file system")
        write_durably(path, content)

    monkeypatch.setattr(apply_module, "write_durably", protected)
    box.write(GOOD)
    assert box.boot() == CANNOT_START
    notice = read_notice(box.folder / "state")
    assert notice is not None
    assert "Read-only file system" in notice.reason


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_keeps_for_the_kit_can_be_read_by_the_kit(box: Box) -> None:
    nobody = 65534
    state = box.folder / "state"
    state.mkdir()
    os.chown(state, nobody, nobody)
    (box.card.parent / "school.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    box.write(GOOD.replace("[relay]", '[relay]\nca_file = "school.pem"'))
    assert box.boot() == OK
    assert load_effective(box.config).relay.ca_file == str(state / "relay-ca.pem")
    assert {path.stat().st_uid for path in state.iterdir()} == {nobody}
