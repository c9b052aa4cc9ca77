"""The teacher, seen from behind: a body that walks before the board and an arm whose hand holds the chalk.

The body is a sprite, painted once per size; the arm is drawn anew for every picture. Not here: where they are
(``timeline.Hand``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from appliance.capture.simulated.lesson import Chalk
from appliance.capture.simulated.lettering import Points, smooth
from appliance.capture.simulated.room import Pixels, Plane, Planes, View, halved, to_chroma, to_luma
from appliance.capture.simulated.timeline import Hand

SHOULDERS_Y = 352.0  # scene units: a teacher of 1.75 m before a board of 3 m
SPRITE_LEFT, SPRITE_TOP, SPRITE_WIDTH, SPRITE_HEIGHT = -150, -150, 330, 560  # around the base of the neck
HAIR, SKIN, CARDIGAN, COLLAR, SKIRT = (52, 36, 28), (198, 152, 126), (122, 50, 54), (226, 220, 206), (52, 52, 66)
UPPER_ARM, FOREARM = 152.0, 150.0
SHOULDER = (-76.0, 34.0)
ELBOW_HANGS = np.array([-0.6, 0.8])  # outwards and down
RESTING_HAND = (-104.0, 318.0)
SHADOW = 0.30
STRIDE_HZ = 1.7

Wide = npt.NDArray[np.uint16]
Outline = Sequence[tuple[float, float]]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class _Layer:
    """What is laid over one plane: ``plane * keep / 256 + add``."""

    keep: Wide
    add: Wide

    def over(self, plane: Plane, x: int, y: int) -> None:
        height, width = self.keep.shape
        x0, y0, x1, y1 = max(0, x), max(0, y), min(plane.shape[1], x + width), min(plane.shape[0], y + height)
        if x0 >= x1 or y0 >= y1:
            return
        window = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
        under = plane[y0:y1, x0:x1]
        mixed = under * self.keep[window]
        mixed >>= 8
        mixed += self.add[window]
        under[...] = mixed


class Teacher:
    """Draws the teacher into pictures of one size."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._body = _body_layers(view.scale)
        sleeve = np.array([[CARDIGAN]], np.float32) * np.float32(0.86)
        self._sleeve = _yuv(sleeve)
        self._skin, self._chalk = (_yuv(np.array([[colour]], np.float32)) for colour in (SKIN, Chalk.WHITE.value))

    def draw(self, picture: Planes, hand: Hand, lesson_us: int) -> None:
        """Draw the teacher over the board."""
        stride = min(1.0, abs(hand.speed) / 130)
        phase = 2 * math.pi * STRIDE_HZ * lesson_us / 1_000_000
        x = hand.body_x + 3.0 * stride * math.sin(phase)
        y = SHOULDERS_Y + hand.crouch + 3.5 * stride * abs(math.sin(phase))
        self._draw_arm(picture, hand, x, y, 9 * stride * math.sin(phase))
        scale, view = self._view.scale, self._view
        px = 2 * round((view.left + (x + SPRITE_LEFT) * scale) / 2)  # even: chroma has half the places
        py = 2 * round((view.top + (y + SPRITE_TOP) * scale) / 2)
        for layer, plane, step in zip(self._body, picture, (1, 2, 2), strict=True):
            layer.over(plane, px // step, py // step)

    def _draw_arm(self, picture: Planes, hand: Hand, x: float, y: float, swing: float) -> None:
        shoulder = np.array([x + SHOULDER[0], y + SHOULDER[1]])
        resting = np.array([x + RESTING_HAND[0] + swing, y + RESTING_HAND[1]])
        target = resting + (np.array([hand.x, hand.y + 6]) - resting) * hand.engaged
        elbow, wrist = _bend(shoulder, target)
        scale, view = self._view.scale, self._view
        joints = np.array([shoulder, elbow, wrist]) * scale + [view.left, view.top]
        _paste(picture, _limb(joints, np.array([31.0, 24.0, 17.0]) * scale), self._sleeve)
        fingers = wrist + (wrist - elbow) / FOREARM * 15
        tip = fingers + (target - fingers) * min(1.0, 13 / (float(np.hypot(*(target - fingers))) or 1.0)) * hand.engaged
        for ends, radii, colour in (
            ([fingers, tip], [3.2, 2.6], self._chalk),
            ([wrist, fingers], [13.0, 10.0], self._skin),
        ):
            _paste(picture, _limb(np.array(ends) * scale + [view.left, view.top], np.array(radii) * scale), colour)


def _bend(shoulder: Points, target: Points) -> tuple[Points, Points]:
    """Elbow and wrist for a hand that reaches for the target as far as the arm goes; the elbow hangs outwards."""
    reach = target - shoulder
    distance = float(np.hypot(*reach)) or 1.0
    direction = reach / distance
    distance = min(max(distance - 14, 40.0), UPPER_ARM + FOREARM - 1)
    along = (UPPER_ARM**2 - FOREARM**2 + distance**2) / (2 * distance)
    aside = math.sqrt(max(0.0, UPPER_ARM**2 - along**2))
    across = np.array([-direction[1], direction[0]])
    aside *= float(np.clip(across @ ELBOW_HANGS / 0.45, -1, 1))  # turns over through "towards the camera": no jump
    return shoulder + direction * along + across * aside, shoulder + direction * distance


@dataclass(frozen=True)
class _Limb:
    """A mask of 0…255, its top left pixel at (x, y), both even."""

    mask: Plane
    x: int
    y: int


def _limb(joints: Points, radii: Points) -> _Limb:
    """A chain of tapering, rounded segments."""
    margin = float(radii.max()) + 3
    x = 2 * math.floor((joints[:, 0].min() - margin) / 2)
    y = 2 * math.floor((joints[:, 1].min() - margin) / 2)
    width = 2 * math.ceil((joints[:, 0].max() + margin - x) / 2)
    height = 2 * math.ceil((joints[:, 1].max() + margin - y) / 2)
    image = Image.new("L", (width * 2, height * 2), 0)
    draw = ImageDraw.Draw(image)
    at, wide = (joints - [x, y]) * 2, radii * 2
    for (x0, y0), r in zip(at, wide, strict=True):
        draw.ellipse((x0 - r, y0 - r, x0 + r, y0 + r), fill=255)
    for a, b, ra, rb in zip(at[:-1], at[1:], wide[:-1], wide[1:], strict=True):
        across = np.array([a[1] - b[1], b[0] - a[0]]) / (np.hypot(*(b - a)) or 1.0)
        corners = (a + across * ra, b + across * rb, b - across * rb, a - across * ra)
        draw.polygon([(float(px), float(py)) for px, py in corners], fill=255)
    return _Limb(np.asarray(image.reduce(2)), x, y)


def _paste(picture: Planes, limb: _Limb, colour: tuple[float, float, float]) -> None:
    share = limb.mask.astype(np.uint16)
    share += share >> np.uint16(7)  # 0…256
    small = (share[::2, ::2] + share[1::2, ::2] + share[::2, 1::2] + share[1::2, 1::2]) >> np.uint16(2)
    for plane, value, part, step in zip(picture, colour, (share, small, small), (1, 2, 2), strict=True):
        keep, add = np.uint16(256) - part, part * np.uint16(round(value)) >> np.uint16(8)
        _Layer(keep, add).over(plane, limb.x // step, limb.y // step)


def _yuv(rgb: Pixels) -> tuple[float, float, float]:
    blue, red = to_chroma(rgb)
    return float(to_luma(rgb)[0, 0]), float(blue[0, 0]), float(red[0, 0])


def _body_layers(scale: float) -> list[_Layer]:
    rgb, cover = _painted_body(scale)
    soft = Image.fromarray((cover * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(14 * scale))
    down, right = round(12 * scale), round(26 * scale)
    shadow = np.zeros_like(cover)
    shadow[down:, right:] = np.asarray(soft, np.float32)[: cover.shape[0] - down, : cover.shape[1] - right] * (
        SHADOW / 255
    )
    blue, red = to_chroma(rgb)
    small = halved(cover)
    return [
        _layer(to_luma(rgb), cover, (1 - cover) * (1 - shadow)),
        _layer(halved(blue), small, 1 - small),
        _layer(halved(red), small, 1 - small),
    ]


def _layer(value: Pixels, cover: Pixels, keep: Pixels) -> _Layer:
    return _Layer(np.floor(keep * 256).astype(np.uint16), np.floor(value * cover).astype(np.uint16))


def _painted_body(scale: float) -> tuple[Pixels, Pixels]:
    """The body as RGB and cover (0…1); painted large, then shrunk."""
    times = 3
    width, height = (2 * math.ceil(size * scale / 2) for size in (SPRITE_WIDTH, SPRITE_HEIGHT))
    image = Image.new("RGBA", (width * times, height * times), (*CARDIGAN, 0))
    draw = ImageDraw.Draw(image)
    for points, colour in _body_shapes():
        outline = smooth(np.array([*points, points[0]], np.float64), 10)
        places = (outline - [SPRITE_LEFT, SPRITE_TOP]) * scale * times
        draw.polygon([(float(x), float(y)) for x, y in places], fill=(*colour, 255))
    soft = image.reduce(times).filter(ImageFilter.GaussianBlur(0.7 * scale))
    pixels = np.asarray(soft, np.float32)
    return pixels[..., :3] * _shading(height, width, scale)[..., None], pixels[..., 3] / np.float32(255)


def _body_shapes() -> list[tuple[Outline, Colour]]:
    """Outlines around the base of the neck, from back to front."""
    arm = [
        (70, 34),
        (92, 48),
        (107, 110),
        (116, 190),
        (118, 262),
        (110, 330),
        (94, 330),
        (90, 262),
        (84, 190),
        (72, 110),
    ]
    palm = [(93, 322), (112, 322), (115, 346), (108, 366), (98, 364), (92, 344)]
    torso = [(0, -8), (26, -2), (62, 12), (90, 32), (98, 66), (88, 128), (76, 196), (74, 230), (86, 290), (96, 340)]
    hips = [(74, 300), (90, 330), (98, 400), (104, 480), (108, 560)]
    neck = [(-17, -34), (17, -34), (18, -8), (26, 4), (-26, 4), (-18, -8)]
    collar = [(-27, -6), (0, 2), (27, -6), (31, 6), (0, 14), (-31, 6)]
    hair = [
        (0, -118),
        (24, -110),
        (35, -86),
        (35, -58),
        (26, -34),
        (10, -24),
        (-10, -24),
        (-26, -34),
        (-35, -58),
        (-35, -86),
        (-24, -110),
    ]
    bun = [(2, -142), (17, -137), (23, -122), (17, -107), (2, -102), (-14, -107), (-20, -122), (-14, -137)]
    ear = [(33, -72), (39, -74), (40, -62), (35, -54)]
    return [
        ([*hips, *_mirrored(hips)], SKIRT),
        (palm, SKIN),
        ([*torso, *_mirrored(torso)], CARDIGAN),
        (arm, _toned(CARDIGAN, 0.94)),
        (neck, SKIN),
        (collar, COLLAR),
        (ear, SKIN),
        (_flipped(ear), SKIN),
        (bun, _toned(HAIR, 1.18)),
        (hair, HAIR),
    ]


def _toned(colour: Colour, by: float) -> Colour:
    red, green, blue = colour
    return int(red * by), int(green * by), int(blue * by)


def _mirrored(points: Outline) -> Outline:
    return [(-x, y) for x, y in reversed(points) if x != 0]


def _flipped(points: Outline) -> Outline:
    return [(-x, y) for x, y in points]


def _shading(height: int, width: int, scale: float) -> Pixels:
    """Daylight from the left, a spine's fold, and darker downwards."""
    x = (np.arange(width, dtype=np.float32) / scale + SPRITE_LEFT)[None, :]
    y = (np.arange(height, dtype=np.float32) / scale + SPRITE_TOP)[:, None]
    side = np.float32(1.12) - np.float32(0.36) / (1 + np.exp(-(x - 8) / 34))
    spine = np.float32(0.07) * np.exp(-((x / 9) ** 2)) * np.clip((y - 20) / 60, 0, 1)
    folds = np.float32(0.045) * np.sin(y / 17 + np.sin(x / 23) * 2.2) * np.clip((y - 50) / 80, 0, 1)
    shine = np.float32(0.5) * np.exp(-(((x + 12) / 12) ** 2) - ((y + 92) / 16) ** 2)
    shading: Pixels = (side - spine + folds + shine - np.clip(y, 0, 400) * np.float32(0.0005)).astype(np.float32)
    return shading
