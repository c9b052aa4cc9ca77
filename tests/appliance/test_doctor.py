"""``parta-kit doctor``, whole: against the real relay and engine, with this kit's cameras, microphones and panel."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.capture.base import Camera, Microphone
from appliance.cli import OK, main
from appliance.commands import doctor as doctor_module
from appliance.commands.doctor import NOT_READY
from appliance.hw.base import Edge, Face
from appliance.kit import enrol_now, new_sources
from appliance.panels import new_panel
from appliance.settings import CameraSection, MicrophoneSection, PanelSection, RelaySection
from tests.running import FoundedSchool, RunningRelay, free_port

NETWORK = ("relay", "round_trip", "clock", "udp", "uplink")


@dataclass
class Patient:
    """A kit's settings, and the doctor's word on it."""

    folder: Path
    url: str

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def write(self, *, camera: str = "", microphone: str = "", panel: str = 'kind = "none"') -> None:
        (self.folder / "kit.toml").write_text(
            f'[kit]\nstate_dir = "{self.state}"\n[relay]\nurl = "{self.url}"\n'
            f"[camera]\nwidth = 320\nheight = 240\nfps = 10\n{camera}\n[microphone]\n{microphone}\n[panel]\n{panel}\n"
        )

    async def examine(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run the doctor; its exit code, and what it found by check."""
        config = str(self.folder / "kit.toml")
        code = await asyncio.to_thread(main, ["doctor", "--json", *arguments, "--config", config])
        told = json.loads(capsys.readouterr().out)
        assert told["ok"] is (code == OK)
        return code, {finding["check"]: finding for finding in told["findings"]}


@dataclass
class Clinic:
    """A patient, and its relay, which has a room for it."""

    patient: Patient
    relay: RunningRelay
    enrol_code: str

    async def enrol(self) -> None:
        await enrol_now(RelaySection(url=self.relay.url), self.enrol_code, self.patient.state)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """A kit whose relay is not there."""
    monkeypatch.setattr(doctor_module, "LOOK_S", 0.1)
    patient = Patient(tmp_path, f"http://127.0.0.1:{free_port()}")
    patient.write()
    return patient


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> FoundedSchool:
    return FoundedSchool.found(tmp_path_factory.mktemp("school"))


@pytest.fixture
async def clinic(tmp_path: Path, school: FoundedSchool, alone: Patient) -> AsyncIterator[Clinic]:
    async with aiohttp.ClientSession() as http:
        relay = RunningRelay(tmp_path / "relay", http)
        await asyncio.to_thread(shutil.copytree, school.state, relay.folder / "state")
        await relay.start()
        alone.url = relay.url
        alone.write()
        try:
            yield Clinic(alone, relay, school.enrol_code)
        finally:
            await relay.program.end(signal.SIGKILL)


class NotingPanel:
    """A panel that notes what it shows."""

    def __init__(self, happened: list[str]) -> None:
        self._happened = happened

    @asynccontextmanager
    async def open(self, _on_edge: Callable[[Edge], None]) -> AsyncIterator[NotingPanel]:
        yield self

    def show(self, face: Face) -> None:
        self._happened.append(face.tally)


async def test_a_kit_that_is_ready_is_told_so_and_no_pupil_notices(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    await clinic.enrol()
    code, found = await clinic.patient.examine(capsys)
    assert {check: finding["outcome"] for check, finding in found.items()} == dict.fromkeys(
        ("storage", "enrolment", *NETWORK, "camera", "microphone"), "ok"
    )
    assert code == OK
    assert found["udp"]["figures"]["media_round_trip_ms"] > 0
    assert found["uplink"]["figures"]["uplink_kbps"] >= found["uplink"]["figures"]["wanted_kbps"] == 1896
    assert (found["camera"]["figures"]["width"], found["camera"]["figures"]["height"]) == (320, 240)
    assert "room 12" in found["enrolment"]["told"]
    assert await clinic.relay.command("lesson", "list") == []
    async with clinic.relay.http.get(f"{clinic.relay.url}/metrics") as metrics:
        assert "parta_media_sessions 0" in await metrics.text()


async def test_a_kit_that_is_new_is_told_how_to_enrol_and_the_rest_is_checked_all_the_same(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = await clinic.patient.examine(capsys, "--no-capture")
    assert code == NOT_READY
    assert "parta-kit enrol CODE --relay" in found["enrolment"]["remedy"]
    assert [found[check]["outcome"] for check in NETWORK] == ["ok", "ok", "ok", "skipped", "skipped"]
    assert not {"camera", "microphone"} & set(found)


async def test_a_relay_that_is_gone_is_named_with_what_to_check(
    alone: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = await alone.examine(capsys, "--no-capture")
    assert code == NOT_READY
    assert [found[check]["outcome"] for check in NETWORK] == ["failed"] + ["skipped"] * 4
    assert alone.url in found["relay"]["remedy"]


async def test_a_firewall_that_blocks_udp_is_found_although_https_works(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    await clinic.enrol()
    await clinic.relay.program.end(signal.SIGKILL)
    nowhere = f"127.0.0.1:{free_port()}"  # packets to it vanish, as they do behind such a firewall
    clinic.relay.config.write_text(clinic.relay.config.read_text().replace('"127.0.0.1"]', f'"{nowhere}"]'))
    await clinic.relay.start()
    code, found = await clinic.patient.examine(capsys, "--no-capture")
    assert code == NOT_READY
    assert [found[check]["outcome"] for check in NETWORK] == ["ok", "ok", "ok", "failed", "ok"]
    assert "UDP" in found["udp"]["told"]
    assert "media port" in found["udp"]["remedy"]


async def test_a_kit_that_was_shut_out_is_told_to_enrol_again(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    await clinic.enrol()
    (kit,) = [kit for kit in await clinic.relay.command("kit", "list") if kit["room"] == "12" and kit["kind"] == "kit"]
    await clinic.relay.command("kit", "revoke", kit["id"])
    _, found = await clinic.patient.examine(capsys, "--no-capture")
    assert found["udp"]["outcome"] == "failed"
    assert "enrol it again" in found["udp"]["remedy"]


async def test_nothing_is_opened_while_another_program_has_the_panel(
    alone: Patient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("a device was made")

    monkeypatch.setattr(doctor_module, "new_sources", opened)
    port = free_port()
    alone.write(panel=f"port = {port}")
    async with new_panel(PanelSection(port=port)).open(lambda edge: None):
        code, found = await alone.examine(capsys)
    assert code == NOT_READY
    assert [found[check]["outcome"] for check in ("camera", "microphone")] == ["skipped", "skipped"]
    assert "systemctl stop parta-kit" in found["camera"]["remedy"]


async def test_the_tally_is_lit_before_the_camera_opens_and_off_afterwards(
    alone: Patient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    def noted(camera: CameraSection, microphone: MicrophoneSection) -> tuple[Camera, Microphone]:
        happened.append("opening")
        return new_sources(camera, microphone)

    monkeypatch.setattr(doctor_module, "new_panel", lambda section: NotingPanel(happened))
    monkeypatch.setattr(doctor_module, "new_sources", noted)
    await alone.examine(capsys)
    assert happened == ["connecting", "opening", "opening", "off"]


async def test_a_kit_without_a_microphone_by_its_settings_is_in_order(
    alone: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    alone.write(microphone='kind = "none"')
    _, found = await alone.examine(capsys)
    assert found["microphone"]["outcome"] == "ok"


async def test_a_wrong_camera_does_not_hide_the_microphone(alone: Patient, capsys: pytest.CaptureFixture[str]) -> None:
    alone.write(camera='kind = "file"\nfile = "/nowhere.mp4"')
    _, found = await alone.examine(capsys)
    assert (found["camera"]["outcome"], found["microphone"]["outcome"]) == ("failed", "ok")
    assert "/nowhere.mp4" in found["camera"]["told"]


async def test_a_person_reads_each_finding_with_its_remedy_and_is_told_that_the_camera_opens(
    alone: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(alone.folder / "kit.toml")
    assert await asyncio.to_thread(main, ["doctor", "--config", config]) == NOT_READY
    told = capsys.readouterr()
    assert "because you asked" in told.err
    lines = told.out.splitlines()
    assert lines[1].startswith("FAILED  enrolment")
    assert lines[2].strip().startswith("→ make a code")
    assert lines[-1] == "Not ready: see above."
