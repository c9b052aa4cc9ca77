"""What is asked of a camera's sensor against what it can do; where it can't, the nearest that it can, by its key.

Pure: facts and settings in, a plan out. Used by ``picamera.py``, which reads the facts and carries the plan out; the
names of modes and controls are libcamera's, so that the plan goes to it as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from appliance.errors import CameraUnavailable

log = logging.getLogger(__name__)

Size = tuple[int, int]
Rectangle = tuple[int, int, int, int]  # x, y, width, height in pixels of the sensor
Crop = tuple[float, float, float, float]  # the same as fractions of the sensor
Limits = Mapping[str, tuple[object, object, object]]  # control: smallest, largest, default

WHOLE: Crop = (0.0, 0.0, 1.0, 1.0)
ASPECT_SLACK = 0.02  # narrower than anybody sees: 1296 lines of a 16:9 sensor are 2304.0 wide, 1232 are 2190.2
FULL_VIEW = 0.95  # of the widest mode's width: binned modes lose some columns, cropped ones a quarter and more
ROUNDING_PIXELS = 8  # ISPs align what they cut out
FPS_SLACK = 0.5  # a sensor's 30 is 29.98

AF_MANUAL, AF_CONTINUOUS = 0, 2  # libcamera's AfMode
MICROS = 1_000_000

Flip = Literal["none", "horizontal", "vertical", "both"]


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to read the sensor out. ``view`` is what part of it that covers."""

    size: Size
    fps: float
    view: Rectangle
    bit_depth: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ``[camera]`` asks for."""

    width: int
    height: int
    fps: int
    crop: Crop = WHOLE
    focus: Literal["continuous", "fixed"] = "continuous"
    focus_m: float = 3.0
    exposure_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the picture is turned and mirrored: the sensor reads out backwards, so it costs nothing."""

    rotation: Literal[0, 180] = 0
    flip: Flip = "none"

    @property
    def mirrored(self) -> tuple[bool, bool]:
        """Whether columns and rows are read backwards."""
        turned = self.rotation == 180
        return turned != (self.flip in {"horizontal", "both"}), turned != (self.flip in {"vertical", "both"})


def choose_mode(modes: Sequence[Mode], wanted: Wanted) -> Mode:
    """The largest mode that shows all of the sensor at the wanted rate; stills are of its size.

    Raises ``CameraUnavailable`` with the nearest size or rate.
    """
    widest = max(mode.view[2] for mode in modes)
    whole = [mode for mode in modes if mode.view[2] >= FULL_VIEW * widest]
    large = [mode for mode in whole if mode.size[0] >= wanted.width and mode.size[1] >= wanted.height]
    if not large:
        most = max(whole, key=lambda mode: mode.size)
        raise _impossible("width and height", f"{wanted.width} × {wanted.height}", f"{most.size[0]} × {most.size[1]}")
    quick = [mode for mode in large if mode.fps + FPS_SLACK >= wanted.fps]
    if not quick:
        fps = int(max(mode.fps for mode in large) + FPS_SLACK)
        raise _impossible("fps", f"{wanted.fps} at {wanted.width} × {wanted.height}", str(fps))
    return max(quick, key=lambda mode: (mode.size, mode.bit_depth))


def plan_controls(limits: Limits, view: Rectangle, wanted: Wanted) -> dict[str, object]:
    """The controls that the camera is started with. Raises ``CameraUnavailable``."""
    interval_us = MICROS // wanted.fps
    controls: dict[str, object] = {"FrameDurationLimits": (interval_us, interval_us)}
    controls.update(_crop(limits, view, wanted))
    controls.update(_focus(limits, wanted))
    controls.update(_exposure(limits, wanted))
    return controls


def crop_rectangle(crop: Crop, view: Rectangle, picture: Size) -> Rectangle:
    """The part of ``view`` that fills a picture of this shape and lies within ``crop``, in its middle.

    Never more than ``crop``: what it leaves out is not to leave the room.
    """
    left, top = view[0] + crop[0] * view[2], view[1] + crop[1] * view[3]
    width, height = crop[2] * view[2], crop[3] * view[3]
    fit = min(width / picture[0], height / picture[1])
    inner_width, inner_height = int(fit * picture[0] + 1e-6) & ~1, int(fit * picture[1] + 1e-6) & ~1
    x, y = -int(-(left + (width - inner_width) / 2) // 1), -int(-(top + (height - inner_height) / 2) // 1)
    return x, y, inner_width, inner_height


def lies_within(shown: Rectangle, allowed: Rectangle) -> bool:
    """Whether ``shown`` has nothing beyond ``allowed``, but for the driver's rounding."""
    slack = ROUNDING_PIXELS
    return (
        shown[0] >= allowed[0] - slack
        and shown[1] >= allowed[1] - slack
        and shown[0] + shown[2] <= allowed[0] + allowed[2] + slack
        and shown[1] + shown[3] <= allowed[1] + allowed[3] + slack
    )


def _crop(limits: Limits, view: Rectangle, wanted: Wanted) -> dict[str, object]:
    if "ScalerCrop" not in limits:
        if wanted.crop != WHOLE:
            raise CameraUnavailable("camera.crop: this camera cannot crop; nearest: [0.0, 0.0, 1.0, 1.0], all of it")
        return {}
    rectangle = crop_rectangle(wanted.crop, view, (wanted.width, wanted.height))
    smallest = limits["ScalerCrop"][0]
    if isinstance(smallest, tuple) and (rectangle[2] < smallest[2] or rectangle[3] < smallest[3]):
        least = [round(smallest[2] / view[2] + 0.0005, 3), round(smallest[3] / view[3] + 0.0005, 3)]
        raise _impossible("crop", f"{list(wanted.crop)}", f"a width and height of {least}")
    _tell_cut(rectangle, view, wanted)
    return {"ScalerCrop": rectangle}


def _tell_cut(rectangle: Rectangle, view: Rectangle, wanted: Wanted) -> None:
    """A crop of another shape than the picture loses its margins, which somebody drew on purpose: say what is left."""
    width, height = wanted.crop[2] * view[2], wanted.crop[3] * view[3]
    if wanted.crop == WHOLE or min(rectangle[2] / width, rectangle[3] / height) >= 1 - ASPECT_SLACK:
        return
    left = [
        round((rectangle[0] - view[0]) / view[2], 3),
        round((rectangle[1] - view[1]) / view[3], 3),
        round(rectangle[2] / view[2], 3),
        round(rectangle[3] / view[3], 3),
    ]
    log.warning("camera.crop: %s has not the shape of the picture; %s is shown", list(wanted.crop), left)


def _focus(limits: Limits, wanted: Wanted) -> dict[str, object]:
    if wanted.focus == "continuous":  # without a focus motor there is nothing to do
        return {"AfMode": AF_CONTINUOUS} if "AfMode" in limits else {}
    if "LensPosition" not in limits:
        raise CameraUnavailable('camera.focus: this camera has no focus motor; nearest: "continuous", and its ring')
    dioptres = 1 / wanted.focus_m
    smallest, largest = (_number(limit) for limit in limits["LensPosition"][:2])
    if dioptres > largest:
        raise _impossible("focus_m", f"{wanted.focus_m:g}", f"{1 / largest:.2f}")
    return {"AfMode": AF_MANUAL, "LensPosition": max(dioptres, smallest)}


def _exposure(limits: Limits, wanted: Wanted) -> dict[str, object]:
    if not wanted.exposure_ms:
        return {}
    if "ExposureTime" not in limits:
        raise CameraUnavailable("camera.exposure_ms: this camera's exposure cannot be set; nearest: 0, automatic")
    smallest, largest = (_number(limit) for limit in limits["ExposureTime"][:2])
    interval_us = MICROS / wanted.fps
    highest = min(largest or interval_us, interval_us)  # longer, and the picture rate falls
    exposure_us = wanted.exposure_ms * 1000
    if not smallest <= exposure_us <= highest:
        nearest = min(max(exposure_us, smallest), highest) / 1000
        raise _impossible("exposure_ms", f"{wanted.exposure_ms:g} at {wanted.fps} fps", f"{int(nearest * 100) / 100:g}")
    return {"ExposureTime": round(exposure_us)}


def _number(limit: object) -> float:
    return float(limit) if isinstance(limit, int | float) else 0.0


def _impossible(key: str, asked: str, nearest: str) -> CameraUnavailable:
    return CameraUnavailable(f"camera.{key}: {asked} is not what this camera can do; nearest: {nearest}")
