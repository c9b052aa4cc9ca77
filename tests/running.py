"""A relay and a kit as the real programs, in child processes on loopback, for tests and ``bench/``.

Nothing here is a fake: the programs are started by their own commands with a configuration file, and driven as a
person or a script would (command line, panel over HTTP, signals). Who uses it: ``tests/browser``, ``tests/interop``
and ``bench``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

START_S = 30.0  # a cold interpreter on a busy two-core machine
STOP_S = 8.0  # the programs promise 5 s; the rest is the machine's noise
UNASKED_PORTS = range(20_000, 32_000)  # below those that the kernel gives to whoever asks for any
STATE_S = 30.0  # a redial after an outage, with back-off, under load
_SCHEDULED = 2  # CPUCLOCK_SCHED of linux/posix-timers.h: all threads of a process


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that was free on loopback a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_ports(count: int = 1) -> int:
    """The first of so many UDP ports in a row that were free on this machine a moment ago, and that nobody is given by
    chance while their owner is dead."""
    while True:
        port = random.choice(UNASKED_PORTS)
        with ExitStack() as held:
            try:
                for number in range(count):
                    sock = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    sock.bind(("", port + number))
            except OSError:
                continue
        return port


@dataclass
class Program:
    """One of our commands as a child process; its output goes to ``log``. ``under``: a command that becomes it."""

    arguments: list[str]
    log: Path
    under: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; what it prints is added to ``log``."""
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(*self.under, sys.executable, "-m", *self.arguments),
                stdout=output,
                stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **self.environment},
            )

    @property
    def pid(self) -> int:
        """The running process's id."""
        assert self.process is not None
        return self.process.pid

    async def end(self, how: signal.Signals) -> int:
        """Send ``how`` and wait for the end; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        try:
            return await asyncio.wait_for(self.process.wait(), STOP_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            late = f"{self.arguments[0]} did not stop within {STOP_S} s of {how.name}:\n{self.tail()}"
            raise AssertionError(late) from None

    def tail(self, lines: int = 40) -> str:
        """The last lines that it printed, for a failure's text."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class RunningRelay:
    """``parta-relay serve`` with a state folder of its own."""

    folder: Path
    http: aiohttp.ClientSession
    advertise: tuple[str, ...] = ("127.0.0.1",)
    port: int = field(default_factory=free_port)
    media_port: int = field(default_factory=lambda: free_port(socket.SOCK_DGRAM))
    host: str = "127.0.0.1"
    more: str = ""
    program: Program = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "relay.toml"
        self.config.write_text(
            f'[relay]\nstate_dir = "{self.folder / "state"}"\n'
            f'[web]\nhost = "{self.host}"\nport = {self.port}\npublic_url = "{self.url}"\n'
            f"[media]\nport = {self.media_port}\nadvertise = {json.dumps(list(self.advertise))}\n{self.more}"
        )
        self.program = Program(["relay", "serve", "--config", str(self.config)], self.folder / "relay.log")

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it can serve."""
        await self.program.start()
        await _answers(self.http, f"{self.url}/readyz", self.program)

    async def command(self, *arguments: str) -> Any:
        """Run another ``parta-relay`` command on the same state; its JSON."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "relay",
            *arguments,
            "--json",
            "--config",
            str(self.config),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(process.communicate(), START_S)
        assert process.returncode == 0, errors.decode()
        return json.loads(output)


@dataclass
class RunningKit:
    """``parta-kit run`` with a simulated panel."""

    folder: Path
    http: aiohttp.ClientSession
    relay_url: str
    enrol_code: str
    camera: str = 'kind = "simulated"'
    microphone: str = 'kind = "simulated"'
    setup: str = "enabled = false"
    recording: str = "enabled = true"
    port: int = field(default_factory=free_port)
    program: Program = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "kit.toml"
        config.write_text(
            f'[kit]\nstate_dir = "{self.folder / "state"}"\n'
            f'[relay]\nurl = "{self.relay_url}"\nenrol_code = "{self.enrol_code}"\n'
            f"[camera]\n{self.camera}\n[microphone]\n{self.microphone}\n"
            f'[panel]\nkind = "simulated"\nport = {self.port}\n[network]\nannounce = false\n[setup]\n{self.setup}\n'
            f"[recording]\n{self.recording}\n"
        )
        self.program = Program(["appliance", "run", "--config", str(config)], self.folder / "kit.log")

    @property
    def url(self) -> str:
        """Where its panel answers."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until its panel answers."""
        await self.program.start()
        await _answers(self.http, f"{self.url}/status", self.program)

    async def press(self, button: str) -> float:
        """Press and release a button; the wall time (s) just before the press."""
        pressed_s = time.time()
        for edge in ("press", "release"):
            async with self.http.post(f"{self.url}/panel/buttons/{button}/{edge}") as response:
                assert response.status == 204, await response.text()
        return pressed_s

    async def hold_to_end(self) -> None:
        """Hold start/end until the lesson ends, then let go."""
        async with self.http.post(f"{self.url}/panel/buttons/start/press") as response:
            assert response.status == 204
        await self.until(lambda status: status["state"] in {"ending", "idle"})
        async with self.http.post(f"{self.url}/panel/buttons/start/release") as response:
            assert response.status == 204

    async def status(self) -> dict[str, Any]:
        """What ``GET /status`` says now."""
        async with self.http.get(f"{self.url}/status") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def until(self, holds: Callable[[dict[str, Any]], bool], timeout_s: float = STATE_S) -> dict[str, Any]:
        """Follow the panel's events until ``holds(status)``; that status."""
        last: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout_s), self.http.get(f"{self.url}/events") as response:
                async for line in response.content:
                    if line.startswith(b"data:"):
                        last = json.loads(line[5:])
                        if holds(last):
                            return last
        except TimeoutError:
            raise AssertionError(f"the kit never got there; last: {last}\n{self.program.tail()}") from None
        raise AssertionError(f"the kit's events ended; last: {last}\n{self.program.tail()}")

    async def until_state(self, *states: str) -> dict[str, Any]:
        """Follow the panel until the lesson is in one of ``states``."""
        return await self.until(lambda status: status["state"] in states)


@dataclass
class RunningSchool:
    """A relay, an enrolled kit, and a class with its link."""

    relay: RunningRelay
    kit: RunningKit
    class_path: str

    @property
    def class_url(self) -> str:
        """The pupil's page."""
        return f"{self.relay.url}{self.class_path}"


async def _answers(http: aiohttp.ClientSession, url: str, program: Program) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert program.process is not None
        assert program.process.returncode is None, f"{program.arguments[0]} ended:\n{program.tail()}"
        try:
            async with http.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
                if response.status == 200:
                    return
        except (aiohttp.ClientError, TimeoutError):
            pass  # not up yet: that is what is being waited for
        await asyncio.sleep(0.05)
    raise AssertionError(f"{url} did not answer within {START_S} s:\n{program.tail()}")


@dataclass(frozen=True)
class FoundedSchool:
    """A relay's state folder with a school, a class and an unused enrol code in it; copied for each run."""

    state: Path
    class_path: str
    enrol_code: str
    stream_key: str

    @classmethod
    def found(cls, folder: Path) -> FoundedSchool:
        """Make one with ``parta-relay``'s own commands, as an IT person would."""
        config = folder / "founding.toml"
        config.write_text(f'[relay]\nstate_dir = "{folder / "state"}"\n')

        def command(*words: str) -> dict[str, str]:
            arguments = [sys.executable, "-m", "relay", *words, "--json", "--config", str(config)]
            output = subprocess.run(arguments, check=True, capture_output=True, timeout=START_S).stdout
            made: dict[str, str] = json.loads(output)
            return made

        command("school", "add", "Школа № 7")
        made = command("class", "add", "7Б")
        code = command("kit", "enrol-code", "--room", "12", "--class", "7Б")
        key = command("kit", "stream-key", "--room", "12", "--class", "7Б")
        return cls(folder / "state", made["class_path"], code["code"], key["stream_key"])


@asynccontextmanager
async def running_relay(
    folder: Path,
    founded: FoundedSchool,
    *,
    advertise: tuple[str, ...] = ("127.0.0.1",),
    media_port: int | None = None,
    host: str = "127.0.0.1",
    more: str = "",
    before: Callable[[Program], Awaitable[None]] | None = None,
) -> AsyncIterator[RunningRelay]:
    """A relay with the founded school in it; ``more`` is added to its configuration.

    ``before`` is done to its program before it starts.
    """
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        media_port = media_port or free_port(socket.SOCK_DGRAM)
        relay = RunningRelay(folder, http, advertise, media_port=media_port, host=host, more=more)
        shutil.copytree(founded.state, folder / "state")
        stack.push_async_callback(_stop, relay.program)
        if before is not None:
            await before(relay.program)
        await relay.start()
        yield relay


@asynccontextmanager
async def running_school(
    folder: Path,
    founded: FoundedSchool,
    *,
    camera: str = 'kind = "simulated"',
    microphone: str = 'kind = "simulated"',
    media_port: int | None = None,
    advertise: tuple[str, ...] = ("127.0.0.1",),
    host: str = "127.0.0.1",
    more: str = "",
    recording: str = "enabled = true",
) -> AsyncIterator[RunningSchool]:
    """A school in which the next press of the start button is seen by whoever opens ``class_url``."""
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(
            running_relay(folder / "relay", founded, advertise=advertise, media_port=media_port, host=host, more=more)
        )
        kit = RunningKit(
            folder / "kit", relay.http, relay.url, founded.enrol_code, camera, microphone, recording=recording
        )
        stack.push_async_callback(_stop, kit.program)
        await kit.start()
        await kit.until(lambda status: status["link"]["control"] == "up")
        yield RunningSchool(relay, kit, founded.class_path)


async def _stop(program: Program) -> None:
    if program.process is None or program.process.returncode is not None:
        return
    code = await program.end(signal.SIGTERM)
    assert code == 0, f"{program.arguments[0]} ended with {code}:\n{program.tail()}"


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used, user and system, in seconds: what its clock says (clock_getcpuclockid(3)), and
    /proc/PID/stat only in hundredths. Raises ``OSError`` when there is no such process."""
    return time.clock_gettime(~pid << 3 | _SCHEDULED)
