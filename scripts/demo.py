"""`make run`: a relay and a simulated kit on this computer, set up, started, and stopped together.

The real programs run as child processes, on the shipped ``config/demo*.toml``. What they keep is in ``.demo/``, so that
the class link stays the same from one start to the next. Also used by ``scripts/screenshots.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from appliance import settings as kit_settings
from relay import settings as relay_settings
from scripts.children import Child, ChildFailed, output_of, stop_all

ROOT = Path(__file__).resolve().parent.parent
SCHOOL, ROOM, CLASS = "Школа № 7", "12", "7Б"

START_S = 20.0  # a cold interpreter and an empty database on a slow laptop
COMMAND_S = 20.0
ANSWER_S = 1.0
# Ctrl-C is to take less than 5 s in all: the kit goes first, so that it ends its lesson while the relay still listens.
STOP_S = 4.6
KIT_STOPS_FIRST_S = 2.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What runs: where to look, and the children to watch."""

    panel_url: str
    class_url: str
    children: tuple[Child, ...]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the demo keeps its state and listens, and what its camera plays (``None``: the simulated classroom)."""

    state: Path = ROOT / ".demo"
    web_port: int = 8080
    panel_port: int = 8090
    media_port: int = 8443
    camera: Path | None = None

    @property
    def relay_url(self) -> str:
        """The relay's address."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def panel_url(self) -> str:
        """The panel's address."""
        return f"http://127.0.0.1:{self.panel_port}/"


class CannotStart(Exception):
    """What a person must change before anything can be started; one line."""


def main() -> int:
    """Run until Ctrl-C, SIGTERM, or the end of a child; the exit code."""
    try:
        return asyncio.run(_main(_options(sys.argv[1:])))
    except (CannotStart, ChildFailed) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2 if isinstance(error, CannotStart) else 1


async def _main(options: Options) -> int:
    this = asyncio.current_task()
    assert this is not None
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:  # a second Ctrl-C must not cut the orderly end short
            stopping = True
            this.cancel()

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(sign, stop)
    print("Starting a relay and a simulated kit …", flush=True)
    try:
        async with running_demo(options) as demo:
            _announce(options, demo)
            await _first_end(demo.children)
    except asyncio.CancelledError:
        print("Stopped.", flush=True)
    return 0


@asynccontextmanager
async def running_demo(options: Options) -> AsyncIterator[Demo]:
    """Everything up: the relay serves, the kit is enrolled and connected. Raises ``CannotStart``, ``ChildFailed``."""
    _refuse_busy_ports(options)
    if options.camera is not None:
        _has_sound(options.camera)  # refused now rather than when half of it runs
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)))
        made = options.state / "school-is-made"
        if not made.exists():  # a first start that was cut short is begun anew
            for half in ("relay", "kit"):
                shutil.rmtree(options.state / half, ignore_errors=True)
        options.state.mkdir(parents=True, exist_ok=True)
        children: list[Child] = []
        stack.push_async_callback(_stop, children)
        await _start_relay(options, http, children)
        enrol_code = "" if made.exists() else await _make_school(options)
        class_path = await _start_kit(options, enrol_code, http, children)
        made.touch()
        yield Demo(options.panel_url, options.relay_url + class_path, tuple(children))


async def _start_relay(options: Options, http: aiohttp.ClientSession, children: list[Child]) -> None:
    config = options.state / "relay.toml"
    config.write_text(as_toml(relay_config(options)))
    relay = Child("relay", ("relay", "serve", "--config", str(config)), options.state / "relay.log")
    children.append(relay)
    await relay.start()

    async def serves() -> bool:
        return await _get(http, f"{options.relay_url}/readyz") is not None

    await relay.until(serves, START_S, "get ready")


async def _start_kit(options: Options, enrol_code: str, http: aiohttp.ClientSession, children: list[Child]) -> str:
    """Start the kit and wait until it is connected; the path of its class's page, as the relay just told it."""
    config = options.state / "kit.toml"
    config.touch(mode=0o600)  # an enrol code is in it, until it is used
    config.write_text(as_toml(kit_config(options, enrol_code)))
    kit = Child("kit", ("appliance", "run", "--config", str(config)), options.state / "kit.log")
    children.append(kit)
    await kit.start()
    link: dict[str, Any] = {}

    async def connected() -> bool:
        status = await _get(http, f"{options.panel_url}status")
        link.update(json.loads(status)["link"] if status is not None else {})
        return bool(link.get("control") == "up" and link["class_path"])

    await kit.until(connected, START_S, "reach the relay")
    return str(link["class_path"])


async def _make_school(options: Options) -> str:
    """Make a school with one room and one class; the code with which its kit enrols."""
    await _relay_command(options, "school", "add", SCHOOL)
    await _relay_command(options, "class", "add", CLASS)
    code = await _relay_command(options, "kit", "enrol-code", "--room", ROOM, "--class", CLASS)
    return str(code["code"])


async def _relay_command(options: Options, *arguments: str) -> dict[str, Any]:
    config = str(options.state / "relay.toml")
    found: dict[str, Any] = json.loads(await output_of(("relay", *arguments, "--json", "--config", config), COMMAND_S))
    return found


async def _stop(started: list[Child]) -> None:
    """Stop the children, the last one first."""
    for child in await stop_all(started[::-1], KIT_STOPS_FIRST_S, STOP_S):
        print(f"demo: the {child.name} did not stop within {STOP_S} s and was killed", file=sys.stderr)


async def _first_end(children: tuple[Child, ...]) -> None:
    """Wait for a child to end by itself, which is a failure whatever its exit code. Raises ``ChildFailed``."""
    waits = {asyncio.create_task(child.ended(), name=f"watch {child.name}"): child for child in children}
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    first = done.pop()
    raise waits[first].failure(first.result())


async def _get(http: aiohttp.ClientSession, url: str) -> str | None:
    """The body of a 200, ``None`` while nothing (good) answers."""
    try:
        async with http.get(url) as response:
            return await response.text() if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None  # not up yet: that is what is being waited for


def relay_config(options: Options) -> relay_settings.RelaySettings:
    """``config/demo-relay.toml`` with this run's folder and ports."""
    shipped = relay_settings.load_settings(ROOT / "config" / "demo-relay.toml")
    replace = msgspec.structs.replace
    return replace(
        shipped,
        relay=replace(shipped.relay, state_dir=str(options.state / "relay")),
        web=replace(shipped.web, port=options.web_port, public_url=options.relay_url),
        media=replace(shipped.media, port=options.media_port),
    )


def kit_config(options: Options, enrol_code: str) -> kit_settings.KitSettings:
    """``config/demo.toml`` with this run's folder and ports, and the video of ``--camera``."""
    shipped = kit_settings.load_settings(ROOT / "config" / "demo.toml")
    replace = msgspec.structs.replace
    settings = replace(
        shipped,
        kit=replace(shipped.kit, state_dir=str(options.state / "kit")),
        relay=replace(shipped.relay, url=options.relay_url, enrol_code=enrol_code),
        panel=replace(shipped.panel, port=options.panel_port),
    )
    if options.camera is None:
        return settings
    video = str(options.camera.resolve())
    with_sound = _has_sound(options.camera)
    return replace(
        settings,
        camera=replace(settings.camera, kind="file", file=video),
        microphone=replace(settings.microphone, kind="file" if with_sound else "none", file=video),
    )


def _has_sound(video: Path) -> bool:
    """Whether there is sound beside the picture. Raises ``CannotStart`` for what is no video."""
    import av  # a third of a second that only --camera needs

    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise CannotStart(f"{video}: there is no picture in it; give a video")
            return bool(container.streams.audio)
    except (OSError, av.FFmpegError) as error:
        raise CannotStart(f"{video}: not a video that can be read: {error}") from error


def as_toml(settings: msgspec.Struct) -> str:
    """Settings as a TOML file. A JSON string, number, boolean or list is a TOML one, too."""
    told = "# Written by scripts/demo.py at every start; change config/demo*.toml instead."
    sections: dict[str, dict[str, Any]] = msgspec.to_builtins(settings)
    return "\n".join([told, *(_table(name, keys) for name, keys in sections.items())]) + "\n"


def _table(name: str, keys: dict[str, Any]) -> str:
    inner = {key: value for key, value in keys.items() if isinstance(value, dict)}
    own = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items() if key not in inner]
    return "\n".join([f"\n[{name}]", *own, *(_table(f"{name}.{key}", value) for key, value in inner.items())])


def _refuse_busy_ports(options: Options) -> None:
    # Asked beforehand, because a stranger on the port might answer in the relay's or the panel's place.
    for port, kind, what in (
        (options.web_port, socket.SOCK_STREAM, "the relay's web pages (TCP)"),
        (options.media_port, socket.SOCK_DGRAM, "the relay's media (UDP)"),
        (options.panel_port, socket.SOCK_STREAM, "the front panel (TCP)"),
    ):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a run that just ended is no obstacle
            try:
                probe.bind(("", port))
            except OSError as error:
                busy = f"port {port}, for {what}, is not free ({os.strerror(error.errno or 0)}); is a `make run` open?"
                raise CannotStart(busy) from error


def _options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="make run", description="Start a relay and a simulated kit on this computer.")
    parser.add_argument(
        "--camera", type=Path, metavar="VIDEO", help="play this file instead of the simulated classroom"
    )
    parser.add_argument("--web-port", type=int, default=Options.web_port)
    parser.add_argument("--panel-port", type=int, default=Options.panel_port)
    parser.add_argument("--media-port", type=int, default=Options.media_port)
    parser.add_argument("--state", type=Path, default=Options.state, metavar="FOLDER")
    return Options(**vars(parser.parse_args(arguments)))


def _announce(options: Options, demo: Demo) -> None:
    print(f"Front panel:  {demo.panel_url}")
    print(f"Pupil's page: {demo.class_url}")
    print("\nOpen both, and press start on the panel. Ctrl-C stops.")
    print(f"Logs: {options.state / 'relay.log'}, {options.state / 'kit.log'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
