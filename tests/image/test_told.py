"""What is told of an image: its bill of materials, and the file that Raspberry Pi Imager reads."""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
from pathlib import Path

import msgspec
import pytest

from appliance.update.source import Channel
from scripts.image.__main__ import add_to_imager
from scripts.image.bill import STATUS, bill_of
from scripts.image.channel import channel_of

MADE_S = 1_790_000_000
STATUS_TEXT = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12
Description: words
 more words: with a colon

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: nftables
Status: install ok installed
Architecture: amd64
Version: 1:1.1.3-1
"""
#: What doc/json-schema/os-list-schema.json of raspberrypi/rpi-imager requires of an entry, and its types.
REQUIRED = {
    "name": str, "description": str, "icon": str, "url": str, "extract_size": int, "extract_sha256": str,
    "image_download_size": int, "release_date": str,
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with packages of both kinds."""
    (tmp_path / STATUS).parent.mkdir(parents=True)
    (tmp_path / STATUS).write_text(STATUS_TEXT)
    for site, name in (("opt/parta/lib/python3.13/site-packages", "Aio_HTTP"), ("opt/site", "gpiozero")):
        info = tmp_path / site / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.2\n\nWords\n")
    return tmp_path


def test_the_bill_names_every_package_that_is_installed(root: Path) -> None:
    bill = json.loads(bill_of(root, "0.1.0", MADE_S))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert sorted(each["purl"] for each in bill["components"]) == [
        "pkg:deb/debian/libc6@2.41-12?arch=amd64",
        "pkg:deb/debian/nftables@1:1.1.3-1?arch=amd64",
        "pkg:pypi/aio-http@1.2",
        "pkg:pypi/gpiozero@1.2",
    ]
    assert bill["metadata"]["component"]["version"] == "0.1.0"


def test_two_bills_of_one_image_are_one_file(root: Path) -> None:
    assert bill_of(root, "0.1.0", MADE_S) == bill_of(root, "0.1.0", MADE_S)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """An image, packed."""
    path = tmp_path / "parta-kit-0.1.0-arm64-pi5.img.xz"
    path.write_bytes(lzma.compress(b"image" * 1000))
    return path


def test_imager_is_told_what_it_checks(packed: Path) -> None:
    file = packed.with_name("parta-kit.imager.json")
    add_to_imager(packed, "pi5", "https://files.school.example/parta/", file, "0.1.0", str(MADE_S))
    [entry] = json.loads(file.read_bytes())["os_list"]
    assert {key: type(entry[key]) for key in REQUIRED} == REQUIRED
    assert entry["extract_size"] == 5000
    assert entry["extract_sha256"] == hashlib.sha256(b"image" * 1000).hexdigest()
    assert entry["image_download_size"] == packed.stat().st_size
    assert entry["image_download_sha256"] == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert entry["url"] == f"https://files.school.example/parta/{packed.name}"
    assert entry["release_date"] == "2026-09-21"
    assert entry["devices"] == ["pi5-64bit"]
    assert base64.b64decode(entry["icon"].partition(",")[2]).startswith(b"<svg")


def test_imager_is_told_to_write_what_a_kit_reads_and_does_not_run(packed: Path) -> None:
    file = packed.with_name("parta-kit.imager.json")
    add_to_imager(packed, "pi5", "https://files.school.example", file, "0.1.0", str(MADE_S))
    assert json.loads(file.read_bytes())["os_list"][0]["init_format"] == "cloudinit"


def test_one_file_names_the_images_of_all_families_each_once(packed: Path) -> None:
    file = packed.with_name("parta-kit.imager.json")
    for family in ("pi5", "zero2w", "pi5"):
        add_to_imager(packed, family, "https://files.school.example", file, "0.2.0", str(MADE_S))
    names = [entry["name"] for entry in json.loads(file.read_bytes())["os_list"]]
    assert names == ["Parta kit (Raspberry Pi 5)", "Parta kit (Raspberry Pi Zero 2 W)"]


def test_a_kit_reads_the_channel_that_is_published_beside_its_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "parta-kit-0.2.0-arm64-pi5.raucb"
    bundle.write_bytes(b"bundle")
    channel = msgspec.json.decode(channel_of(bundle, "0.2.0", "https://files.school.example/parta/"), type=Channel)
    assert (channel.version, channel.url) == ("0.2.0", f"https://files.school.example/parta/{bundle.name}")
    assert channel.sha256 == hashlib.sha256(b"bundle").hexdigest()
