"""``parta-kit enrol-files``: a table in, one boot file per room out, each one that a kit will take."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from appliance.boot.file import read_boot_file
from appliance.cli import CANNOT_START, OK, main
from appliance.commands.box_sheet import Slip, box_sheet
from appliance.commands.enrol_files import rooms_of
from appliance.settings import KitSettings
from appliance.setup.pin import is_pin, spoken
from config.strict_toml import ConfigurationError
from tests.appliance.boot.test_file import KEY

HEADING = "room,class,relay,code,wifi_ssid,wifi_security,wifi_psk,wifi_identity,wifi_password,address,gateway,ntp"
ROW_12 = "12,7Б,https://parta.example,AAAA-1111,School,psk,long enough,,,192.168.1.12/24,192.168.1.1,ntp.a ntp.b"
ROW_13 = "Кабинет 13,8А,https://parta.example,BBBB-2222,School,eap,,kit13,pass word,,,"


class _Texts(HTMLParser):
    """The texts of each list item."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "li":
            self.items.append([])

    def handle_data(self, data: str) -> None:
        if self.items and data.strip():
            self.items[-1].append(data.strip())


def _slips(sheet: Path) -> list[list[str]]:
    texts = _Texts()
    texts.feed(sheet.read_text(encoding="utf-8"))
    return texts.items


def _table(*rows: str) -> str:
    return "\n".join([HEADING, *rows]) + "\n"


def test_each_row_is_a_file_that_a_kit_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "rooms.csv"
    table.write_text(_table(ROW_12, ROW_13), encoding="utf-8-sig")
    assert main(["enrol-files", str(table), "--out", str(tmp_path / "out")]) == OK
    assert "2 files" in capsys.readouterr().out
    text = (tmp_path / "out" / "12" / "parta.toml").read_text(encoding="utf-8")
    boot = read_boot_file(text, KitSettings(), origin="parta.toml")
    assert (boot.kit.class_name, boot.relay.enrol_code, boot.wifi.psk) == ("7Б", "AAAA-1111", "long enough")
    assert (boot.lan.address, boot.lan.ntp) == ("192.168.1.12/24", ("ntp.a", "ntp.b"))
    assert (tmp_path / "out" / "Кабинет-13" / "parta.toml").exists()
    assert (tmp_path / "out" / "12" / "parta.toml").stat().st_mode & 0o777 == 0o600


def test_a_room_may_name_its_kit_its_time_zone_its_updates_and_who_may_log_in() -> None:
    rooms = rooms_of(
        "room,relay,code,host_name,time_zone,update_channel,ssh_keys\n"
        f'12,https://a,C,kit-12,Asia/Omsk,https://files/channel.json,"{KEY}\n{KEY}"\n',
        origin="rooms.csv",
    )
    boot = rooms["12"].boot
    assert (boot.kit.host_name, boot.kit.time_zone) == ("kit-12", "Asia/Omsk")
    assert boot.ssh.authorized_keys == (KEY, KEY)
    assert boot.update == {"channel": "https://files/channel.json"}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("12,kit_12,,", "row 2: host_name: "),
        ("12,,Omsk,", 'row 2: time_zone: "Omsk" is no time zone; did you mean Asia/Omsk?'),
        ("12,,,key", 'row 2: ssh_keys: "key" is no public key'),
        ("12,kit,,\n13,kit,,", "row 3: host_name: kit is there already"),
    ],
)
def test_a_name_a_zone_or_a_key_that_is_none_is_told_with_its_row(rows: str, told: str) -> None:
    table = "".join(f"https://a,C,{row}\n" for row in rows.splitlines())
    with pytest.raises(ConfigurationError) as caught:
        rooms_of(f"relay,code,room,host_name,time_zone,ssh_keys\n{table}", origin="rooms.csv")
    assert told in str(caught.value)


def test_every_room_has_a_pin_of_its_own_and_a_slip_for_its_box(tmp_path: Path) -> None:
    table = tmp_path / "rooms.csv"
    heading, *rows = _table(ROW_12, ROW_13).splitlines()
    table.write_text("\n".join([f"{heading},setup_pin", f"{rows[0]},27182818", f"{rows[1]},"]), encoding="utf-8")
    assert main(["enrol-files", str(table), "--out", str(tmp_path / "out")]) == OK
    boot = {
        room: read_boot_file((tmp_path / "out" / room / "parta.toml").read_text(), KitSettings(), origin="parta.toml")
        for room in ("12", "Кабинет-13")
    }
    assert boot["12"].kit.setup_pin == "27182818"
    assert is_pin(boot["Кабинет-13"].kit.setup_pin)
    slips = _slips(tmp_path / "out" / "boxes.html")
    assert [slip[0] for slip in slips] == ["12", "Кабинет 13"]
    for file, slip in zip(boot.values(), slips, strict=True):
        assert file.kit.class_name in slip
        assert spoken(file.kit.setup_pin) in slip
    assert (tmp_path / "out" / "boxes.html").stat().st_mode & 0o777 == 0o600


def test_a_class_link_is_printed_for_its_box_and_is_not_on_the_card(tmp_path: Path) -> None:
    table = tmp_path / "rooms.csv"
    link = "https://parta.example/c/vOFW28scGlRSbFgdynkjaQ"
    table.write_text(f"room,relay,code,class_link\n12,https://a,C,{link}\n13,https://a,D,\n", encoding="utf-8")
    assert main(["enrol-files", str(table), "--out", str(tmp_path / "out")]) == OK
    with_link, without = _slips(tmp_path / "out" / "boxes.html")
    assert link in with_link  # the QR code's title, for whoever does not see it
    assert "Class link" in with_link
    assert "Class link" not in without
    assert link not in (tmp_path / "out" / "12" / "parta.toml").read_text(encoding="utf-8")


def test_what_a_table_says_is_text_on_the_sheet() -> None:
    page = box_sheet([Slip("<b>12</b>", "7 & 8", "27182818")])
    assert "<b>" not in page
    assert "&lt;b&gt;12&lt;/b&gt;" in page
    assert "7 &amp; 8" in page


def test_a_link_that_is_none_is_told_with_its_row() -> None:
    with pytest.raises(ConfigurationError, match="row 2: class_link: is no link of a class"):
        rooms_of("room,relay,code,class_link\n12,https://a,C,https://a/fleet\n", origin="rooms.csv")


def test_a_pin_that_is_none_is_told_with_its_row() -> None:
    with pytest.raises(ConfigurationError, match="row 2: setup_pin: has to be 8 digits"):
        rooms_of("room,relay,code,setup_pin\n12,https://a,C,1234\n", origin="rooms.csv")


def test_a_table_parted_by_semicolons_is_read_too() -> None:
    rooms = rooms_of("room;relay;code\n12;https://a;C\n", origin="rooms.csv")
    assert rooms["12"].boot.relay.url == "https://a"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (ROW_12.replace("long enough", "short"), "rooms.csv, row 2: wifi_psk: must be a password"),
        (ROW_12.replace("https://parta.example", "parta.example"), "rooms.csv, row 2: relay: must start with https://"),
        (ROW_12.replace("psk,", "wep,"), "rooms.csv, row 2: wifi_security: invalid enum value 'wep'"),
        (ROW_12.replace("192.168.1.1,", "10.0.0.1,"), "rooms.csv, row 2: gateway:"),
        (ROW_12.replace("AAAA-1111", ""), "rooms.csv, row 2: code: is empty"),
        (ROW_12 + "\n" + ROW_12, "rooms.csv, row 3: room: 12 is there already"),
        (ROW_12 + "\n" + ROW_13.replace("pass word", ""), "rooms.csv, row 3: wifi_identity: and wifi_password"),
        (ROW_12 + ",more", "rooms.csv, row 2: has another number of columns"),
        ("12,7Б", "rooms.csv, row 2: has another number of columns"),
        ("", "rooms.csv: holds no room"),
    ],
)
def test_what_is_wrong_is_named_with_row_and_column(rows: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rooms_of(_table(*([rows] if rows else [])), origin="rooms.csv")
    assert str(caught.value).startswith(told)


def test_every_wrong_row_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        rooms_of(_table(ROW_12.replace("long enough", "short"), ROW_13.replace("pass word", "")), origin="rooms.csv")
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "rooms.csv, row 2",
        "rooms.csv, row 3",
    ]


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        ("room,relay,kode", "'kode': unknown column"),
        ("room,relay", "the column 'code' is missing"),
        ("room,relay,code,room", "a column is there twice"),
    ],
)
def test_a_wrong_heading_is_told(heading: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rooms_of(f"{heading}\n12,https://a,C\n", origin="rooms.csv")
    assert told in str(caught.value)


def test_nothing_is_written_unless_every_row_is_right(tmp_path: Path) -> None:
    table = tmp_path / "rooms.csv"
    table.write_text(_table(ROW_12, ROW_13.replace("pass word", "")), encoding="utf-8")
    assert main(["enrol-files", str(table), "--out", str(tmp_path / "out")]) == CANNOT_START
    assert not (tmp_path / "out").exists()
