"""``parta-kit doctor``: the pre-flight checks in a terminal, each with what to do when it failed.

Camera and microphone open because a person asked, and only with the tally lit: where another program has the panel (the
kit runs), they are not opened at all. Not here: the checks (``preflight.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path

from appliance.capture.base import Camera, Microphone
from appliance.commands.discover import offers
from appliance.discovery import look_around
from appliance.errors import KitError, PanelUnavailable
from appliance.hw.base import Face
from appliance.identity import Credentials
from appliance.kit import new_sources, open_relay_probe
from appliance.panels import new_panel
from appliance.preflight import (
    Finding,
    Name,
    Outcome,
    check_enrolment,
    check_storage,
    failed,
    network_findings,
    skipped,
    wanted_kbps,
)
from appliance.preflight_devices import check_camera, check_microphone
from appliance.settings import CameraSection, KitSettings, MicrophoneSection

OK, NOT_READY = 0, 1
#: For relays that announce themselves, when this kit has none.
LOOK_S = 2.0

TITLES: Mapping[Name, str] = {
    "storage": "storage",
    "enrolment": "enrolment",
    "relay": "relay (HTTP)",
    "round_trip": "round trip",
    "clock": "clock",
    "udp": "media (UDP)",
    "uplink": "up-link",
    "camera": "camera",
    "microphone": "microphone",
}
MARKS: Mapping[Outcome, str] = {"ok": "OK    ", "failed": "FAILED", "skipped": "–     "}
_KIT_RUNS = "another program, most likely the running kit, has the panel, and without a lit tally nothing is opened"
_STOP_KIT = "between lessons: systemctl stop parta-kit, run the doctor again, systemctl start parta-kit"


def doctor(settings: KitSettings, options: argparse.Namespace) -> int:
    """Check, and tell. Exit code 0 when everything is OK, 1 when something failed or could not be tried."""
    findings = asyncio.run(_examine(settings, options))
    if options.json:
        print(json.dumps({"ok": _all_ok(findings), "findings": [asdict(finding) for finding in findings]}))
    else:
        print("Everything is OK." if _all_ok(findings) else "Not ready: see above.")
    return OK if _all_ok(findings) else NOT_READY


def _all_ok(findings: list[Finding]) -> bool:
    return all(finding.outcome == "ok" for finding in findings)


async def _examine(settings: KitSettings, options: argparse.Namespace) -> list[Finding]:
    findings = []
    async with aclosing(_findings(settings, capture=options.capture)) as found:
        async for finding in found:
            findings.append(finding)
            if not options.json:
                print(as_text(finding), flush=True)
    return findings


def as_text(finding: Finding) -> str:
    """One or two lines for a person."""
    line = f"{MARKS[finding.outcome]}  {TITLES[finding.check]:<12}  {finding.told}"
    return f"{line}\n{' ' * 22}→ {finding.remedy}" if finding.remedy else line


async def _findings(settings: KitSettings, *, capture: bool) -> AsyncGenerator[Finding, None]:
    state_dir = Path(settings.kit.state_dir)
    yield await check_storage(state_dir)
    try:
        credentials = Credentials.load(state_dir)
        async with open_relay_probe(settings.relay, state_dir, credentials) as probe:
            yield await _enrolment(credentials, settings.relay.url)
            wanted = wanted_kbps(settings.camera.bitrate_kbps, settings.microphone.bitrate_bps)
            findings = network_findings(probe, enrolled=credentials is not None, uplink_kbps=wanted)
            async with aclosing(findings) as found:
                async for finding in found:
                    yield finding
    except KitError as error:
        yield failed("enrolment", "state_unusable", str(error), "the line above says it")
    if capture:
        async with aclosing(_devices(settings)) as found:
            async for finding in found:
                yield finding


async def _enrolment(credentials: Credentials | None, url: str) -> Finding:
    if credentials is not None:
        return check_enrolment(credentials, "")
    how = f"make a code with `parta-relay kit enrol-code` and run: parta-kit enrol CODE --relay {url}"
    try:
        relays = (await look_around(LOOK_S)).relays
    except OSError:
        relays = {}  # no network to look at; the next check says so
    seen = "".join(f"\n{' ' * 24}{offer.strip()}" for offer in offers(list(relays.values())))
    where = f"; relays here, announced by themselves, so check that it is yours:{seen}" if seen else ""
    return check_enrolment(None, how + where)


async def _devices(settings: KitSettings) -> AsyncGenerator[Finding, None]:
    print(
        "The camera and the microphone open now, for a few seconds, because you asked. Nothing is kept or sent.",
        file=sys.stderr,
        flush=True,
    )
    try:
        async with new_panel(settings.panel).open(lambda edge: None) as panel:
            panel.show(Face(state="starting", tally="connecting"))  # lit before anything opens
            try:
                yield await _camera(settings.camera)
                yield await _microphone(settings.microphone)
            finally:
                panel.show(Face())
    except PanelUnavailable:
        yield skipped("camera", "kit_runs", _KIT_RUNS, _STOP_KIT)
        yield skipped("microphone", "kit_runs", _KIT_RUNS)


async def _camera(section: CameraSection) -> Finding:
    try:
        camera = (await _sources(section, MicrophoneSection(kind="none")))[0]
    except KitError as error:
        return failed("camera", "camera_settings", str(error), "correct [camera] in the settings")
    return await check_camera(camera)


async def _microphone(section: MicrophoneSection) -> Finding:
    if section.kind == "none":
        return Finding(check="microphone", outcome="ok", told="this kit has none, by its settings")
    try:
        microphone = (await _sources(CameraSection(), section))[1]
    except KitError as error:
        return failed("microphone", "microphone_settings", str(error), "correct [microphone] in the settings")
    return await check_microphone(microphone)


async def _sources(camera: CameraSection, microphone: MicrophoneSection) -> tuple[Camera, Microphone]:
    """One of the two, with the other at its simplest: so that a wrong one does not hide the right one."""
    return await asyncio.to_thread(new_sources, camera, microphone)
