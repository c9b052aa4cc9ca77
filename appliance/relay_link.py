"""The kit's way to its relay, put together: enrolment, control channel, publisher, stills, recordings, announcement.

The composition root of ``appliance.stream``, made and run by ``kit.py``. Not here: what is said and when
(``director.py``), how each part works (``stream/``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import aiohttp

from appliance.capture.base import AccessUnit, OpusFrame
from appliance.crew import RunningLesson
from appliance.discovery import coarse, kit_service
from appliance.errors import KitError, RelayRefused
from appliance.hw.base import LinkFace
from appliance.identity import Authoriser, Credentials, Identity
from appliance.recordings.lesson_folder import IndexEntry
from appliance.recordings.shelf import Shelf
from appliance.settings import RelaySection
from appliance.stream.control import ControlChannel
from appliance.stream.enrol import enrol
from appliance.stream.publisher import Publisher
from appliance.stream.recording_client import RecordingClient
from appliance.stream.stills import StillUploader
from appliance.stream.uplink import Limits, Target
from appliance.stream.upload import SegmentUploader, UploadFigures
from appliance.stream.upload_rate import LiveUse, PacedBody, UploadRate
from appliance.stream.way import Way
from appliance.supervise import Backoff, keep_running
from appliance.version import software_version
from wire.announcement import KitAnnouncement
from wire.mdns import Service
from wire.messages import Command, Delivery, KitStatus, Welcome

log = logging.getLogger(__name__)

UPLOAD_BUFFER = 64 * 1024  # what the kernel may hold of a recording: it goes on leaving when live media need the way
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

    def __init__(
        self,
        settings: RelaySection,
        state_dir: Path,
        software: str,
        limits: Limits,
        shelf: Shelf,
        *,
        upload_share: float,
    ) -> None:
        """Raises ``StateUnusable`` where the kit's key cannot be read or made."""
        self._settings = settings
        self._shelf = shelf
        self._rate = UploadRate(upload_share)
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
        self._segments: SegmentUploader | None = None
        self._one_lesson = asyncio.Lock()  # the next lesson's dial waits for the goodbye of the one before
        self._known = asyncio.Event()  # set while there is somebody to talk to
        self._moved = asyncio.Event()
        self._next: tuple[RelaySection, Credentials] | None = None
        self._status: KitStatus | None = None
        self._class_path: str | None = None
        self._room = "" if self._credentials is None else self._credentials.room
        self._control_up = False

    async def run(self, listener: Listener) -> None:
        """Enrol if need be, then keep the control channel up and bring stills to the relay, until cancelled."""
        while True:
            self._moved.clear()
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(self._serve(listener), name="relay")
                tasks.create_task(self._end_when_moved(serving), name="relay's address")
            listener.show()

    def use(self, relay: RelaySection, credentials: Credentials) -> None:
        """Go to this relay, as whom it took this kit in: now, or when the lesson that runs is over."""
        self._next = relay, credentials
        self._move_when_idle()

    @property
    def credentials(self) -> Credentials | None:
        """What the relay told at enrolment."""
        return self._credentials

    def _move_when_idle(self) -> None:
        if self._next is None or (self._status is not None and self._status.state != "idle"):
            return
        (self._settings, self._credentials), self._next = self._next, None
        self._way = Way(self._settings.proxy, self._settings.ca_file)
        self._moved.set()

    async def _end_when_moved(self, serving: asyncio.Task[None]) -> None:
        await self._moved.wait()
        serving.cancel()

    async def _serve(self, listener: Listener) -> None:
        try:
            await self._serve_one(listener)
        finally:
            self._known.clear()
            self._publisher = self._control = self._stills = self._segments = None
            self._control_up = False

    async def _serve_one(self, listener: Listener) -> None:
        uploads = self._way.session(force_close=True, send_buffer_bytes=UPLOAD_BUFFER)
        async with self._way.session() as http, uploads:
            credentials = await self._enrolled(http)
            bearer = Authoriser(self._identity, credentials)
            url = self._settings.url
            self._class_path, self._room = credentials.class_path, credentials.room
            self._stills = StillUploader(url, bearer, http)
            body = PacedBody(lambda now_s: self._rate.bits_per_s(now_s, self._live_use()))
            self._segments = SegmentUploader(self._shelf, RecordingClient(url, bearer, uploads, body))
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
                tasks.create_task(self._segments.run(), name="recordings")

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

    def recorded(self, lesson_id: str, entry: IndexEntry | None) -> None:
        """A segment is on the card; or (``None``) the lesson's recording is closed."""
        if self._segments is not None:
            self._segments.recorded(lesson_id, entry)

    def report(self, status: KitStatus) -> None:
        """The kit's state from now on."""
        self._status = status
        if self._control is not None:
            self._control.report(status)
        self._move_when_idle()

    def face(self) -> LinkFace:
        """The link now."""
        if self._publisher is None:
            return LinkFace(control="not_enrolled", relay=self._settings.url)
        figures = self._publisher.figures()
        upload = UploadFigures() if self._segments is None else self._segments.figures()
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
            waiting_s=upload.waiting_s,
            relay_full=upload.full,
        )

    def _live_use(self) -> LiveUse | None:
        """What the running lesson does with the way up; None while there is none."""
        if self._publisher is None or self._status is None or self._status.state == "idle":
            return None
        figures = self._publisher.figures()
        is_troubled = figures.state != "up" or figures.target.pace_bps is not None
        return LiveUse(picture_bps=figures.target.bitrate_bps, troubled=is_troubled)

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
        if up:
            for uploader in (self._stills, self._segments):
                if uploader is not None:
                    uploader.link_returned()
        elif self._publisher is not None:
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
