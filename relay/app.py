"""The composition root: settings in, a running relay out. The only place that names the engine and the store.

Everything is acquired on one exit stack and released in the reverse order. Not here: the command line (``cli.py``).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from relay.announce import announce_relay
from relay.archive.archive import Archive
from relay.archive.places import files_of
from relay.archive.retention import Retention
from relay.classroom.rate import GuessLimit
from relay.classroom.registry import TICK_S, LiveRegistry
from relay.clock import moment
from relay.engines.base import Engine
from relay.engines.embedded import EmbeddedEngine, InProcess
from relay.engines.workers import CannotStart, WorkerPool
from relay.errors import RelayError
from relay.house import House, free_bytes
from relay.service_report import status_text, vitals_of
from relay.settings import MediaSection, RelaySettings, TurnSection
from relay.store.database import Database, opened_database
from relay.store.enrolment import Enrolment
from relay.store.keeping import Keeping
from relay.store.lesson_log import LessonLog, open_lessons
from relay.store.recordings import RecordingRows
from relay.store.register import RegisterReader, ensure_relay_id
from relay.store.stills import StillFolder
from relay.web.app import build_app, runner_of
from relay.web.context import Relay
from relay.web.ice_servers import IceServers
from relay.web.metrics import Metrics
from service.systemd import Service
from service.watch import keep_informed

# With the web's end (2 s), the lesson log's flush (1 s) and the announcement's withdrawal (0.8 s) less than the 5 s
# that are promised.
STOP_ENGINE_S = 1.0
LEAST_SECRET_BYTES = 16  # of turn.secret_file: a shorter one can be found by trying

_log = logging.getLogger(__name__)


class CannotServe(RelayError):
    """The relay cannot start; the text names the port or folder, and the remedy."""

    key = "cannot_serve"


@asynccontextmanager
async def running(settings: RelaySettings, service: Service) -> AsyncIterator[None]:
    """A relay that serves as long as the context is open. Raises ``CannotServe``, ``StoreUnavailable``."""
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        ice_servers = _ice_servers(settings.turn)
        database, registers = await _open_store(settings, metrics, stack)
        log = LessonLog(database, metrics)
        stack.push_async_callback(log.flush_now)
        engine = await _start_engine(settings, metrics, stack)
        live = LiveRegistry(engine, log, moment)
        stack.callback(engine.subscribe(live.media_changed))
        rows = RecordingRows(database)
        state_dir = Path(settings.relay.state_dir)
        keeping, files = Keeping(database, settings.archive.keep_days), files_of(settings)
        archive = Archive(rows, files, moment, metrics)
        archive.follow(lambda found: live.recorded(found.class_id, found.lesson_id, found.started_unix_us // 1000))
        stills = StillFolder(state_dir / "stills")
        registers.follow(live.note_register)
        live.restore(registers.latest, await open_lessons(database), stills.of_lesson)
        for listed in await rows.of_open_lessons():
            live.recorded(listed.class_id, listed.lesson_id, listed.started_unix_ms)
        metrics.gauge("lessons_running", "Lessons that are not over", lambda: len(live.running_lessons()))
        metrics.gauge("disk_free_bytes", "Free on the disk of the state folder", lambda: free_bytes(state_dir))
        metrics.gauge("lessons_unwritten", "Lessons that wait for the database", lambda: log.waiting)
        relay = Relay(
            registers=registers,
            enrolling=Enrolment(database),
            stills=stills,
            archive=archive,
            recordings=rows,
            keeping=keeping,
            engine=engine,
            live=live,
            metrics=metrics,
            clock=moment,
            guesses=GuessLimit(),
            ice_servers=ice_servers,
        )
        await _serve_web(settings, relay, stack)
        if settings.web.announce:
            await stack.enter_async_context(announce_relay(registers.latest.relay_id, settings.web))
        house = House(database, keeping, stills, Retention(keeping, files, stills, moment))
        # The group comes last: what fails before it is told as it is, not as a group of errors.
        await stack.enter_async_context(_vital_tasks(registers, log, live, house, service))
        yield
        service.tell("STOPPING=1", "STATUS=stopping")


@asynccontextmanager
async def _vital_tasks(
    registers: RegisterReader,
    log: LessonLog,
    live: LiveRegistry,
    house: House,
    service: Service,
) -> AsyncIterator[None]:
    """The relay's own tasks. One that fails takes the relay with it, and systemd starts it anew."""
    async with asyncio.TaskGroup() as tasks:
        started = [
            tasks.create_task(log.run(), name="lesson log"),
            tasks.create_task(_tick_all(registers, live), name="tick"),
            tasks.create_task(house.keep(), name="housekeeping"),
        ]
        told = keep_informed(service, vitals_of(started), lambda: status_text(live))
        started.append(tasks.create_task(told, name="service report"))
        try:
            yield
        finally:
            for task in started:
                task.cancel()


async def _tick_all(registers: RegisterReader, live: LiveRegistry) -> None:
    """Once a second: let time pass, and notice what the command line did."""
    while True:
        await registers.current()  # tells ``live`` when something changed
        live.tick()
        await asyncio.sleep(TICK_S)


async def _open_store(
    settings: RelaySettings, metrics: Metrics, stack: AsyncExitStack
) -> tuple[Database, RegisterReader]:
    database = await stack.enter_async_context(opened_database(settings.store.database, Path(settings.relay.state_dir)))
    await ensure_relay_id(database)
    registers = RegisterReader(database, metrics)
    stack.push_async_callback(registers.close)
    await registers.open()
    return database, registers


async def _start_engine(settings: RelaySettings, metrics: Metrics, stack: AsyncExitStack) -> Engine:
    engine = _engine(settings.media)
    stack.push_async_callback(_close_engine, engine)
    try:
        await engine.start()
    except OSError as error:
        port = error.port if isinstance(error, CannotStart) else settings.media.port
        raise CannotServe(_port_trouble("media.port", "UDP", port, error)) from error
    metrics.engine(engine.counters)
    return engine


def _engine(media: MediaSection) -> Engine:
    if media.workers == 1:
        return InProcess(EmbeddedEngine(port=media.port, advertise=media.advertise, max_sessions=media.max_sessions))
    return WorkerPool(media.workers, port=media.port, advertise=media.advertise, max_sessions=media.max_sessions)


def _ice_servers(turn: TurnSection) -> IceServers:
    if not turn.urls:
        return IceServers()
    try:
        secret = Path(turn.secret_file).read_bytes().strip()
    except OSError as error:
        raise CannotServe(f"turn.secret_file: {turn.secret_file} cannot be read: {error.strerror}") from error
    if len(secret) < LEAST_SECRET_BYTES:
        raise CannotServe(f"turn.secret_file: {turn.secret_file} holds no secret to rely on; docs/turn.md makes one")
    return IceServers(urls=turn.urls, secret=secret, lifetime_s=turn.credentials_s)


async def _serve_web(settings: RelaySettings, relay: Relay, stack: AsyncExitStack) -> None:
    runner = runner_of(build_app(relay))
    stack.push_async_callback(runner.cleanup)  # before setup: a half done one has to be undone, too
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.web.host, settings.web.port).start()
    except OSError as error:
        raise CannotServe(_port_trouble("web.port", "TCP", settings.web.port, error)) from error
    _log.info("serving %s on %s:%d, media on UDP %s", *_addresses(settings))


def _addresses(settings: RelaySettings) -> tuple[str, str, int, str]:
    media = settings.media
    ports = str(media.port) if media.workers == 1 else f"{media.port} to {media.last_port}"
    return settings.web.public_url, settings.web.host, settings.web.port, ports


def _port_trouble(key: str, protocol: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{key}: {protocol} port {port} is in use; stop the other program, or choose another {key}"
    if error.errno == errno.EACCES:
        return f"{key}: {protocol} port {port} needs more rights; choose {key} above 1023"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{key}: this machine has no such address to listen on ({error.strerror}); see web.host"
    return f"{key}: {protocol} port {port} cannot be opened: {error.strerror or error}"


async def _close_engine(engine: Engine) -> None:
    try:
        async with asyncio.timeout(STOP_ENGINE_S):
            await engine.close()
    except TimeoutError:
        _log.error("the engine did not end within %.1f s", STOP_ENGINE_S)
