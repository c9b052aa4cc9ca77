"""The pre-flight checks as the setup page runs them: one run at a time, its findings one after another.

Camera and microphone are judged through the preview, which lights the tally; in a lesson they are left alone, and so is
the up-link, which the lesson needs. Not here: the checks (``preflight.py``, ``preflight_devices.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

from appliance.errors import KitError
from appliance.identity import Credentials
from appliance.preflight import (
    Finding,
    RelayProbe,
    check_enrolment,
    check_storage,
    failed,
    network_findings,
    skipped,
    wanted_kbps,
)
from appliance.preflight_devices import DEVICE_S, camera_dead, judge_level, judge_picture, microphone_dead
from appliance.settings import RelaySection
from appliance.setup.kept import KeptSettings
from appliance.setup.preview import Preview
from appliance.setup.stage import Stage

#: How long the microphone is listened to, and how often it is asked.
LISTEN_S = 1.5
_ASK_EVERY_S = 0.1
_ENROL = "make a code with `parta-relay kit enrol-code`, and type it in below"

OpenProbe = Callable[[RelaySection, Path, Credentials | None], AbstractAsyncContextManager[RelayProbe]]


class Checks:
    """The newest run."""

    def __init__(self, settings: KeptSettings, preview: Preview, stage: Stage, open_probe: OpenProbe) -> None:
        self.findings: list[Finding] = []
        self.running = False
        self._settings = settings
        self._preview = preview
        self._stage = stage
        self._open_probe = open_probe

    async def run(self) -> None:
        """Check everything, unless that is being done."""
        if self.running:
            return
        self.running, self.findings = True, []
        try:
            async with aclosing(self._all()) as found:
                async for finding in found:
                    self.findings.append(finding)
        finally:
            self.running = False

    async def _all(self) -> AsyncGenerator[Finding, None]:
        yield await check_storage(self._settings.state_dir)
        async with aclosing(self._network()) as network:
            async for finding in network:
                yield finding
        async with aclosing(self._devices()) as devices:
            async for finding in devices:
                yield finding

    async def _network(self) -> AsyncGenerator[Finding, None]:
        settings = self._settings.now
        try:
            credentials = await asyncio.to_thread(Credentials.load, self._settings.state_dir)
            yield check_enrolment(credentials, _ENROL)
            wanted = wanted_kbps(settings.camera.bitrate_kbps, settings.microphone.bitrate_bps)
            lesson = self._stage.lesson.phase != "idle"
            async with self._open_probe(settings.relay, self._settings.state_dir, credentials) as probe:
                findings = network_findings(
                    probe, enrolled=credentials is not None, uplink_kbps=None if lesson else wanted
                )
                async with aclosing(findings) as found:
                    async for finding in found:
                        yield finding
        except KitError as error:
            yield failed("enrolment", "state_unusable", str(error), "the line above says it")

    async def _devices(self) -> AsyncGenerator[Finding, None]:
        was_open = self._stage.lesson.preview == "open"
        if not self._stage.preview(True):
            yield skipped("camera", "lesson", "a lesson runs; the panel and the class's page tell how its picture is")
            yield skipped("microphone", "lesson", "a lesson runs; the meter on this page goes on")
            return
        try:
            yield await self._camera()
            yield await self._microphone()
        finally:
            if not was_open:
                self._stage.preview(False)

    async def _camera(self) -> Finding:
        self._preview.looked()
        after = 0 if self._preview.newest is None else self._preview.newest.number
        sight = await self._preview.next(after, DEVICE_S / 2)
        self._preview.looked()
        sight = sight or await self._preview.next(after, DEVICE_S / 2)
        if sight is None:
            if self._stage.lesson.preview != "open":
                return skipped("camera", "lesson", "the camera was taken over")
            return camera_dead(self._preview.trouble or f"the camera gave no picture within {DEVICE_S:.0f} s")
        return judge_picture(sight.width, sight.height, sight.shades, {})

    async def _microphone(self) -> Finding:
        if self._settings.now.microphone.kind == "none":
            return Finding(check="microphone", outcome="ok", told="this kit has none, by its settings")
        levels: list[float] = []
        deadline_s = asyncio.get_running_loop().time() + DEVICE_S
        while len(levels) < LISTEN_S / _ASK_EVERY_S:
            if self._stage.lesson.preview != "open":
                return skipped("microphone", "lesson", "the microphone was taken over")
            if asyncio.get_running_loop().time() > deadline_s:
                told = self._preview.sound_trouble or f"the microphone gave no sound within {DEVICE_S:.0f} s"
                return microphone_dead(told)
            self._preview.looked()
            if (figures := self._preview.hearing()) is not None:
                levels.append(figures.level_dbfs)
            await asyncio.sleep(_ASK_EVERY_S)
        return judge_level(max(levels))
