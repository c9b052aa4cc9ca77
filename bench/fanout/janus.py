"""Janus as the duel's server: Debian's package, its streaming plugin, fed with plain RTP on the same machine.

Left as Debian ships it but for what a run needs: only the HTTP transport and the streaming plugin, no session timeout,
and ``event_loops`` where the duel says so.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.fanout.feeder import Feeder
from bench.fanout.server import PINNED, Server
from bench.fanout.signalling import MOUNTPOINT
from bench.fanout.stream import Kind, Timed

PLUGINS = "/usr/lib/x86_64-linux-gnu/janus"
PORTS: dict[Kind, int] = {"picture": 5004, "voice": 5002}
HTTP_PORT = 8088
PAYLOAD_TYPES: dict[Kind, int] = {"picture": 96, "voice": 111}
START_S, END_S = 15.0, 10.0


def installed() -> bool:
    """Whether Debian's ``janus`` is here."""
    return shutil.which("janus") is not None


@asynccontextmanager
async def janus(folder: Path, host: str, packets: list[Timed], event_loops: int | None) -> AsyncIterator[Server]:
    """Janus with one mountpoint. ``event_loops``: how many threads carry all viewers; None: one for each viewer."""
    _configure(folder, host, event_loops)
    with (folder / "janus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *PINNED, "janus", "--configs-folder", folder, "--disable-colors", stdout=log, stderr=log
        )
    rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        await _answers(f"http://{host}:{HTTP_PORT}/janus/info", process, folder / "janus.log")

        def send(kind: Kind, header: bytes, payload: bytes) -> None:
            rtp.sendto(header + payload, (host, PORTS[kind]))

        feeder = Feeder(packets, PAYLOAD_TYPES, send)
        name = "janus" if event_loops is None else f"janus, event_loops = {event_loops}"
        yield Server(name, process.pid, f"http://{host}:{HTTP_PORT}/janus", feeder, lambda: None)
    finally:
        rtp.close()
        await _end(process)


def _configure(folder: Path, host: str, event_loops: int | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    loops = "" if event_loops is None else f"event_loops = {event_loops}"
    (folder / "janus.jcfg").write_text(
        f'general: {{\n configs_folder = "{folder}"\n plugins_folder = "{PLUGINS}/plugins"\n'
        f' transports_folder = "{PLUGINS}/transports"\n events_folder = "{PLUGINS}/events"\n'
        f' loggers_folder = "{PLUGINS}/loggers"\n debug_level = 3\n session_timeout = 0\n {loops}\n}}\n'
        'media: {\n rtp_port_range = "20000-29999"\n}\n'
        f'plugins: {{\n disable = "{_all_but("plugins", "streaming")}"\n}}\n'
        f'transports: {{\n disable = "{_all_but("transports", "http")}"\n}}\n'
    )
    (folder / "janus.transport.http.jcfg").write_text(
        f'general: {{\n json = "compact"\n base_path = "/janus"\n http = true\n'
        f' port = {HTTP_PORT}\n ip = "{host}"\n}}\n'
        "admin: {\n admin_http = false\n}\n"
    )
    (folder / "janus.plugin.streaming.jcfg").write_text(
        f'lesson: {{\n type = "rtp"\n id = {MOUNTPOINT}\n description = "lesson"\n audio = true\n video = true\n'
        f' audioport = {PORTS["voice"]}\n audiopt = {PAYLOAD_TYPES["voice"]}\n audiocodec = "opus"\n'
        f' videoport = {PORTS["picture"]}\n videopt = {PAYLOAD_TYPES["picture"]}\n videocodec = "h264"\n'
        ' videofmtp = "profile-level-id=42e01f;packetization-mode=1"\n}\n'
    )


def _all_but(kind: str, wanted: str) -> str:
    return ",".join(sorted(path.name for path in Path(PLUGINS, kind).glob("*.so") if wanted not in path.name))


async def _answers(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline_s = asyncio.get_running_loop().time() + START_S
    while True:
        assert process.returncode is None, f"janus ended; see {log}"
        try:
            await asyncio.to_thread(urllib.request.urlopen, url, timeout=1)
        except (urllib.error.URLError, TimeoutError):
            assert asyncio.get_running_loop().time() < deadline_s, "janus does not answer"
            await asyncio.sleep(0.1)
        else:
            return


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_S)
    except TimeoutError:
        process.kill()
        await process.wait()
