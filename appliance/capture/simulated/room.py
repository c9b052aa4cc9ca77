"""The empty classroom as a picture: wall, wooden frame, chalkboard, ledge with chalk and sponge. Painted once per size.

Also the scene's geometry (``View``) and the colour arithmetic that every layer shares. Not here: anything that moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

SCENE_WIDTH, SCENE_HEIGHT = 1280, 720
BOARD = (42.0, 34.0, 1238.0, 596.0)  # the writable part, in scene units
FRAME = (26.0, 18.0, 1254.0, 612.0)
LEDGE = (70.0, 606.0, 1210.0, 621.0)

Plane = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.float32]  # (height, width, 3) RGB, 0…255


class Planes(NamedTuple):
    """A yuv420p picture, BT.709, limited range."""

    luma: Plane
    blue: Plane
    red: Plane


@dataclass(frozen=True)
class View:
    """How the 1280×720 scene lies in a picture of another size: as large as fits, centred; the wall fills the rest."""

    width: int
    height: int

    @property
    def scale(self) -> float:
        """Pixels per scene unit."""
        return min(self.width / SCENE_WIDTH, self.height / SCENE_HEIGHT)

    @property
    def left(self) -> float:
        """Where the scene's x = 0 is."""
        return (self.width - SCENE_WIDTH * self.scale) / 2

    @property
    def top(self) -> float:
        """Where the scene's y = 0 is."""
        return (self.height - SCENE_HEIGHT * self.scale) / 2

    def box(self, box: tuple[float, float, float, float], times: int = 1) -> tuple[float, float, float, float]:
        """A scene rectangle in pixels, ``times`` larger."""
        x0, y0, x1, y1 = box
        scale, left, top = self.scale * times, self.left * times, self.top * times
        return left + x0 * scale, top + y0 * scale, left + x1 * scale, top + y1 * scale


def to_luma(rgb: Pixels) -> Pixels:
    """BT.709 limited-range luma, 16…235."""
    luma: Pixels = 16 + (rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32)) * np.float32(219 / 255)
    return luma


def to_chroma(rgb: Pixels) -> tuple[Pixels, Pixels]:
    """BT.709 limited-range blue and red differences, at full resolution."""
    full = rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    blue = 128 + (rgb[..., 2] - full) * np.float32(224 / 255 / 1.8556)
    red = 128 + (rgb[..., 0] - full) * np.float32(224 / 255 / 1.5748)
    return blue, red


def halved(plane: Pixels) -> Pixels:
    """Means of 2×2 pixels."""
    mean: Pixels = (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / np.float32(4)
    return mean


def soft_noise(shape: tuple[int, int], cell: tuple[float, float], seed: int) -> Pixels:
    """Smooth noise in −1…1 whose features are about ``cell`` (high, wide) pixels large."""
    height, width = shape
    grid = (max(2, int(height / cell[0]) + 2), max(2, int(width / cell[1]) + 2))
    values = np.random.default_rng(seed).uniform(-1, 1, grid).astype(np.float32)
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC), np.float32)


def paint_room(view: View) -> Planes:
    """The classroom with a clean board, evenly lit."""
    rgb = _surfaces(view)
    board, wood = _mask(view, BOARD), _mask(view, FRAME)
    wood = np.maximum(wood, _mask(view, LEDGE)) - board
    rgb *= 1 + _texture(view, board, wood)[..., None]
    rgb *= _window_light(view)[..., None]
    np.clip(rgb, 0, 255, out=rgb)
    blue, red = to_chroma(rgb)
    return Planes(*(np.rint(plane).astype(np.uint8) for plane in (to_luma(rgb), halved(blue), halved(red))))


def _surfaces(view: View) -> Pixels:
    size = (view.width * 2, view.height * 2)  # drawn at twice the size: Pillow's edges are hard
    image = Image.new("RGB", size, (197, 188, 166))
    draw = ImageDraw.Draw(image)
    _, dado, _, _ = view.box((0, 636, 0, 720), 2)
    draw.rectangle((0, dado, *size), fill=(104, 128, 122))
    draw.rectangle((0, dado - 3 * view.scale, size[0], dado + 3 * view.scale), fill=(86, 84, 72))
    shade = Image.new("L", size, 0)
    ImageDraw.Draw(shade).rectangle(view.box((FRAME[0] + 5, FRAME[1] + 10, FRAME[2] + 9, FRAME[3] + 22), 2), fill=130)
    blurred = shade.resize((view.width // 2, view.height // 2)).filter(ImageFilter.GaussianBlur(4 * view.scale))
    image.paste((44, 40, 36), (0, 0), blurred.resize(size))
    draw.rounded_rectangle(view.box(FRAME, 2), radius=8 * view.scale, fill=(146, 98, 56))
    draw.rectangle(view.box((BOARD[0] - 3, BOARD[1] - 3, BOARD[2] + 3, BOARD[3] + 3), 2), fill=(70, 46, 28))
    draw.rectangle(view.box(BOARD, 2), fill=(37, 74, 58))
    _draw_ledge(view, draw)
    return np.asarray(image.reduce(2), np.float32).copy()


def _draw_ledge(view: View, draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle(view.box((LEDGE[0] + 6, LEDGE[3], LEDGE[2] + 4, LEDGE[3] + 7), 2), fill=(62, 56, 48))
    draw.rounded_rectangle(view.box(LEDGE, 2), radius=5 * view.scale, fill=(166, 116, 70))
    draw.rectangle(view.box((LEDGE[0] + 3, LEDGE[1] + 2, LEDGE[2] - 3, LEDGE[1] + 4), 2), fill=(196, 148, 98))
    sticks = (
        (150, 58, (240, 240, 232)),
        (230, 40, (246, 160, 172)),
        (296, 50, (246, 222, 118)),
        (372, 34, (152, 202, 244)),
        (430, 24, (240, 240, 232)),
    )
    for x, length, colour in sticks:
        draw.rounded_rectangle(view.box((x, 600, x + length, 608), 2), radius=7 * view.scale, fill=colour)
    draw.rounded_rectangle(view.box((1040, 588, 1128, 608), 2), radius=6 * view.scale, fill=(92, 70, 52))
    draw.rounded_rectangle(view.box((1042, 598, 1126, 608), 2), radius=4 * view.scale, fill=(212, 206, 190))


def _mask(view: View, box: tuple[float, float, float, float]) -> Pixels:
    mask = np.zeros((view.height, view.width), np.float32)
    x0, y0, x1, y1 = (round(edge) for edge in view.box(box))
    mask[max(0, y0) : y1, max(0, x0) : x1] = 1
    return mask


def _texture(view: View, board: Pixels, wood: Pixels) -> Pixels:
    """Relative brightness: old wipes and chalk dust on the board, grain in the wood, unevenness of the wall."""
    shape, s = (view.height, view.width), view.scale
    wipes = soft_noise(shape, (26 * s, 300 * s), 1) * 0.6 + soft_noise(shape, (9 * s, 150 * s), 2) * 0.4
    clouds = soft_noise(shape, (150 * s, 210 * s), 3)
    dust = np.clip(wipes + clouds * 0.7, -0.4, 1.4)
    grain = soft_noise(shape, (2.2 * s, 90 * s), 4) * 0.09 + soft_noise(shape, (7 * s, 240 * s), 5) * 0.07
    plaster = soft_noise(shape, (40 * s, 60 * s), 6) * 0.012
    texture: Pixels = board * dust * 0.13 + wood * grain + (1 - board - wood) * plaster
    return texture


def _window_light(view: View) -> Pixels:
    """Daylight from a window on the left, and a darker far corner."""
    x = ((np.arange(view.width) - view.left) / (SCENE_WIDTH * view.scale)).astype(np.float32)[None, :]
    y = ((np.arange(view.height) - view.top) / (SCENE_HEIGHT * view.scale)).astype(np.float32)[:, None]
    glow = np.exp(-(((x - 0.2) / 0.5) ** 2) - ((y - 0.25) / 0.6) ** 2)
    light: Pixels = np.float32(0.86) + np.float32(0.24) * glow - np.float32(0.08) * (x - 0.5) ** 2 * 4
    return light


def light_pattern(view: View) -> Pixels:
    """How strongly a passing cloud changes each pixel's luma, 0…1."""
    light = _window_light(view)
    pattern: Pixels = (light - light.min()) / (light.max() - light.min()) * np.float32(0.7) + np.float32(0.3)
    return pattern
