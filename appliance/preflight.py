"""The pre-flight checks: does everything that a lesson needs work, now, from here?

Each check does the real thing once and says what it found, with a remedy in plain words. Used by ``commands/doctor.py``
and by the setup page. Not here: camera and microphone (``preflight_devices.py``), and which relay this kit has; it is
given.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from appliance.durable import remove_durably, write_durably
from appliance.errors import KitError, RelayRefused
from appliance.identity import Credentials

Outcome = Literal["ok", "failed", "skipped"]
Name = Literal["storage", "enrolment", "relay", "round_trip", "clock", "udp", "uplink", "camera", "microphone"]

#: A lesson of 45 minutes at the default bitrate takes 0.6 GB; a day has a few, and the system needs room.
FREE_BYTES = 2_000_000_000
#: Beyond this a question from home comes late enough to be talked over (ITU-T G.114 draws the line at 400 ms one way).
SLOW_MS = 500.0
#: Tokens follow the relay's clock anyway; what is off by more stamps the lesson with a wrong time.
CLOCK_OFF_S = 5.0
#: What packets add to pictures and voice: RTP, SRTP, UDP and IP headers on 1200 bytes, and a repeat now and then.
OVERHEAD = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found: ``told`` for a person, ``figures`` for scripts. ``remedy`` says what to do if it failed.

    ``why`` is a stable key for the same, for pages that say it in another language.
    """

    check: Name
    outcome: Outcome
    told: str
    remedy: str = ""
    why: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What the relay answered: whether it serves, and how far its clock is ahead of ours, in seconds."""

    serves: bool
    reason: str
    clock_ahead_s: float


class RelayProbe(Protocol):
    """The relay, as the checks ask it. All raise ``RelayUnreachable`` or ``RelayRefused``."""

    url: str

    async def readiness(self) -> Readiness:
        """Ask whether it serves."""
        ...

    async def round_trip_ms(self) -> float:
        """How long a small question takes on an open connection."""
        ...

    async def media_round_trip_ms(self) -> float:
        """Put a real media session up, measure it, and take it down. No pupil sees it."""
        ...

    async def uplink_kbps(self) -> float:
        """How much goes up to the relay in a second; 0.0 where hardly anything does."""
        ...


def failed(check: Name, why: str, told: str, remedy: str) -> Finding:
    """A check that failed."""
    return Finding(check=check, outcome="failed", told=told, remedy=remedy, why=why)


def skipped(check: Name, why: str, reason: str, remedy: str = "") -> Finding:
    """A check that could not be tried."""
    return Finding(check=check, outcome="skipped", told=f"not tried: {reason}", remedy=remedy, why=why)


def check_enrolment(credentials: Credentials | None, remedy: str) -> Finding:
    """Whether a relay knows this kit; ``remedy`` is how it gets to."""
    if credentials is None:
        return failed("enrolment", "stranger", "this kit is not enrolled with any relay", remedy)
    told = f"{credentials.school}, room {credentials.room}, teaches {credentials.class_name}"
    return Finding(check="enrolment", outcome="ok", told=told)


async def check_storage(state_dir: Path) -> Finding:
    """Whether the kit's state can be written and has room for lessons."""
    return await asyncio.to_thread(_storage, state_dir)


def _storage(state_dir: Path) -> Finding:
    trial = state_dir / f".preflight.{os.getpid()}"
    try:
        write_durably(trial, b"parta")
        remove_durably(trial)
        free = shutil.disk_usage(state_dir).free
    except OSError as error:
        return failed(
            "storage",
            "storage_unwritable",
            f"{state_dir} cannot be written: {error.strerror or error}",
            "check kit.state_dir and its owner; a card that turned read-only is worn out and has to be replaced",
        )
    told = f"{free / 1e9:.1f} GB free in {state_dir}"
    if free < FREE_BYTES:
        return failed(
            "storage", "storage_full", told, f"make room: lessons want {FREE_BYTES / 1e9:.0f} GB; or take a larger card"
        )
    return Finding(check="storage", outcome="ok", told=told, figures={"free_bytes": free})


async def check_relay(probe: RelayProbe) -> tuple[Finding, Readiness | None]:
    """Whether the relay answers and serves. The readiness is for ``check_clock``."""
    try:
        readiness = await probe.readiness()
    except KitError as error:
        return failed("relay", "relay_unreachable", str(error), _reach(probe.url)), None
    if not readiness.serves:
        remedy = "look at the relay's log; if this is no relay at all, correct relay.url"
        told = f"{probe.url} answers, and does not serve: {readiness.reason}"
        return failed("relay", "relay_not_serving", told, remedy), None
    return Finding(check="relay", outcome="ok", told=f"{probe.url} serves"), readiness


def _reach(url: str) -> str:
    return (
        f"check relay.url ({url}), the kit's cable or Wi-Fi, and whether the school's filter or proxy lets the kit "
        "reach that address"
    )


async def check_round_trip(probe: RelayProbe) -> Finding:
    """How far away the relay is."""
    try:
        took_ms = await probe.round_trip_ms()
    except KitError as error:
        return failed("round_trip", "relay_unreachable", str(error), _reach(probe.url))
    told = f"{took_ms:.0f} ms to the relay and back"
    if took_ms > SLOW_MS:
        remedy = "the network is slow or overloaded: prefer a cable, or ask who else uses it"
        return failed("round_trip", "slow", told, remedy)
    return Finding(check="round_trip", outcome="ok", told=told, figures={"round_trip_ms": took_ms})


def check_clock(readiness: Readiness) -> Finding:
    """Whether this kit knows what time it is."""
    ahead_s = readiness.clock_ahead_s
    if abs(ahead_s) > CLOCK_OFF_S:
        return failed(
            "clock",
            "clock_off",
            f"this kit's clock is {abs(ahead_s):.0f} s {'behind' if ahead_s > 0 else 'ahead of'} the relay's",
            "let the kit reach a time server (NTP, UDP port 123), or name the school's own; lessons go on meanwhile",
        )
    return Finding(check="clock", outcome="ok", told="agrees with the relay's", figures={"relay_ahead_s": ahead_s})


async def check_udp(probe: RelayProbe) -> Finding:
    """Whether media gets to the relay: a real session over UDP, encrypted, up and down again."""
    try:
        took_ms = await probe.media_round_trip_ms()
    except RelayRefused as error:
        return _refused("udp", error)
    except KitError as error:
        return failed(
            "udp",
            "udp_blocked",
            str(error),
            "let UDP through to the relay's media port (8443 unless media.port says otherwise), out and back; without "
            "it pupils see nothing live",
        )
    return Finding(
        check="udp",
        outcome="ok",
        told=f"a media session came up; {took_ms:.0f} ms there and back",
        figures={"media_round_trip_ms": took_ms},
    )


async def check_uplink(probe: RelayProbe, wanted_kbps: int) -> Finding:
    """Whether as much goes up to the relay as a lesson takes at its best."""
    try:
        kbps = await probe.uplink_kbps()
    except RelayRefused as error:
        return _refused("uplink", error)
    except KitError as error:
        return failed("uplink", "relay_unreachable", str(error), _reach(probe.url))
    told = f"carries {kbps:.0f} kb/s up to the relay; a sharp picture with voice takes {wanted_kbps} kb/s"
    if kbps >= wanted_kbps:
        figures = {"uplink_kbps": round(kbps), "wanted_kbps": wanted_kbps}
        return Finding(check="uplink", outcome="ok", told=told, figures=figures)
    remedy = (
        "prefer a cable to Wi-Fi, look who else uploads, ask the provider for more, or lower camera.bitrate_kbps; "
        "lessons go on meanwhile, with fewer and softer pictures"
    )
    return failed("uplink", "uplink_narrow", told, remedy)


def wanted_kbps(picture_kbps: int, voice_bps: int) -> int:
    """What a lesson takes of the uplink at its best."""
    return round((picture_kbps + voice_bps / 1000) * OVERHEAD)


async def network_findings(
    probe: RelayProbe, *, enrolled: bool, uplink_kbps: int | None
) -> AsyncGenerator[Finding, None]:
    """The relay and the way to it. ``uplink_kbps`` is what it has to carry; None: a lesson runs, and needs it all."""
    finding, readiness = await check_relay(probe)
    yield finding
    if readiness is None:
        for check in ("round_trip", "clock", "udp", "uplink"):
            yield skipped(check, "no_relay", "the relay does not serve")
        return
    yield await check_round_trip(probe)
    yield check_clock(readiness)
    yield await check_udp(probe) if enrolled else skipped("udp", "stranger", "only an enrolled kit may send media")
    if uplink_kbps is None:
        yield skipped("uplink", "lesson", "a lesson runs, and needs the uplink")
    elif enrolled:
        yield await check_uplink(probe, uplink_kbps)
    else:
        yield skipped("uplink", "stranger", "only an enrolled kit may send")


def _refused(check: Name, error: RelayRefused) -> Finding:
    why, remedy = _REFUSED.get(error.status, ("relay_refused", "look at the relay's log"))
    return failed(check, why, str(error), remedy)


_REFUSED = {
    401: ("kit_unknown", "the relay does not know this kit any more: enrol it again, with a new code"),
    404: ("relay_old", "this relay is older than the kit and has no such check: upgrade it"),
    503: ("relay_full", "the relay is full; try again after the lessons, or raise media.max_sessions"),
}
