"""image-build/: what rpi-image-gen would refuse is refused here, and what the kit keeps is kept by every layout."""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from appliance.boot.system_files import HOST_NAME_FILE, SSH_DOOR, SSH_DOOR_FILE, SSH_KEYS_FILE, TIME_ZONE_LINK
from appliance.settings import KitSettings
from appliance.update.trial import FOLDER
from config.strict_toml import parse
from scripts.image.imager import FAMILIES
from scripts.image.layer import LAYERS, LayerWrong, header, read_layer

ROOT = LAYERS.parents[1]
CONFIGS = LAYERS.parent / "config"
FILES = LAYERS / "parta-kit.d" / "files"
SLOTS = {"pi4", "pi5", "cm4", "cm5"}  # what image-rota itself accepts
#: rpi-image-gen's own layers that ours name, as its repository has them; a name beside these has to be a file of ours.
THEIRS = {
    "debian-trixie-arm64-multi", "rpi-debian-trixie", "systemd-min", "image-base", "device-base", "image-rota",
    "rpi3", "rpi4", "rpi5", "rpi-cm4", "rpi-cm5", "rpizero2w",
}  # fmt: skip
GOOD = "# METABEGIN\n# X-Env-Layer-Name: a\n# X-Env-Layer-Version: 1.0.0\n# METAEND\n"


def layer_files() -> list[Path]:
    """Every layer."""
    return sorted(LAYERS.glob("*.yaml"))


def kept() -> list[str]:
    """The paths that survive an update."""
    text = (FILES / "etc/rpi-image-gen/slot-shared.d/parta-kit.conf").read_text(encoding="utf-8")
    assert "Version=1\n" in text
    return re.findall(r"^Path=(/.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", layer_files(), ids=lambda path: path.stem)
def test_a_layer_is_called_like_its_file_and_needs_only_layers_that_there_are(path: Path) -> None:
    layer = read_layer(path)
    assert layer.name == path.stem
    assert set(layer.requires) <= THEIRS | {each.stem for each in layer_files()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mmdebstrap: {}\n", "METABEGIN"),
        (GOOD.replace("Name: a", "Name:"), "X-Env-Layer-Name is missing"),
        (GOOD.replace("1.0.0", "1.0"), "three numbers"),
        (GOOD.replace("# METAEND", "# X-Env-Layer-Needs: b\n# METAEND"), "X-Env-Layer-Needs: no such field"),
        (GOOD.replace("# METAEND", "# X-Env-Layer-Name: b\n# METAEND"), "twice"),
        (GOOD.replace("# METAEND", "# X-Env-Var-size: 1\n# METAEND"), "VarPrefix is missing"),
        (GOOD.replace("# METAEND", "# X-Env-VarPrefix: a\n# X-Env-Var-b-Set: y\n# METAEND"), "no X-Env-Var-b"),
        (GOOD.replace("# METAEND", "# X-Env-VarPrefix: a\n# X-Env-Var-b: 1\n# X-Env-Var-b-Set: j\n# METAEND"), "'j'"),
    ],
)
def test_a_header_that_rpi_image_gen_would_not_take_is_refused(text: str, said: str) -> None:
    with pytest.raises(LayerWrong, match=re.escape(said)):
        header(text, "a.yaml")


def test_a_body_with_a_key_that_mmdebstrap_does_not_know_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD + "---\nmmdebstrap:\n  customise-hooks: [true]\n")
    with pytest.raises(LayerWrong, match="customise-hooks"):
        read_layer(path)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"emulation", "emulation-arm64"}))
def test_a_family_of_boards_has_its_layers(family: str) -> None:
    said = yaml.safe_load((CONFIGS / f"{family}.yaml").read_text(encoding="utf-8"))
    common = yaml.safe_load((CONFIGS / said["include"]["file"]).read_text(encoding="utf-8"))
    layout = said["image"]["layer"]
    assert layout == ("image-rota" if family in SLOTS else "parta-card")
    named = {said["device"]["layer"], layout, *common["layer"].values(), *said.get("layer", {}).values()}
    assert named <= THEIRS | {path.stem for path in layer_files()}
    assert ("parta-slots" in named) == (family in SLOTS)


def test_all_that_the_units_may_write_is_kept() -> None:
    units = [ROOT / "systemd/parta-kit.service", ROOT / "systemd/parta-boot-file.service"]
    text = "\n".join(unit.read_text(encoding="utf-8") for unit in units)
    writes = {
        path.removeprefix("-")
        for line in re.findall(r"^ReadWritePaths=(.*)$", text, re.MULTILINE)
        for path in line.split()
    }
    writes |= {f"/var/lib/{name}" for name in re.findall(r"^StateDirectory=(.*)$", text, re.MULTILINE)}
    assert writes - {"/boot/firmware"} <= set(kept())


def test_what_the_kit_keeps_by_its_settings_is_kept() -> None:
    settings = parse((FILES / "etc/parta/kit.toml").read_text(encoding="utf-8"), KitSettings, origin="kit.toml")
    assert settings.kit.state_dir in kept()
    assert (settings.camera.kind, settings.microphone.kind, settings.panel.kind) == ("picamera2", "alsa", "gpio")


def test_the_firewall_lets_in_what_the_kit_listens_on_and_nothing_else() -> None:
    text = (FILES / "etc/nftables.conf").read_text(encoding="utf-8")
    assert "hook input priority filter; policy drop;" in text
    assert re.findall(r"^\s+(tcp|udp) dport (\d+) accept", text, re.MULTILINE) == [
        ("udp", "5353"),
        ("tcp", str(KitSettings().setup.port)),
    ]


def test_the_image_s_system_reads_what_the_cards_file_becomes() -> None:
    """The one writes where the other looks: ``appliance/boot/system_files.py`` and the files of the image."""
    install = (LAYERS / "parta-kit.d" / "install").read_text(encoding="utf-8")
    for path in (HOST_NAME_FILE, TIME_ZONE_LINK):
        assert f'ln -sf {path.removeprefix("etc/")} "$root/etc/{Path(path).name}"' in install
    units = FILES / "etc/systemd/system"
    assert f"ConditionPathExists=/{SSH_KEYS_FILE}\n" in (units / "parta-ssh.service").read_text(encoding="utf-8")
    sshd = (FILES / "usr/lib/parta/sshd_config").read_text(encoding="utf-8").splitlines()
    assert f"AuthorizedKeysFile /{SSH_KEYS_FILE}" in sshd
    assert f'include "/{Path(SSH_DOOR_FILE).parent}/*.nft"' in (FILES / "etc/nftables.conf").read_text(encoding="utf-8")
    assert SSH_DOOR.startswith("add rule inet parta input tcp dport 22 accept")
    for unit in ("parta-host-name.service", "parta-ssh.service", "nftables.service.d/parta.conf"):
        [after] = re.findall(r"^After=(.*)$", (units / unit).read_text(encoding="utf-8"), re.MULTILINE)
        assert "parta-boot-file.service" in after.split(), "a new file holds from the start that takes it over"


def test_nobody_comes_by_ssh_without_a_key_as_root_or_further_than_the_kit() -> None:
    said = dict(
        line.split(" ", 1)
        for line in (FILES / "usr/lib/parta/sshd_config").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    wanted = {
        "AllowUsers": "parta", "AuthenticationMethods": "publickey", "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no", "PermitRootLogin": "no", "UsePAM": "no", "DisableForwarding": "yes",
    }  # fmt: skip
    assert wanted.items() <= said.items()
    unit = (FILES / "etc/systemd/system/parta-ssh.service").read_text(encoding="utf-8")
    shut = {"PrivateDevices=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectProc=invisible"}
    assert shut <= {*unit.splitlines()}


def test_the_command_is_the_one_that_the_package_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]["parta-kit"]
    module, _, function = declared.partition(":")
    text = (FILES / "opt/parta/bin/parta-kit").read_text(encoding="utf-8")
    assert f"from {module} import {function}\n" in text
    assert f"sys.exit({function}())" in text


@pytest.mark.parametrize(
    "name",
    [
        "parta-kit.d/install",
        "parta-card.d/hooks/preimage50-card",
        *(f"parta-kit.d/files/usr/lib/parta/{name}" for name in ("grow", "host-name", "ssh-host-key")),
        "parta-slots.d/install",
        "parta-slots.d/files/usr/lib/parta/slots",
    ],
)
def test_what_is_run_can_be_run(name: str) -> None:
    assert os.access(LAYERS / name, os.X_OK)


def test_a_bundle_of_one_family_is_not_for_another() -> None:
    for family in SLOTS:
        said = yaml.safe_load((CONFIGS / f"{family}.yaml").read_text(encoding="utf-8"))
        assert said["partaslots"]["compatible"] == f"parta-kit-{family}"


def test_rauc_writes_to_the_partitions_that_the_layout_makes() -> None:
    layout = (LAYERS / "parta-card.d/genimage-slots.cfg.in").read_text(encoding="utf-8")
    partitions = re.findall(r"^    partition (\w+) \{", layout, re.MULTILINE)
    assert partitions == ["bootconfig", "boot_a", "boot_b", "system_a", "system_b", "persistent"]  # as image-rota's
    conf = configparser.ConfigParser()
    conf.read(LAYERS / "parta-slots.d/files/etc/rauc/system.conf", encoding="utf-8")
    slots = {name: conf[name] for name in conf.sections() if name.startswith("slot.")}
    named = {slot["device"].removeprefix("/dev/disk/by-partlabel/") for slot in slots.values()}
    assert named == {*partitions} - {"bootconfig", "persistent"}
    assert {slot.get("bootname") for slot in slots.values()} == {"A", "B", None}
    handler = conf["handlers"]["bootloader-custom-backend"]
    assert (LAYERS / f"parta-slots.d/files{handler}").exists()


def test_what_one_slot_has_to_know_of_the_other_is_kept() -> None:
    files = LAYERS / "parta-slots.d/files"
    text = (files / "etc/rpi-image-gen/slot-shared.d/parta-slots.conf").read_text(encoding="utf-8")
    conf = configparser.ConfigParser()
    conf.read(files / "etc/rauc/system.conf", encoding="utf-8")
    assert f"Path={FOLDER}\n" in text
    assert Path(conf["system"]["data-directory"]).parent == FOLDER
