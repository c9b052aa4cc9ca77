"""What the setup page shows, as JSON (docs/protocol.md). No secret is in it: no code, no key, no class link."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from appliance.capture.sound_meter import SoundFigures
from appliance.settings import CameraSection
from appliance.setup import crop as crops
from appliance.setup.checks import Checks
from appliance.setup.crop import Share
from appliance.setup.kept import KeptSettings
from appliance.setup.preview import Preview
from appliance.setup.stage import Devices, Stage, Way
from appliance.setup.voice import Voice
from appliance.version import software_version


class StatusReader:
    """Asks everybody. ``voice`` hears whatever is asked for, so one reader serves all pages."""

    def __init__(
        self, settings: KeptSettings, preview: Preview, checks: Checks, stage: Stage, devices: Devices, way: Way
    ) -> None:
        self._settings = settings
        self._preview = preview
        self._checks = checks
        self._stage = stage
        self._devices = devices
        self._way = way
        self._voice = Voice()

    def read(self, now_s: float) -> dict[str, Any]:
        """The kit now."""
        lesson, settings = self._stage.lesson, self._settings.now
        return {
            "state": "preview" if lesson.signal == "preview" else lesson.phase,
            "version": software_version(),
            "enrolment": self._enrolment(),
            "relay": {"url": settings.relay.url, "control": self._way.face().control},
            "camera": {"kind": settings.camera.kind, "trouble": self._preview.trouble},
            "sight": self._sight(),
            "crop": drawn_crop(settings.camera, self._preview),
            "voiceless": settings.microphone.kind == "none",
            "sound": self._sound(now_s),
            "checks": {"running": self._checks.running, "findings": [asdict(f) for f in self._checks.findings]},
            "notice": None if self._stage.notice is None else asdict(self._stage.notice),
            "warnings": self._stage.board.warnings,
        }

    def _enrolment(self) -> dict[str, str] | None:
        found = self._way.credentials
        return None if found is None else {"school": found.school, "room": found.room, "class": found.class_name}

    def _sight(self) -> dict[str, Any] | None:
        newest = self._preview.newest
        if newest is None:
            return None
        return {"number": newest.number, "width": newest.width, "height": newest.height}

    def _sound(self, now_s: float) -> dict[str, Any] | None:
        figures = self._hearing()
        return None if figures is None else {**asdict(figures), "verdict": self._voice.verdict(figures, now_s)}

    def _hearing(self) -> SoundFigures | None:
        if self._settings.now.microphone.kind == "none":
            return None  # the silence that stands for a microphone is none
        if self._stage.lesson.preview == "open":
            return self._preview.hearing()
        return self._devices.hearing()


def shown(camera: CameraSection, preview: Preview) -> Share:
    """What the preview shows of the sensor."""
    return crops.shown_part(preview.view, (camera.width, camera.height))


def drawn_crop(camera: CameraSection, preview: Preview) -> Share:
    """The crop in force, as a rectangle of the preview."""
    inside = crops.to_picture(camera.crop, shown(camera, preview))
    return crops.turned(inside, camera.rotation, camera.flip)
