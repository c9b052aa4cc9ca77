"""``parta-kit update``: what it makes of RAUC's, the kit's and a web server's answers, what it refuses, and its words.

curl and TLS are the real ones. Not here: RAUC, slots and restarts, which only a booted image has
(``tests/image/test_update.py``), the firmware's side (``tests/image/test_slots.py``), and what becomes of a version
that was tried (``test_update_trials.py``).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from appliance.cli import CANNOT_START, OK, main
from appliance.commands import update as commands
from appliance.errors import UpdateRefused, UpdateUnavailable
from appliance.hw.base import Face, Fault, LinkFace
from appliance.service_report import status_text
from appliance.settings import CameraSection, KitSettings, RelaySection
from appliance.update import engine
from appliance.update.engine import slots_of
from appliance.update.kit_state import AT_REST, KitState, camera_is_seen, state_of
from appliance.update.source import check_sum, copied, downloaded, is_newer, read_channel
from appliance.update.tools import follow, run
from appliance.update.trial import Trial, missing
from tests.appliance.stream.test_way import _certificate
from tests.running import free_port

UP = LinkFace(control="up", publisher="up")
FAST = 1_000_000
BUNDLE = os.urandom(300_000)


def ready(said: str = "ready") -> KitState:
    """A kit that its service manager calls ready."""
    return KitState("active", "success", said)


def status(running: str, **other: Any) -> dict[str, Any]:
    """RAUC's status, as ``rauc status --detailed --output-format=json`` of 1.13 prints it."""
    slots = []
    for name, index in (("A", 0), ("B", 1)):
        booted = name == running
        system = {
            "class": "system", "device": f"/dev/disk/by-partlabel/system_{name.lower()}", "type": "raw",
            "bootname": name, "state": "booted" if booted else "inactive", "parent": None, "mountpoint": None,
            "boot_status": "good" if booted else "bad", "slot_status": {} if booted else other,
        }  # fmt: skip
        boot = {**system, "class": "boot", "bootname": None, "parent": f"system.{index}", "boot_status": None}
        slots += [{f"system.{index}": system}, {f"boot.{index}": boot}]
    return {"compatible": "parta-kit", "booted": running, "boot_primary": "system.0", "slots": slots}


def test_the_slots_are_read_from_rauc_s_status() -> None:
    slots = slots_of(status("A", bundle={"version": "0.2.0"}, status="ok"))
    assert (slots.running.name, slots.other.name, slots.next) == ("A", "B", "A")
    assert (slots.other.version, slots.other.whole, slots.on_trial) == ("0.2.0", True, False)


@pytest.mark.parametrize(
    ("known", "whole"),
    [({}, None), ({"status": "pending"}, False), ({"status": "failed"}, False), ({"status": "ok"}, True)],
)
def test_a_slot_that_was_not_written_to_its_end_is_no_version(known: dict[str, str], whole: bool | None) -> None:
    assert slots_of(status("B", **known)).other.whole is whole


def test_a_system_that_the_kit_s_firmware_did_not_start_is_told_apart() -> None:
    with pytest.raises(UpdateUnavailable, match="which slot runs"):
        slots_of(status("neither"))


@pytest.mark.parametrize(
    ("face", "in_use", "reaches_relay"),
    [
        (Face(link=UP), False, True),
        (Face(), False, False),
        (Face(link=LinkFace(control="not_enrolled")), False, False),
        (Face(state="fault", tally="fault", link=UP, fault=Fault("camera", "no camera")), False, True),
        (Face(link=UP, notice=Fault("boot_file_refused", "parta.toml: wrong")), False, True),
        (Face(state="preview", link=UP), True, True),
        (Face(state="starting", tally="connecting", link=UP), True, True),
        (Face(state="live", tally="on_air", link=UP), True, True),
        (Face(state="degraded", tally="not_live"), True, False),
        (Face(state="curtain", tally="curtain", link=UP), True, True),
        (Face(state="ending", link=UP), True, True),
    ],
)
def test_what_the_kit_says_to_its_service_manager_is_understood(face: Face, in_use: bool, reaches_relay: bool) -> None:
    kit = ready(status_text(face))
    assert (kit.in_use, kit.reaches_relay) == (in_use, reaches_relay)


def test_a_kit_that_does_not_run_is_not_in_use() -> None:
    kit = state_of("Result=exit-code\nActiveState=failed\nStatusText=on air, 3 viewers\n")
    assert (kit.ready, kit.gave_up, kit.in_use, kit.reaches_relay) == (False, True, False, False)
    assert "on air" not in AT_REST


@pytest.mark.parametrize(
    ("before", "kit", "camera", "owes"),
    [
        (Trial(slot="B", version="2"), KitState("activating", "success", ""), True, "not ready"),
        (Trial(slot="B", version="2"), ready("ready, no relay"), False, ""),
        (Trial(slot="B", version="2", relay=True), ready("ready, no relay"), True, "relay"),
        (Trial(slot="B", version="2", relay=True), ready(""), True, "relay"),
        (Trial(slot="B", version="2", relay=True), ready(), True, ""),
        (Trial(slot="B", version="2", camera=True), ready(), False, "camera"),
        (Trial(slot="B", version="2", camera=True, relay=True), ready("on air"), True, ""),
    ],
)
def test_a_version_owes_what_the_one_before_had(before: Trial, kit: KitState, camera: bool, owes: str) -> None:
    assert owes in missing(before, kit, camera=camera)
    assert (missing(before, kit, camera=camera) == "") == (owes == "")


@pytest.mark.parametrize(
    ("version", "than", "newer"),
    [("0.2.0", "0.1.9", True), ("0.10.0", "0.9.0", True), ("1.0", "1.0.0", False), ("0.1.0", "0.1.0", False)],
)
def test_versions_are_compared_number_by_number(version: str, than: str, newer: bool) -> None:
    assert is_newer(version, than) is newer


class Web:
    """Serves a bundle and its channel by TLS; counts the bytes of each answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A file, or a part of it."""
        self.asked.append(request.headers.get("Range", ""))
        return web.FileResponse(self.folder / request.match_info["name"])


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Web, str, RelaySection]]:
    """The server, its address, and the settings of a kit that trusts it."""
    public, private = _certificate(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(public, private)
    files, app, port = Web(folder), web.Application(), free_port()
    app.router.add_get("/{name}", files.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    try:
        yield files, f"https://127.0.0.1:{port}", RelaySection(ca_file=str(public))
    finally:
        await runner.cleanup()


async def fetched(url: str, relay: RelaySection, folder: Path, *, in_use: bool = False) -> Path:
    """Fetch it as the command does."""
    return await asyncio.to_thread(downloaded, url, relay, FAST, folder, lambda: in_use)


async def test_a_download_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.raucb").write_bytes(BUNDLE)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "older.part").write_bytes(b"of another version")
    async with serving(tmp_path) as (files, url, relay):
        part = kept / f"{hashlib.sha256(f'{url}/a.raucb'.encode()).hexdigest()[:16]}.part"
        part.write_bytes(BUNDLE[:100_000])
        bundle = await fetched(f"{url}/a.raucb", relay, kept)
        assert files.asked == ["bytes=100000-"]
    assert bundle.read_bytes() == BUNDLE
    assert [each.name for each in kept.iterdir()] == [bundle.name]
    check_sum(bundle, hashlib.sha256(BUNDLE).hexdigest())
    with pytest.raises(UpdateRefused, match="SHA-256"):
        check_sum(bundle, "0" * 64)
    assert not bundle.exists(), "it would take a lesson's room until the next update"


async def test_a_server_that_is_not_to_be_trusted_is_asked_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.raucb").write_bytes(BUNDLE)
    async with serving(tmp_path) as (files, url, _):
        with pytest.raises(UpdateUnavailable, match="could not be fetched"):
            await fetched(f"{url}/a.raucb", RelaySection(), tmp_path)
        assert files.asked == []


async def test_the_channel_announces_a_version(tmp_path: Path) -> None:
    said = {"version": "0.2.0", "url": "https://files.school.example/a.raucb", "sha256": "0" * 64}
    (tmp_path / "channel.json").write_text(json.dumps(said))
    (tmp_path / "plain.json").write_text(json.dumps({**said, "url": "http://files.school.example/a.raucb"}))
    async with serving(tmp_path) as (_, url, relay):
        channel = await asyncio.to_thread(read_channel, f"{url}/channel.json", relay)
        assert msgspec.to_builtins(channel) == said
        with pytest.raises(UpdateUnavailable, match="is no channel file"):
            await asyncio.to_thread(read_channel, f"{url}/plain.json", relay)
        with pytest.raises(UpdateUnavailable, match="cannot be read"):
            await asyncio.to_thread(read_channel, f"{url}/nothing.json", relay)


def test_a_file_on_a_stick_is_copied_where_nobody_can_exchange_it(tmp_path: Path) -> None:
    stick, kept = tmp_path / "a.raucb", tmp_path / "kept"
    kept.mkdir()
    stick.write_bytes(BUNDLE)
    assert copied(stick, kept).read_bytes() == BUNDLE
    with pytest.raises(UpdateRefused, match="No such file"):
        copied(tmp_path / "b.raucb", kept)


def test_a_lesson_that_begins_while_a_stick_is_copied_is_not_disturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick, kept = tmp_path / "a.raucb", tmp_path / "kept"
    kept.mkdir()
    stick.write_bytes(BUNDLE)
    said = [ready("on air"), ready("on air"), ready()]
    installed: list[tuple[bytes, KitState]] = []

    def kit_state() -> KitState:
        return said.pop(0) if len(said) > 1 else said[0]

    monkeypatch.setattr(commands, "FOLDER", kept)
    monkeypatch.setattr(commands, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(commands, "read_kit_state", kit_state)
    monkeypatch.setattr(commands, "write_trial", lambda trial: None)
    monkeypatch.setattr(engine, "read_slots", lambda: slots_of(status("A", bundle={"version": "0.2.0"})))
    monkeypatch.setattr(engine, "install", lambda bundle, told: installed.append((bundle.read_bytes(), said[0])))
    monkeypatch.setattr(engine, "restart", lambda: installed.append((b"", said[0])))
    assert commands.install_file(KitSettings(), stick) == OK
    assert installed == [(BUNDLE, ready()), (b"", ready())]
    assert list(kept.iterdir()) == []


def test_a_camera_that_is_no_device_is_there() -> None:
    assert camera_is_seen(CameraSection(kind="simulated"))


def test_a_program_that_is_missing_or_slow_is_an_answer_too() -> None:
    assert run(["no-such-program-of-parta"], 5).code is None
    assert "has not answered within 0 s" in run(["sleep", "5"], 0.05).complained
    lines: list[str] = []
    assert follow(["sh", "-c", "echo 0%; echo wrong >&2; exit 3"], lines.append) == 3
    assert lines == ["0%", "wrong"]


@pytest.mark.parametrize("words", [["status"], ["install", "a.raucb"], ["rollback"]])
def test_a_system_without_slots_says_how_it_is_updated_instead(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "kit.toml"
    config.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n')
    assert main(["update", *words, "--config", str(config)]) == CANNOT_START
    told = capsys.readouterr().err
    assert "docs/service.md" in told
    assert "write the new image to the card" in told


def test_a_check_without_a_channel_says_how_to_name_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "kit.toml"
    config.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n')
    assert main(["update", "check", "--config", str(config)]) == CANNOT_START
    assert "--channel" in capsys.readouterr().err
    config.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n[update]\nchannel = "http://a.example"\n')
    assert main(["check", "--config", str(config)]) == CANNOT_START
    assert "update.channel: must start with https://" in capsys.readouterr().err


def test_without_a_channel_a_night_brings_nothing_and_that_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "kit.toml"
    config.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n')
    assert main(["update", "install", "--if-newer", "--config", str(config)]) == OK
    assert capsys.readouterr().out == "No channel is set: nothing to look for.\n"


async def test_a_check_compares_with_what_is_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"version": "999.0", "url": "https://files.school.example/a.raucb", "sha256": "0" * 64}
    (tmp_path / "channel.json").write_text(json.dumps(said))
    async with serving(tmp_path) as (_, url, relay):
        config = tmp_path / "kit.toml"
        config.write_text(f'[kit]\nstate_dir = "{tmp_path / "state"}"\n[relay]\nca_file = "{relay.ca_file}"\n')
        words = ["update", "check", "--channel", f"{url}/channel.json", "--config", str(config)]
        assert await asyncio.to_thread(main, words) == OK
    assert "999.0 is there" in capsys.readouterr().out
