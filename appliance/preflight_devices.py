"""The pre-flight checks of camera and microphone: do they open, and does it show and hear something?

A check captures: whoever calls it has asked the person, and has lit the tally. Used by ``commands/doctor.py``, and
the judging by the setup page, whose preview has the devices open. Not here: the network (``preflight.py``).
"""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np

from appliance.capture.base import Camera, Microphone, MicrophoneStream, PcmBlock
from appliance.capture.clock import LessonClock
from appliance.capture.fanout import SelfHealing
from appliance.errors import KitError
from appliance.preflight import Finding, failed

#: A cold camera takes two or three seconds to its first picture.
DEVICE_S = 10.0
#: How long the microphone is listened to.
LISTEN_BLOCKS = 75
#: Of 255 shades. A lens cap, or a camera that gives nothing but black; a dim room has ten and more.
BLANK_SHADES = 2.0
#: A microphone in a silent room gives −60 dBFS and more; digital zeros and unplugged inputs give less.
SILENT_DBFS = -75.0

CAMERA_REMEDY = "check the camera's cable at both ends, that no other program uses it, and camera.kind"
MICROPHONE_REMEDY = "check the microphone's plug, that no other program uses it, and microphone.kind"


async def check_camera(camera: Camera) -> Finding:
    """Whether the camera opens, encodes, and shows something. It is open for a moment; nothing is kept or sent."""
    try:
        async with asyncio.timeout(DEVICE_S), camera.open(LessonClock.start()) as stream:
            async for unit in stream:
                encoded, jpeg = len(unit.data), await stream.still()
                break
            else:
                return camera_dead("the camera ended before its first picture")
        width, height, shades = await asyncio.to_thread(_measure_picture, jpeg)
    except TimeoutError:
        return camera_dead(f"the camera gave no picture within {DEVICE_S:.0f} s")
    except (KitError, OSError) as error:
        return camera_dead(str(error))
    return judge_picture(width, height, shades, {"key_frame_bytes": encoded})


def judge_picture(width: int, height: int, shades: float, figures: Mapping[str, float]) -> Finding:
    """Whether such a picture shows anything. ``shades`` is its luma's standard deviation, of 255."""
    if shades < BLANK_SHADES:
        remedy = "take the cap off the lens; turn on the light"
        return failed("camera", "picture_blank", "the picture is all one shade", remedy)
    figures = {"width": width, "height": height, "shades": round(shades, 1), **figures}
    return Finding(check="camera", outcome="ok", told=f"gives a picture, {width}×{height}", figures=figures)


def camera_dead(told: str) -> Finding:
    """A camera that gives no picture."""
    return failed("camera", "camera_dead", told, CAMERA_REMEDY)


def _measure_picture(jpeg: bytes) -> tuple[int, int, float]:
    from PIL import Image, ImageStat

    with Image.open(io.BytesIO(jpeg)) as picture:
        return picture.width, picture.height, ImageStat.Stat(picture.convert("L")).stddev[0]


async def check_microphone(microphone: Microphone) -> Finding:
    """Whether the microphone opens and hears something. It is open for a moment; nothing is kept or sent."""
    try:
        async with asyncio.timeout(DEVICE_S), microphone.open(LessonClock.start()) as stream:
            items = aiter(stream)
            await _device_of(stream, items)
            level_dbfs = _level_dbfs(await _listen(items))
            if isinstance(stream, SelfHealing) and (figures := stream.figures()) is not None:
                level_dbfs = figures.level_dbfs  # as the device gives it: cleaning makes a quiet room digital silence
    except TimeoutError:
        return microphone_dead(f"the microphone gave no sound within {DEVICE_S:.0f} s")
    except (KitError, OSError) as error:
        return microphone_dead(str(error))
    return judge_level(level_dbfs)


def judge_level(level_dbfs: float) -> Finding:
    """Whether such a level is more than nothing."""
    if level_dbfs < SILENT_DBFS:
        remedy = "switch it on or unmute it, and say something"
        return failed("microphone", "microphone_silent", "the microphone is dead silent", remedy)
    told = f"hears something, {level_dbfs:.0f} dBFS"
    return Finding(check="microphone", outcome="ok", told=told, figures={"level_dbfs": round(level_dbfs, 1)})


def microphone_dead(told: str) -> Finding:
    """A microphone that gives no sound."""
    return failed("microphone", "microphone_dead", told, MICROPHONE_REMEDY)


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
