"""The kit, put together: the only place that names concrete cameras and microphones.

Not here: what a press does (``lesson.py``), how it is carried out (``director.py``), the relay's clients
(``relay_link.py``), which panel (``panels.py``). Stopping goes stage by stage, each with a deadline; together they stay
under ``STOP_AT_MOST_S`` of ``cli.py``, which systemd and ``make run`` wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from appliance.board_stills import BoardStills
from appliance.boot.notice import read_notice
from appliance.capture.base import Camera, Microphone
from appliance.capture.microphone import configured_microphone
from appliance.capture.recorder import NoRecorder, Recorder
from appliance.director import Director
from appliance.discovery import page_port
from appliance.hw.base import Edge, Fault
from appliance.hw.health import BoardHealth
from appliance.kept_lesson import KeptLesson, LessonKeeper
from appliance.kit_crew import KitCrew
from appliance.panels import new_panel
from appliance.pi_camera import pi_camera
from appliance.power import switch_off
from appliance.recordings.shelf import Shelf
from appliance.relay_link import RelayLink
from appliance.service_report import log_fields, status_text, vitals_of
from appliance.settings import CameraSection, KitSettings, MicrophoneSection
from appliance.setup.service import SetupPage
from appliance.stream.enrol import enrol_now as enrol_now  # noqa: PLC0414  # for commands/, which name no adapter
from appliance.stream.probe import open_relay_probe as open_relay_probe  # noqa: PLC0414  # likewise
from appliance.stream.uplink import limits_of
from appliance.supervise import deadline
from service.systemd import Service
from service.vitals import Vitals
from service.watch import keep_informed
from wire.mdns import announce

log = logging.getLogger(__name__)

# The stop, stage by stage; the panel's own 0.5 s comes last, so that it can say that the kit is off.
STOP_LESSON_S = 2.0  # camera and microphone close
STOP_KEPT_S = 0.8  # the last segment, and "no lesson runs", are written down; a card that is slower loses the former
STOP_LINK_S = 1.5  # goodbye to the relay

FILE_KEY_FRAME_EVERY_S = 4.0  # a film that passes through gives none when the recorder asks, and has to be cut by then
FIGURES_EVERY_S = 1.0  # how often the panel's figures move while nothing else changes
HEALTH_EVERY_S = 10.0  # heat and supply change in seconds; asking the firmware costs a millisecond


class Kit:
    """A kit. Once."""

    def __init__(self, settings: KitSettings, *, software: str, service: Service | None = None) -> None:
        """Without a ``service``, nobody is told how it is."""
        self._settings = settings
        self._service = service or Service("parta-kit")
        self._software = software
        self._director: Director | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set or the teacher switches the kit off.

        Raises a ``KitError`` that says what to do where it cannot start; an ``ExceptionGroup`` for a bug.
        """
        settings, state_dir = self._settings, Path(self._settings.kit.state_dir)
        shelf = Shelf(state_dir / "recordings", settings.recording.quota_mb * 1_000_000, self._told_on_loop())
        limits = limits_of(settings.camera, settings.microphone)
        share = settings.recording.upload_share
        link = RelayLink(settings.relay, state_dir, self._software, limits, shelf, upload_share=share)
        camera, microphone = await asyncio.to_thread(new_sources, settings.camera, settings.microphone)
        async with new_panel(settings.panel).open(self._edge) as panel, asyncio.TaskGroup() as tasks:
            keeper = LessonKeeper(state_dir)
            stills = BoardStills(state_dir)
            setup = SetupPage(settings, new_sources=new_sources, open_probe=open_relay_probe, enrol=enrol_now)
            recorder = Recorder(shelf, settings.camera.width, settings.camera.height)
            crew = KitCrew(
                camera,
                microphone,
                link,
                keeper,
                stills,
                recorder if settings.recording.enabled else NoRecorder(),
                tasks,
                voice=settings.microphone,
                open_preview=setup.open_preview,
            )
            director = self._director = Director(crew, panel, panel.buzzer, tasks)
            director.notice = await asyncio.to_thread(read_notice, state_dir)
            vital = [
                tasks.create_task(link.run(director), name="relay link"),
                tasks.create_task(keeper.run(), name="lesson keeper"),
                tasks.create_task(recorder.run(), name="recorder"),
                tasks.create_task(_refresh(director), name="figures"),
                tasks.create_task(_watch(BoardHealth(state_dir), director), name="board health"),
            ]
            if settings.camera.stay_loaded:
                vital.append(tasks.create_task(crew.keep_warm(), name="waiting camera"))
            if settings.setup.enabled:
                vital.append(tasks.create_task(setup.run(director, crew, link), name="setup page"))
            if settings.network.announce:
                said = partial(link.announced, page_port(settings.setup))
                vital.append(tasks.create_task(announce(said), name="announcement"))
            self._begin(director, keeper.load(), link)
            vital.append(self._report(director, vitals_of(vital, crew.sources()), tasks))
            await _first(stop, director.off)
            by_hand = director.off.is_set()  # now: ending the lesson for the stop sets it, too
            self._service.tell("STOPPING=1", "STATUS=stopping")
            await _stop(director, keeper, recorder, vital)
        log.info("stopped")
        if by_hand:
            switch_off()

    def _begin(self, director: Director, kept: KeptLesson | None, link: RelayLink) -> None:
        director.show()
        link.report(director.status())
        if kept is not None:
            director.resume(kept)
        panel = self._settings.panel
        log.info("ready%s", f"; the panel is http://{panel.host}:{panel.port}/" if panel.kind == "simulated" else "")

    def _report(self, director: Director, vitals: Vitals, tasks: asyncio.TaskGroup) -> asyncio.Task[None]:
        """The panel answers: from here on the service manager is told how the kit is."""
        self._service.context = lambda: log_fields(director.status())
        told = keep_informed(self._service, vitals, lambda: status_text(director.face()))
        return tasks.create_task(told, name="service report")

    def _told_on_loop(self) -> Callable[[str], None]:
        """For a thread: tells what was given up, so that a person sees it."""
        loop = asyncio.get_running_loop()

        def notice(reason: str) -> None:
            if self._director is not None:
                self._director.notice = Fault("recording_deleted", reason)

        def tell(reason: str) -> None:
            loop.call_soon_threadsafe(notice, reason)

        return tell

    def _edge(self, edge: Edge) -> None:
        if self._director is not None:
            self._director.edge(edge)


async def _refresh(director: Director) -> None:
    while True:
        await asyncio.sleep(FIGURES_EVERY_S)
        director.show()


async def _watch(board: BoardHealth, director: Director) -> None:
    while True:
        director.health(await asyncio.to_thread(board.read))
        await asyncio.sleep(HEALTH_EVERY_S)


async def _first(*events: asyncio.Event) -> None:
    """Wait for one of the events."""
    waits = [asyncio.create_task(event.wait(), name="wait for the end") for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _stop(director: Director, keeper: LessonKeeper, recorder: Recorder, vital: list[asyncio.Task[None]]) -> None:
    async with deadline("the lesson", STOP_LESSON_S):
        await director.end()
    director.close()
    async with deadline("what is kept of the lesson", STOP_KEPT_S):
        await keeper.settled()  # meanwhile the control channel tells the relay that the lesson is over
        await recorder.settled()
    for task in vital:
        task.cancel()
    async with deadline("the relay link", STOP_LINK_S):
        await asyncio.wait(vital)


def new_sources(camera: CameraSection, microphone: MicrophoneSection) -> tuple[Camera, Microphone]:
    """The camera and microphone that the settings name. Raises ``CameraUnavailable``, ``MicrophoneUnavailable``."""
    return _new_camera(camera), _new_microphone(microphone)


def _new_camera(settings: CameraSection) -> Camera:
    if settings.kind == "picamera2":
        return pi_camera(settings)
    picture = {"width": settings.width, "height": settings.height, "fps": settings.fps}
    picture["bitrate_bps"] = settings.bitrate_kbps * 1000
    if settings.kind == "file":
        from appliance.capture.file import FileCamera, check_file

        every_s = min(settings.key_frame_every_s, FILE_KEY_FRAME_EVERY_S)
        check_file(settings.file, "camera", every_s)
        return FileCamera(settings.file, settings.loop, key_frame_every_s=every_s, **picture)
    from appliance.capture.simulated.camera import SimulatedCamera

    return SimulatedCamera(key_frame_every_s=settings.key_frame_every_s, **picture)


def _new_microphone(settings: MicrophoneSection) -> Microphone:
    if settings.kind == "file":
        from appliance.capture.file import FileMicrophone, check_file

        check_file(settings.file, "microphone")
        return FileMicrophone(settings.file, settings.loop)
    if settings.kind == "alsa":
        return configured_microphone(settings)
    if settings.kind == "none":
        from appliance.capture.silence import NoMicrophone

        return NoMicrophone()
    from appliance.capture.simulated.microphone import SimulatedMicrophone

    return SimulatedMicrophone()
