"""The kit, put together: the only place that names concrete cameras, microphones, panels and the relay's clients.

Not here: what a press does (``lesson.py``), how it is carried out (``director.py``). Stopping goes stage by stage, each
with a deadline; together they stay under ``STOP_AT_MOST_S`` of ``cli.py``, which systemd and ``make run`` wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import aiohttp

from appliance.board_stills import BoardStills
from appliance.boot.notice import read_notice
from appliance.capture.base import AccessUnit, Camera, Microphone, OpusFrame
from appliance.capture.microphone import configured_microphone
from appliance.crew import RunningLesson
from appliance.director import Director
from appliance.discovery import coarse, kit_service, page_port
from appliance.errors import KitError, RelayRefused
from appliance.hw.base import Edge, LinkFace, Panel
from appliance.hw.health import BoardHealth
from appliance.hw.none import NoPanel
from appliance.identity import Authoriser, Credentials, Identity
from appliance.kept_lesson import KeptLesson, LessonKeeper
from appliance.kit_crew import KitCrew
from appliance.pi_camera import pi_camera
from appliance.settings import CameraSection, KitSettings, MicrophoneSection, PanelSection, RelaySection
from appliance.stream.control import ControlChannel
from appliance.stream.enrol import enrol
from appliance.stream.enrol import enrol_now as enrol_now  # noqa: PLC0414  # for commands/, which name no adapter
from appliance.stream.probe import open_relay_probe as open_relay_probe  # noqa: PLC0414  # likewise
from appliance.stream.publisher import Publisher
from appliance.stream.stills import StillUploader
from appliance.stream.uplink import Limits, Target, limits_of
from appliance.stream.way import Way
from appliance.supervise import Backoff, deadline, keep_running
from appliance.version import software_version
from wire.announcement import KitAnnouncement
from wire.mdns import Service, announce
from wire.messages import Command, Delivery, KitStatus, Welcome

log = logging.getLogger(__name__)

# The stop, stage by stage; the panel's own 0.5 s comes last, so that it can say that the kit is off.
STOP_LESSON_S = 2.0  # camera and microphone close
STOP_STATE_S = 0.5  # "no lesson runs" is written down
STOP_LINK_S = 1.5  # goodbye to the relay

FIGURES_EVERY_S = 1.0  # how often the panel's figures move while nothing else changes
HEALTH_EVERY_S = 10.0  # heat and supply change in seconds; asking the firmware costs a millisecond
ENROL_AGAIN_S = (1.0, 30.0)  # the relay may start a moment after the kit; a wrong code is not for hammering


class Listener(Protocol):
    """Whoever is told what the relay says."""

    def delivery(self, delivery: Delivery) -> None:
        """What pupils get."""
        ...

    def command(self, command: Command) -> None:
        """What the relay wants of the kit."""
        ...

    def force_key_frame(self) -> None:
        """The picture was lost on its way."""
        ...

    def show(self) -> None:
        """``RelayLink.face`` has changed."""
        ...


class RelayLink:
    """The relay, as the kit's other parts see it: there from the start, and working once the kit is enrolled."""

    def __init__(self, settings: RelaySection, state_dir: Path, software: str, limits: Limits) -> None:
        """Raises ``StateUnusable`` where the kit's key cannot be read or made."""
        self._settings = settings
        self._limits = limits
        self._aim: Callable[[int, int], None] = lambda bits_per_s, fps: None
        self._way = Way(settings.proxy, settings.ca_file)
        self._state_dir = state_dir
        self._software = software
        self._identity = Identity.load_or_create(state_dir)
        self._credentials = Credentials.load(state_dir)
        self._publisher: Publisher | None = None
        self._control: ControlChannel | None = None
        self._stills: StillUploader | None = None
        self._one_lesson = asyncio.Lock()  # the next lesson's dial waits for the goodbye of the one before
        self._known = asyncio.Event()  # set once there is somebody to talk to
        self._status: KitStatus | None = None
        self._class_path: str | None = None
        self._room = "" if self._credentials is None else self._credentials.room
        self._control_up = False

    async def run(self, listener: Listener) -> None:
        """Enrol if need be, then keep the control channel up and bring stills to the relay, until cancelled."""
        async with self._way.session() as http:
            credentials = await self._enrolled(http)
            bearer = Authoriser(self._identity, credentials)
            url = self._settings.url
            self._class_path, self._room = credentials.class_path, credentials.room
            self._stills = StillUploader(url, bearer, http)
            self._publisher = Publisher(
                f"{url.rstrip('/')}/whip",
                bearer,
                on_key_frame_wanted=listener.force_key_frame,
                limits=self._limits,
                on_target=lambda target: self._aimed(target, listener),
                on_state=lambda _: listener.show(),
                way=self._way,
            )
            self._control = self._new_control(bearer, http, listener)
            self._known.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._publisher.warm_up(), name="warm up")
                tasks.create_task(self._control.run(), name="control")
                tasks.create_task(self._stills.run(), name="stills")

    async def broadcast(self, lesson: RunningLesson) -> None:
        """Publish the lesson until cancelled; a kit that is enrolled meanwhile begins then."""
        await self._known.wait()
        async with self._one_lesson:
            if self._publisher is not None:
                await self._publisher.run(lesson.clock, lesson.lesson_id)

    def picture(self, unit: AccessUnit) -> None:
        """Take an access unit."""
        if self._publisher is not None:
            self._publisher.picture(unit)

    def voice(self, frame: OpusFrame) -> None:
        """Take a voice frame."""
        if self._publisher is not None:
            self._publisher.voice(frame)

    def still(self, lesson_id: str, capture_us: int, jpeg: bytes) -> None:
        """Take a board still."""
        if self._stills is not None:
            self._stills.submit(lesson_id, capture_us, jpeg)

    def report(self, status: KitStatus) -> None:
        """The kit's state from now on."""
        self._status = status
        if self._control is not None:
            self._control.report(status)

    def face(self) -> LinkFace:
        """The link now."""
        if self._publisher is None:
            return LinkFace(control="not_enrolled", relay=self._settings.url)
        figures = self._publisher.figures()
        return LinkFace(
            control="up" if self._control_up else "down",
            publisher=figures.state,
            relay=self._settings.url,
            class_path=self._class_path,
            rtt_ms=None if figures.rtt_ms is None else round(figures.rtt_ms, 1),
            loss=None if figures.loss is None else round(figures.loss, 4),
            bitrate_kbps=round(figures.bitrate_kbps) if figures.state == "up" else None,
            target_kbps=figures.target.bitrate_bps // 1000 if figures.state == "up" else None,
            fps=figures.target.fps if figures.state == "up" else None,
            reconnects=figures.reconnects,
        )

    def announced(self, port: int) -> Service:
        """What the local network may know of this kit now."""
        credentials = self._credentials
        said = KitAnnouncement(
            kit_id="" if credentials is None else credentials.kit_id,
            room=self._room,
            version=software_version(),
            state=coarse("idle" if self._status is None else self._status.state, enrolled=credentials is not None),
        )
        return kit_service(self._identity.public_key, said, port)

    def steer(self, aim: Callable[[int, int], None]) -> None:
        """From now on, call ``aim(bits_per_s, fps)`` with what the network carries, whenever that changes."""
        self._aim = aim

    def _aimed(self, target: Target, listener: Listener) -> None:
        self._aim(target.bitrate_bps, target.fps)
        listener.show()

    def _new_control(self, bearer: Authoriser, http: aiohttp.ClientSession, listener: Listener) -> ControlChannel:
        control = ControlChannel(
            self._settings.url,
            bearer,
            http,
            software=self._software,
            on_welcome=self._welcomed,
            on_delivery=listener.delivery,
            on_command=listener.command,
            on_link=lambda up: self._linked(up, listener),
        )
        if self._status is not None:
            control.report(self._status)
        return control

    def _welcomed(self, welcome: Welcome) -> None:
        # The link may have been rotated, and the room renamed, since enrolment.
        self._class_path, self._room = welcome.class_path, welcome.room
        log.info("teaching %s, room %s of %s", welcome.class_name, welcome.room, welcome.school)

    def _linked(self, up: bool, listener: Listener) -> None:
        self._control_up = up
        if up and self._stills is not None:
            self._stills.link_returned()
        elif not up and self._publisher is not None:
            self._publisher.suspect()
        listener.show()

    async def _enrolled(self, http: aiohttp.ClientSession) -> Credentials:
        """What the relay told this kit at enrolment, now or earlier."""
        known, code = self._credentials, self._settings.enrol_code
        is_spent = known is not None and known.relay_url == self._settings.url and known.was_given_by(code)
        if known is not None and (is_spent or not code):
            return known
        if not code:
            log.warning("this kit is not enrolled; put a code of `parta-relay kit enrol-code` into relay.enrol_code")
            await asyncio.Event().wait()
        await keep_running("enrolment", partial(self._enrol, http, code), Backoff(*ENROL_AGAIN_S))
        if self._credentials is None:
            raise RuntimeError("enrolment ended without credentials")
        return self._credentials

    async def _enrol(self, http: aiohttp.ClientSession, code: str) -> None:
        try:
            found = await enrol(http, self._settings.url, code, self._identity, software=self._software)
        except RelayRefused as error:
            if self._credentials is None:
                raise
            log.warning("this kit stays where it was enrolled: %s", error)
            return  # the relay's address has changed, and the code is the one that was used back then; or it is wrong
        self._credentials = found
        log.info("enrolled as kit %s", found.kit_id)
        try:
            await asyncio.to_thread(found.save, self._state_dir)
        except KitError as error:
            log.error("%s; the code is used up, and this kit is a stranger after its next start", error)  # noqa: TRY400


class Kit:
    """A kit. Once."""

    def __init__(self, settings: KitSettings, *, software: str) -> None:
        self._settings = settings
        self._software = software
        self._director: Director | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set or the teacher switches the kit off.

        Raises a ``KitError`` that says what to do where it cannot start; an ``ExceptionGroup`` for a bug.
        """
        settings, state_dir = self._settings, Path(self._settings.kit.state_dir)
        link = RelayLink(settings.relay, state_dir, self._software, limits_of(settings.camera, settings.microphone))
        camera, microphone = await asyncio.to_thread(new_sources, settings.camera, settings.microphone)
        async with new_panel(settings.panel).open(self._edge) as panel, asyncio.TaskGroup() as tasks:
            keeper = LessonKeeper(state_dir)
            stills = BoardStills(state_dir)
            crew = KitCrew(camera, microphone, link, keeper, stills, tasks, voice=settings.microphone)
            director = self._director = Director(crew, panel, panel.buzzer, tasks)
            director.notice = await asyncio.to_thread(read_notice, state_dir)
            vital = [
                tasks.create_task(link.run(director), name="relay link"),
                tasks.create_task(keeper.run(), name="lesson keeper"),
                tasks.create_task(_refresh(director), name="figures"),
                tasks.create_task(_watch(BoardHealth(state_dir), director), name="board health"),
            ]
            if settings.network.announce:
                said = partial(link.announced, page_port(settings.panel))
                vital.append(tasks.create_task(announce(said), name="announcement"))
            self._begin(director, keeper.load(), link)
            await _first(stop, director.off)
            await _stop(director, keeper, vital)
        log.info("stopped")

    def _begin(self, director: Director, kept: KeptLesson | None, link: RelayLink) -> None:
        director.show()
        link.report(director.status())
        if kept is not None:
            director.resume(kept)
        panel = self._settings.panel
        log.info("ready%s", f"; the panel is http://{panel.host}:{panel.port}/" if panel.kind == "simulated" else "")

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


async def _stop(director: Director, keeper: LessonKeeper, vital: list[asyncio.Task[None]]) -> None:
    async with deadline("the lesson", STOP_LESSON_S):
        await director.end()
    director.close()
    async with deadline("the kept lesson", STOP_STATE_S):
        await keeper.settled()  # meanwhile the control channel tells the relay that the lesson is over
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

        check_file(settings.file, "camera", settings.key_frame_every_s)
        return FileCamera(settings.file, settings.loop, key_frame_every_s=settings.key_frame_every_s, **picture)
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


async def darken(settings: PanelSection) -> None:
    """Put out every lamp that a kit which died may have left lit. Raises ``PanelUnavailable``, if one still runs."""
    if settings.kind == "gpio":
        async with new_panel(settings).open(lambda _: None):
            log.info("the lamps are off")


def new_panel(settings: PanelSection) -> Panel:
    """The panel that the settings name, off."""
    if settings.kind == "none":
        return NoPanel()
    if settings.kind == "gpio":
        from appliance.hw.gpio.panel import GpioPanel

        return GpioPanel(settings)
    from appliance.hw.simulated.server import SimulatedPanel

    return SimulatedPanel(settings.host, settings.port)
