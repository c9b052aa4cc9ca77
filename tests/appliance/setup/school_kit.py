"""A kit's director, crew and setup page in this process, with its simulated devices, and a browser's side of HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from appliance.board_stills import BoardStills
from appliance.capture.base import AccessUnit, Camera, CameraStream, Microphone, OpusFrame
from appliance.capture.clock import LessonClock
from appliance.capture.recorder import NoRecorder
from appliance.crew import RunningLesson
from appliance.director import Director
from appliance.hw.base import Button, Edge, Face, LinkFace, NoBuzzer
from appliance.identity import Credentials
from appliance.kept_lesson import LessonKeeper
from appliance.kit import new_sources
from appliance.kit_crew import KitCrew
from appliance.preflight import Readiness
from appliance.recordings.lesson_folder import IndexEntry
from appliance.settings import (
    CameraSection,
    KitSection,
    KitSettings,
    MicrophoneSection,
    RelaySection,
    SetupSection,
)
from appliance.setup.pin import set_pin
from appliance.setup.service import SetupPage
from tests.running import free_port
from wire.messages import KitStatus

PIN = "27182818"
WITHIN_S = 15.0
AT_SCHOOL = Credentials(
    relay_url="http://relay.test", kit_id="k1", relay_id="r1", school="School 7", room="12", class_name="7B",
    class_path="/c/secret",
)  # fmt: skip


class WideProbe:
    """A relay in the best of health."""

    url = "http://relay.test"

    async def readiness(self) -> Readiness:
        return Readiness(serves=True, reason="", clock_ahead_s=0.0)

    async def round_trip_ms(self) -> float:
        return 12.0

    async def media_round_trip_ms(self) -> float:
        return 14.0

    async def uplink_kbps(self) -> float:
        return 5000.0


@dataclass
class Relay:
    """The way to a relay: notes what goes there."""

    credentials: Credentials | None = AT_SCHOOL
    used: list[RelaySection] = field(default_factory=list)
    pictures: int = 0

    async def broadcast(self, lesson: RunningLesson) -> None:
        await asyncio.Event().wait()

    def picture(self, unit: AccessUnit) -> None:
        self.pictures += 1

    def voice(self, frame: OpusFrame) -> None: ...

    def still(self, lesson_id: str, capture_us: int, jpeg: bytes) -> None: ...

    def recorded(self, lesson_id: str, entry: IndexEntry | None) -> None:
        """Nothing is recorded here."""

    def report(self, status: KitStatus) -> None: ...

    def face(self) -> LinkFace:
        return LinkFace(control="up", relay="http://relay.test")

    def steer(self, aim: Callable[[int, int], None]) -> None: ...

    def use(self, relay: RelaySection, credentials: Credentials) -> None:
        self.credentials = credentials
        self.used.append(relay)


@dataclass
class SchoolKit:
    """The kit, and everything that it did in order: ``faces``, and in ``happened`` lamps and devices together."""

    state_dir: Path
    http: aiohttp.ClientSession
    relay: Relay = field(default_factory=Relay)
    lamp: str = "off"
    happened: list[str] = field(default_factory=list)
    crops: list[tuple[float, ...]] = field(default_factory=list)
    codes: list[tuple[str, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    buzzer: NoBuzzer = field(default_factory=NoBuzzer)
    port: int = field(default_factory=free_port)
    director: Director = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def show(self, face: Face) -> None:
        if self.lamp != face.tally:
            self.lamp = face.tally
            self.note(f"lamp {face.tally}")

    def note(self, what: str) -> None:
        self.happened.append(what)
        self.changed.set()

    def tap(self, button: Button) -> None:
        """Press and release a button."""
        for pressed in (True, False):
            self.director.edge(Edge(button, pressed, time.monotonic()))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def until_happened(self, what: str, times: int = 1) -> None:
        await self.until(lambda: self.happened.count(what) >= times)

    def sources(self, camera: CameraSection, microphone: MicrophoneSection) -> tuple[Camera, Microphone]:
        self.crops.append(camera.crop)
        real, ears = new_sources(camera, microphone)
        return NotingCamera(self, real), ears

    async def enrol(self, relay: RelaySection, code: str, state_dir: Path) -> Credentials:
        self.codes.append((relay.url, code))
        return AT_SCHOOL

    @asynccontextmanager
    async def probe(self, *_: object) -> AsyncIterator[WideProbe]:
        yield WideProbe()

    # ---- a browser's side ----

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """The status, and the JSON or bytes."""
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.read()

    async def enter(self, pin: str = PIN) -> tuple[int, Any]:
        return await self.ask("POST", "/api/session", {"pin": pin})

    async def open_preview(self, wanted: bool = True) -> tuple[int, Any]:
        return await self.ask("PUT", "/api/preview", {"open": wanted})


class NotingCamera:
    """A camera that tells when it is opened and closed."""

    def __init__(self, kit: SchoolKit, camera: Camera) -> None:
        self._kit = kit
        self._camera = camera

    @asynccontextmanager
    async def open(self, clock: LessonClock) -> AsyncIterator[CameraStream]:
        self._kit.note("camera open")
        try:
            async with self._camera.open(clock) as stream:
                yield stream
        finally:
            self._kit.note("camera closed")


@asynccontextmanager
async def school_kit(folder: Path) -> AsyncIterator[SchoolKit]:
    """The kit, at rest, its page served."""
    set_pin(folder, PIN)
    jar = aiohttp.CookieJar(unsafe=True)  # the page has an address, and no name
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        kit = SchoolKit(folder, http)
        settings = KitSettings(
            kit=KitSection(state_dir=str(folder)),
            relay=RelaySection(url="http://relay.test"),
            camera=CameraSection(width=320, height=240, fps=10),
            setup=SetupSection(host="127.0.0.1", port=kit.port),
        )
        page = SetupPage(settings, new_sources=kit.sources, open_probe=kit.probe, enrol=kit.enrol)
        camera, microphone = kit.sources(settings.camera, settings.microphone)
        async with asyncio.TaskGroup() as tasks:
            stills, keeper = BoardStills(folder), LessonKeeper(folder)
            crew = KitCrew(
                camera,
                microphone,
                kit.relay,
                keeper,
                stills,
                NoRecorder(),
                tasks,
                voice=settings.microphone,
                open_preview=page.open_preview,
            )
            kit.director = Director(crew, kit, kit.buzzer, tasks)
            serving = tasks.create_task(page.run(kit.director, crew, kit.relay))
            await _served(kit)
            try:
                yield kit
            finally:
                await asyncio.wait_for(kit.director.end(), WITHIN_S)
                kit.director.close()
                serving.cancel()


async def _served(kit: SchoolKit) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                await kit.ask("GET", "/")
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.01)
            else:
                return
