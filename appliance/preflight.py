"""The pre-flight checks: does everything that a lesson needs work, now, from here?

Each check does the real thing once and says what it found, with a remedy in plain words. Used by ``commands/doctor.py``
(and by the setup page, when there is one). Not here: which camera, relay and panel this kit has; they are given. A
check of camera or microphone captures: whoever calls it has asked the person, and has lit the tally.
"""

from __future__ import annotations

import asyncio
import io
import math
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from appliance.capture.base import Camera, Microphone, MicrophoneStream, PcmBlock
from appliance.capture.clock import LessonClock
from appliance.capture.fanout import SelfHealing
from appliance.durable import remove_durably, write_durably
from appliance.errors import KitError, RelayRefused

Outcome = Literal["ok", "failed", "skipped"]
Name = Literal["storage", "enrolment", "relay", "round_trip", "clock", "udp", "camera", "microphone"]

#: A lesson of 45 minutes at the default bitrate takes 0.6 GB; a day has a few, and the system needs room.
FREE_BYTES = 2_000_000_000
#: Beyond this a question from home comes late enough to be talked over (ITU-T G.114 draws the line at 400 ms one way).
SLOW_MS = 500.0
#: Tokens follow the relay's clock anyway; what is off by more stamps the lesson with a wrong time.
CLOCK_OFF_S = 5.0
#: A cold camera takes two or three seconds to its first picture.
DEVICE_S = 10.0
#: How long the microphone is listened to.
LISTEN_BLOCKS = 75
#: Of 255 shades. A lens cap, or a camera that gives nothing but black; a dim room has ten and more.
BLANK_SHADES = 2.0
#: A microphone in a silent room gives −60 dBFS and more; digital zeros and unplugged inputs give less.
SILENT_DBFS = -75.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found: ``told`` for a person, ``figures`` for scripts. ``remedy`` says what to do if it failed."""

    check: Name
    outcome: Outcome
    told: str
    remedy: str = ""
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


def failed(check: Name, told: str, remedy: str) -> Finding:
    """A check that failed."""
    return Finding(check=check, outcome="failed", told=told, remedy=remedy)


def skipped(check: Name, why: str, remedy: str = "") -> Finding:
    """A check that could not be tried."""
    return Finding(check=check, outcome="skipped", told=f"not tried: {why}", remedy=remedy)


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
            f"{state_dir} cannot be written: {error.strerror or error}",
            "check kit.state_dir and its owner; a card that turned read-only is worn out and has to be replaced",
        )
    told = f"{free / 1e9:.1f} GB free in {state_dir}"
    if free < FREE_BYTES:
        return failed("storage", told, f"make room: lessons want {FREE_BYTES / 1e9:.0f} GB; or take a larger card")
    return Finding(check="storage", outcome="ok", told=told, figures={"free_bytes": free})


async def check_relay(probe: RelayProbe) -> tuple[Finding, Readiness | None]:
    """Whether the relay answers and serves. The readiness is for ``check_clock``."""
    try:
        readiness = await probe.readiness()
    except KitError as error:
        return failed("relay", str(error), _reach(probe.url)), None
    if not readiness.serves:
        remedy = "look at the relay's log; if this is no relay at all, correct relay.url"
        return failed("relay", f"{probe.url} answers, and does not serve: {readiness.reason}", remedy), None
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
        return failed("round_trip", str(error), _reach(probe.url))
    told = f"{took_ms:.0f} ms to the relay and back"
    if took_ms > SLOW_MS:
        return failed("round_trip", told, "the network is slow or overloaded: prefer a cable, or ask who else uses it")
    return Finding(check="round_trip", outcome="ok", told=told, figures={"round_trip_ms": took_ms})


def check_clock(readiness: Readiness) -> Finding:
    """Whether this kit knows what time it is."""
    ahead_s = readiness.clock_ahead_s
    if abs(ahead_s) > CLOCK_OFF_S:
        return failed(
            "clock",
            f"this kit's clock is {abs(ahead_s):.0f} s {'behind' if ahead_s > 0 else 'ahead of'} the relay's",
            "let the kit reach a time server (NTP, UDP port 123), or name the school's own; lessons go on meanwhile",
        )
    return Finding(check="clock", outcome="ok", told="agrees with the relay's", figures={"relay_ahead_s": ahead_s})


async def check_udp(probe: RelayProbe) -> Finding:
    """Whether media gets to the relay: a real session over UDP, encrypted, up and down again."""
    try:
        took_ms = await probe.media_round_trip_ms()
    except RelayRefused as error:
        return failed("udp", str(error), _REFUSED.get(error.status, "look at the relay's log"))
    except KitError as error:
        return failed(
            "udp",
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


_REFUSED = {
    401: "the relay does not know this kit any more: enrol it again, with a new code",
    404: "this relay is older than the kit and has no such check: upgrade it",
    503: "the relay is full; try again after the lessons, or raise media.max_sessions",
}


async def check_camera(camera: Camera) -> Finding:
    """Whether the camera opens, encodes, and shows something. It is open for a moment; nothing is kept or sent."""
    plug = "check the camera's cable at both ends, that no other program uses it, and camera.kind"
    try:
        async with asyncio.timeout(DEVICE_S), camera.open(LessonClock.start()) as stream:
            async for unit in stream:
                encoded, jpeg = len(unit.data), await stream.still()
                break
            else:
                return failed("camera", "the camera ended before its first picture", plug)
        width, height, shades = await asyncio.to_thread(_measure_picture, jpeg)
    except TimeoutError:
        return failed("camera", f"the camera gave no picture within {DEVICE_S:.0f} s", plug)
    except (KitError, OSError) as error:
        return failed("camera", str(error), plug)
    if shades < BLANK_SHADES:
        return failed("camera", "the picture is all one shade", "take the cap off the lens; turn on the light")
    figures = {"width": width, "height": height, "shades": round(shades, 1), "key_frame_bytes": encoded}
    return Finding(check="camera", outcome="ok", told=f"gives a picture, {width}×{height}", figures=figures)


def _measure_picture(jpeg: bytes) -> tuple[int, int, float]:
    from PIL import Image, ImageStat

    with Image.open(io.BytesIO(jpeg)) as picture:
        return picture.width, picture.height, ImageStat.Stat(picture.convert("L")).stddev[0]


async def check_microphone(microphone: Microphone) -> Finding:
    """Whether the microphone opens and hears something. It is open for a moment; nothing is kept or sent."""
    plug = "check the microphone's plug, that no other program uses it, and microphone.kind"
    try:
        async with asyncio.timeout(DEVICE_S), microphone.open(LessonClock.start()) as stream:
            items = aiter(stream)
            await _device_of(stream, items)
            level_dbfs = _level_dbfs(await _listen(items))
            if isinstance(stream, SelfHealing) and (figures := stream.figures()) is not None:
                level_dbfs = figures.level_dbfs  # as the device gives it: cleaning makes a quiet room digital silence
    except TimeoutError:
        return failed("microphone", f"the microphone gave no sound within {DEVICE_S:.0f} s", plug)
    except (KitError, OSError) as error:
        return failed("microphone", str(error), plug)
    if level_dbfs < SILENT_DBFS:
        return failed("microphone", "the microphone is dead silent", "switch it on or unmute it, and say something")
    told = f"hears something, {level_dbfs:.0f} dBFS"
    return Finding(check="microphone", outcome="ok", told=told, figures={"level_dbfs": round(level_dbfs, 1)})


async def _device_of(stream: MicrophoneStream, blocks: AsyncIterator[PcmBlock]) -> None:
    """Wait for the device behind a stream that begins without one. Raises what is wrong with it."""
    while isinstance(stream, SelfHealing) and not stream.hears:
        if stream.trouble is not None:
            raise stream.trouble
        await anext(blocks)


async def _listen(blocks: AsyncIterator[PcmBlock]) -> list[PcmBlock]:
    heard: list[PcmBlock] = []
    async for block in blocks:
        heard.append(block)
        if len(heard) == LISTEN_BLOCKS:
            break
    return heard


def _level_dbfs(blocks: Sequence[PcmBlock]) -> float:
    """Root mean square over full scale; −∞ for digital silence or nothing at all."""
    if not blocks:
        return -math.inf
    samples = np.concatenate([block.samples for block in blocks]).astype(np.float64) / 32768
    rms = float(np.sqrt(np.mean(samples**2)))
    return 20 * math.log10(rms) if rms else -math.inf
