"""What the kit tells the service manager: its status in words, its journal's fields, and a camera that never opens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from appliance import kit as kit_module
from appliance import service_report
from appliance.capture.base import Camera, CameraStream, Microphone
from appliance.capture.clock import LessonClock
from appliance.capture.fanout import LAST_RETRY_S, SILENT_S
from appliance.capture.simulated.microphone import SimulatedMicrophone
from appliance.capture.worker import Patience
from appliance.hw.base import Face, Fault, LinkFace
from appliance.kept_lesson import KeptLesson, boot_id
from appliance.kit import Kit
from appliance.service_report import SOURCE_ADVANCES_WITHIN_S, log_fields, status_text
from appliance.settings import KitSection, KitSettings, NetworkSection, PanelSection, RelaySection
from service.systemd import Service
from tests.running import free_port
from wire.messages import KitStatus, LessonRef

WITHIN_S = 15
UP = LinkFace(control="up", publisher="up")


@pytest.mark.parametrize(
    ("face", "text"),
    [
        (Face(link=UP), "ready"),
        (Face(link=LinkFace(control="not_enrolled")), "ready, not enrolled"),
        (Face(state="live", tally="on_air", link=LinkFace(control="up", viewers=12)), "on air, 12 viewers"),
        (Face(state="live", tally="on_air", link=LinkFace(control="up", viewers=1)), "on air, 1 viewer"),
        (Face(state="degraded", tally="not_live"), "not live, no relay"),
        (Face(state="curtain", tally="curtain", link=UP), "curtain closed"),
        (Face(state="fault", tally="fault", link=UP, fault=Fault("camera", "no camera")), "fault, no camera"),
        (Face(link=UP, notice=Fault("boot_file_refused", "parta.toml: wrong")), "ready, parta.toml: wrong"),
    ],
)
def test_the_status_says_what_a_person_wants_to_know(face: Face, text: str) -> None:
    assert status_text(face) == text


def test_every_line_of_the_journal_names_the_state_and_the_lesson() -> None:
    idle = KitStatus(state="idle", tally="off", lesson=None, camera_ok=True, microphone_ok=True)
    assert log_fields(idle) == {"PARTA_STATE": "idle"}
    lesson = LessonRef(lesson_id="ab", started_unix_ms=1)
    live = KitStatus(state="live", tally="on_air", lesson=lesson, camera_ok=True, microphone_ok=True)
    assert log_fields(live) == {"PARTA_STATE": "live", "PARTA_LESSON": "ab"}


def test_no_source_is_called_stuck_while_it_heals_by_itself() -> None:
    assert max(Patience().silent_at_most_s, LAST_RETRY_S, SILENT_S) < SOURCE_ADVANCES_WITHIN_S


class NeverOpening:
    """A camera whose driver never answers, in this process."""

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:
        await asyncio.Event().wait()
        yield  # type: ignore[misc]


async def test_a_source_that_hangs_beyond_its_own_healing_starves_the_watchdog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    told = asyncio.Event()

    def hear(text: str) -> None:
        said.append(text)
        told.set()

    def sources(*_: object) -> tuple[Camera, Microphone]:
        return NeverOpening(), SimulatedMicrophone()

    monkeypatch.setattr(kit_module, "new_sources", sources)
    monkeypatch.setattr(service_report, "SOURCE_ADVANCES_WITHIN_S", 0.5)
    settings = KitSettings(
        kit=KitSection(state_dir=str(tmp_path)),
        relay=RelaySection(url=f"http://127.0.0.1:{free_port()}"),
        panel=PanelSection(kind="none"),
        network=NetworkSection(announce=False),
    )
    kept = KeptLesson(lesson_id="ab" * 16, started_unix_us=time.time_ns() // 1000, curtain=False, boot_id=boot_id())
    (tmp_path / "lesson.json").write_bytes(msgspec.json.encode(kept))
    stop = asyncio.Event()
    service = Service("kit", notify=hear, watchdog_s=0.2)
    task = asyncio.create_task(Kit(settings, software="test", service=service).run(stop))
    async with asyncio.timeout(WITHIN_S):
        while "STATUS=stuck: camera" not in said:
            told.clear()
            await told.wait()
    assert "WATCHDOG=1" in said
    fed = said.count("WATCHDOG=1")
    stop.set()
    await asyncio.wait_for(task, WITHIN_S)
    stopping = said.index("STOPPING=1\nSTATUS=stopping")
    assert said[:stopping].count("WATCHDOG=1") == fed
