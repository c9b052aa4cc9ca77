"""The camera worker: the process in which a camera lives that may hang or crash. Started by ``worker.py`` only.

    python -m appliance.capture.worker_process DESCRIPTOR FACTORY OPTIONS

DESCRIPTOR is its end of the line to the kit, FACTORY names a ``Camera`` as ``module:name``, OPTIONS are its arguments
as JSON. It loads the camera's libraries, opens the camera when the kit says so, and closes it when the line ends,
which it does with the kit. Not here: any camera; restarting (the kit's).
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import json
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress

from appliance.capture.base import Camera, CameraStream, Preparing, SensorView
from appliance.capture.clock import LessonClock
from appliance.capture.worker_link import Kind, Link
from appliance.errors import CameraUnavailable, KitError

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LOG_FORMAT = "%(levelname)-7s %(name)s: %(message)s"

log = logging.getLogger(__name__)


class Worker:
    """One camera, opened once."""

    def __init__(self) -> None:
        self._clock: asyncio.Future[LessonClock] = asyncio.get_running_loop().create_future()
        self._stream: CameraStream | None = None
        self._bitrate_bps: int | None = None
        self._fps: int | None = None
        self._stills: set[asyncio.Task[None]] = set()
        self._link = Link(self._told, self._hung_up)
        self._task = asyncio.current_task()

    async def run(self, line: socket.socket, factory: str, options: dict[str, object]) -> None:
        """Build the camera, open it when told, and send what it gives, until the line or the camera ends."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self._link, sock=line)
        try:
            began_s = time.monotonic()
            camera = await asyncio.to_thread(build, factory, options)
            self._link.send(Kind.LOADED)
            log.info("the camera's libraries took %.1f s to load", time.monotonic() - began_s)
            await self._film(camera, await self._clock)
            self._link.send(Kind.ENDED)
        except (KitError, OSError) as error:
            self._link.send(Kind.LOST, 0, (str(error) or type(error).__name__).encode())
        self._link.close()
        await self._link.gone.wait()

    async def _film(self, camera: Camera, clock: LessonClock) -> None:
        async with camera.open(clock) as stream:
            self._stream = stream
            if self._bitrate_bps is not None:
                stream.set_bitrate(self._bitrate_bps)
            if self._fps is not None:
                stream.set_frame_rate(self._fps)
            if isinstance(stream, SensorView) and stream.view is not None:
                self._link.send(Kind.VIEW, stream.view[0] << 16 | stream.view[1])
            async for unit in stream:
                await self._link.drained()
                self._link.send(Kind.KEY_PICTURE if unit.key_frame else Kind.PICTURE, unit.capture_us, unit.data)

    def _told(self, kind: Kind, value: int, payload: bytes) -> None:
        if kind is Kind.OPEN:
            self._clock.set_result(LessonClock(**json.loads(payload)))
        elif kind is Kind.SET_BITRATE:
            self._bitrate_bps = value
            if self._stream is not None:
                self._stream.set_bitrate(value)
        elif kind is Kind.SET_FRAME_RATE:
            self._fps = value
            if self._stream is not None:
                self._stream.set_frame_rate(value)
        elif kind is Kind.FORCE_KEY_FRAME and self._stream is not None:
            self._stream.force_key_frame()
        elif kind is Kind.TAKE_STILL:
            task = asyncio.create_task(self._still(value), name=f"still {value}")
            self._stills.add(task)
            task.add_done_callback(self._stills.discard)

    async def _still(self, number: int) -> None:
        try:
            if self._stream is None:
                raise CameraUnavailable("the camera is not open yet")
            self._link.send(Kind.STILL, number, await self._stream.still())
        except (KitError, OSError) as error:
            self._link.send(Kind.NO_STILL, number, str(error).encode())

    def _hung_up(self) -> None:
        if self._task is not None:
            self._task.cancel()


def build(factory: str, options: dict[str, object]) -> Camera:
    """The camera that the kit named, with its libraries loaded. Raises ``CameraUnavailable``."""
    module, _, name = factory.partition(":")
    camera: Camera = getattr(importlib.import_module(module), name)(**options)
    if isinstance(camera, Preparing):
        camera.prepare()
    return camera


def main(arguments: list[str]) -> None:
    """Run the worker."""
    descriptor, factory, options = arguments
    _die_with_the_kit()
    logging.basicConfig(stream=sys.stderr, format=LOG_FORMAT, level=logging.INFO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the kit ends the lesson first
    # Cancelled: the kit hung up, and the camera is closed.
    with socket.socket(fileno=int(descriptor)) as line, suppress(asyncio.CancelledError):
        asyncio.run(_run(line, factory, json.loads(options)))
    sys.stderr.flush()
    os._exit(0)  # a native thread that hangs must not keep the camera's process


async def _run(line: socket.socket, factory: str, options: dict[str, object]) -> None:
    await Worker().run(line, factory, options)


def _die_with_the_kit() -> None:
    """Have the kernel end this process with the kit: a camera must not go on when the tally's owner is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
