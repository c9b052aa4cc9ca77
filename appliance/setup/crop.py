"""From a rectangle that was drawn on the preview to ``camera.crop``, and back. Pure.

The preview shows the middle of all that the sensor can see, cut to the picture's shape, turned and mirrored as the
settings say. ``camera.crop`` counts from the sensor's own corner. Rectangles are left, top, width, height in shares.
"""

from __future__ import annotations

from typing import Literal

from appliance.capture.sensor import WHOLE, Crop, Flip, Orientation, Size

Share = Crop  # of the sensor, or of the preview
#: A smaller one has so few of the sensor's pixels that a board cannot be read.
SMALLEST = 0.1
_DIGITS = 4  # a pixel of the largest sensor


def shown_part(view: Size | None, picture: Size) -> Share:
    """What the preview shows of the sensor; all of it where the camera does not say what it could see."""
    if view is None or not all(view):
        return WHOLE
    wide = min(1.0, picture[0] * view[1] / (picture[1] * view[0]))
    high = min(1.0, picture[1] * view[0] / (picture[0] * view[1]))
    return (1 - wide) / 2, (1 - high) / 2, wide, high


def turned(drawn: Share, rotation: Literal[0, 180], flip: Flip) -> Share:
    """The same rectangle on the sensor's side of turning and mirroring; and back again."""
    left, top, width, height = drawn
    across, down = Orientation(rotation, flip).mirrored
    return 1 - left - width if across else left, 1 - top - height if down else top, width, height


def to_sensor(drawn: Share, shown: Share) -> Share:
    """A rectangle of the shown part as one of the whole sensor, never beyond it."""
    left, top = shown[0] + drawn[0] * shown[2], shown[1] + drawn[1] * shown[3]
    left, top = round(max(0.0, left), _DIGITS), round(max(0.0, top), _DIGITS)
    width, height = drawn[2] * shown[2], drawn[3] * shown[3]
    return left, top, round(min(width, 1 - left), _DIGITS), round(min(height, 1 - top), _DIGITS)


def to_picture(crop: Share, shown: Share) -> Share:
    """A crop as the pupils get it, as a rectangle of the shown part: of the picture's shape, in the crop's middle."""
    left, top = (crop[0] - shown[0]) / shown[2], (crop[1] - shown[1]) / shown[3]
    width, height = crop[2] / shown[2], crop[3] / shown[3]
    size = min(width, height, 1.0)
    left, top = left + (width - size) / 2, top + (height - size) / 2
    return round(min(max(left, 0.0), 1 - size), _DIGITS), round(min(max(top, 0.0), 1 - size), _DIGITS), size, size
