"""The setup page, put together and kept running beside the kit: no trouble with it may ever touch a lesson.

Made by ``kit.py``, which gives it everything that it names. A port that is taken is told in the log and tried again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from functools import partial

from aiohttp import web

from appliance.errors import KitError
from appliance.page_port import take_port, why_not
from appliance.settings import KitSettings
from appliance.setup.checks import Checks, OpenProbe
from appliance.setup.door import Door
from appliance.setup.kept import KeptSettings
from appliance.setup.preview import NewSources, Preview
from appliance.setup.recent_log import RecentLog
from appliance.setup.server import Enrol, SetupServer
from appliance.setup.stage import Devices, Stage, Way
from appliance.supervise import Backoff, keep_running

AGAIN_S = (2.0, 60.0)  # a port that another program has
STOP_CONNECTIONS_S = 0.5  # streams end by themselves when told

log = logging.getLogger(__name__)


class SetupUnavailable(KitError, OSError):
    """The page cannot be served."""

    key = "setup_unavailable"


class SetupPage:
    """The page of one kit. ``open_preview`` is for the crew, and ``run`` for the kit's task group."""

    def __init__(self, settings: KitSettings, *, new_sources: NewSources, open_probe: OpenProbe, enrol: Enrol) -> None:
        self._settings = KeptSettings(settings)
        self._new_sources = new_sources
        self._open_probe = open_probe
        self._enrol = enrol
        self._stage: Stage | None = None
        self._preview = Preview(self._settings, new_sources, self._nobody_looks)
        self._recent = RecentLog()
        self.open_preview = self._preview.open

    async def run(self, stage: Stage, devices: Devices, way: Way) -> None:
        """Serve until cancelled."""
        self._stage = stage
        root = logging.getLogger()
        root.addHandler(self._recent)
        try:
            await keep_running("setup page", partial(self._serve, stage, devices, way), Backoff(*AGAIN_S))
        finally:
            root.removeHandler(self._recent)

    def _nobody_looks(self) -> None:
        if self._stage is not None:
            self._stage.preview(False)

    async def _serve(self, stage: Stage, devices: Devices, way: Way) -> None:
        door = Door(self._settings.state_dir)
        if (pin := await door.prepare()) is not None:
            # Not logged: the log can be downloaded. On the console and in the journal it is for who owns the kit.
            print(f"parta-kit: the PIN of the setup page is {pin}", file=sys.stderr, flush=True)
        checks = Checks(self._settings, self._preview, stage, self._open_probe)
        server = SetupServer(
            self._settings,
            door,
            self._preview,
            checks,
            self._recent,
            stage=stage,
            devices=devices,
            way=way,
            new_camera=lambda settings: self._new_sources(settings.camera, settings.microphone)[0],
            enrol=self._enrol,
        )
        runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=STOP_CONNECTIONS_S)
        try:
            await self._listen(runner)
            await asyncio.Event().wait()
        finally:
            with suppress(asyncio.CancelledError):
                await server.close()
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        setup = self._settings.now.setup
        await runner.setup()
        try:
            await take_port(runner, setup.host, setup.port)
        except OSError as error:
            raise SetupUnavailable(why_not("setup", setup.host, setup.port, error)) from error
        log.info("the setup page is http://%s:%d/", setup.host, setup.port)
