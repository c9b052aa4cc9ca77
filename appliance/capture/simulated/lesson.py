"""What is taught in the simulated classroom: four board pages, as texts, drawings and gestures in the order of a hand.

Coordinates are the scene's: 1280×720, whatever size the camera has. Not here: how chalk looks, or where the teacher is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from appliance.capture.simulated.lettering import Points, smooth, text_width, write


class Chalk(Enum):
    """Sticks on the ledge, as RGB."""

    WHITE = (236, 236, 226)
    YELLOW = (247, 222, 112)
    PINK = (246, 152, 166)
    BLUE = (146, 199, 243)


@dataclass(frozen=True)
class Text:
    """A line of writing; ``x``, ``y`` is where its baseline begins, ``size`` its capitals' height."""

    x: float
    y: float
    text: str
    size: float = 25
    chalk: Chalk = Chalk.WHITE


@dataclass(frozen=True)
class Drawing:
    """One stroke through points, straight or curved."""

    points: Sequence[tuple[float, float]]
    chalk: Chalk = Chalk.WHITE
    curved: bool = False


@dataclass(frozen=True)
class Gesture:
    """The teacher explains: points at a place for a while, or (without one) steps aside."""

    seconds: float
    place: tuple[float, float] | None = None


Item = Text | Drawing | Gesture


def strokes_of(item: Text | Drawing) -> list[Points]:
    """The strokes that the item is made of."""
    if isinstance(item, Text):
        return write(item.text, item.x, item.y, item.size)
    points = np.array(item.points, np.float64)
    return [smooth(points, 8) if item.curved else points]


def _heading(x: float, y: float, text: str, size: float = 34) -> list[Item]:
    end = x + text_width(text, size)
    return [
        Text(x, y, text, size),
        Drawing([(x - 6, y + 15), ((x + end) / 2, y + 12), (end + 4, y + 16)], Chalk.YELLOW, curved=True),
    ]


def _arrow(
    start: tuple[float, float], end: tuple[float, float], chalk: Chalk = Chalk.WHITE, head: float = 13
) -> list[Item]:
    direction = np.array(end) - np.array(start)
    along = direction / np.hypot(*direction) * head
    across = np.array([-along[1], along[0]]) * 0.5
    left, right = np.array(end) - along + across, np.array(end) - along - across
    return [Drawing([start, end], chalk), Drawing([tuple(left), end, tuple(right)], chalk)]


def _circle(x: float, y: float, radius: float, chalk: Chalk) -> Drawing:
    angles = np.linspace(-np.pi / 2, 1.5 * np.pi, 13)
    return Drawing([(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles], chalk, curved=True)


def _pythagoras() -> list[Item]:
    a, b, c = (876.0, 306.0), (1004.0, 402.0), (876.0, 402.0)
    return [
        Text(1040, 82, "15 сентября", 19),
        *_heading(380, 92, "Теорема Пифагора"),
        Drawing([a, c, b, a]),
        Drawing([(c[0], c[1] - 16), (c[0] + 16, c[1] - 16), (c[0] + 16, c[1])]),
        Text(883, 365, "a", 20),
        Text(920, 395, "b", 20),
        Text(946, 344, "c", 20),
        Text(96, 172, "В прямоугольном треугольнике"),
        Text(96, 222, "квадрат гипотенузы равен"),
        Text(96, 272, "сумме квадратов катетов:"),
        Text(150, 354, "a² + b² = c²", 42, Chalk.YELLOW),
        Gesture(3.0, (300, 372)),
        Drawing([a, (780, 306), (780, 402), c], Chalk.PINK),
        Text(815, 366, "9", 26, Chalk.PINK),
        Drawing([c, (876, 530), (1004, 530), b], Chalk.BLUE),
        Text(922, 482, "16", 26, Chalk.BLUE),
        Drawing([a, (972, 178), (1100, 274), b], Chalk.YELLOW),
        Text(966, 300, "25", 26, Chalk.YELLOW),
        Text(150, 436, "3² + 4² = 5²", 30),
        Text(150, 500, "9 + 16 = 25", 30),
        Drawing([(138, 514), (290, 519), (446, 513)], Chalk.PINK, curved=True),
        Gesture(4.0, (400, 470)),
        Gesture(4.0),
    ]


def _present_perfect() -> list[Item]:
    return [
        *_heading(92, 96, "Present Perfect"),
        Text(520, 96, "have / has + V₃", 28, Chalk.YELLOW),
        Text(96, 176, "I have just finished my homework."),
        Text(96, 230, "She has never been to London."),
        Text(96, 284, "Have you ever seen the sea?"),
        Text(140, 338, "— Yes, I have!", 25, Chalk.BLUE),
        Text(470, 338, "— No, I haven’t.", 25, Chalk.PINK),
        Drawing([(128, 184), (170, 187), (212, 183)], Chalk.YELLOW, curved=True),
        Drawing([(170, 238), (205, 241), (238, 237)], Chalk.YELLOW, curved=True),
        Gesture(3.0, (560, 270)),
        *_arrow((130, 470), (900, 470)),
        Drawing([(660, 452), (660, 488)], Chalk.YELLOW),
        Text(630, 528, "now", 22, Chalk.YELLOW),
        Text(170, 528, "past", 22),
        Text(790, 528, "future", 22),
        Drawing([(300, 456), (326, 484)], Chalk.PINK),
        Drawing([(326, 456), (300, 484)], Chalk.PINK),
        Drawing([(313, 446), (400, 404), (520, 402), (650, 446)], Chalk.PINK, curved=True),
        Drawing([(632, 444), (650, 446), (646, 428)], Chalk.PINK),
        Text(440, 380, "result!", 20, Chalk.PINK),
        Text(900, 176, "just — только что", 20),
        Text(900, 220, "never — никогда", 20),
        Text(900, 264, "ever — когда-либо", 20),
        Text(900, 308, "already — уже", 20),
        Gesture(4.0, (900, 330)),
        Gesture(4.0),
    ]


def _parabola() -> list[Item]:
    origin, unit = (900.0, 350.0), 42.0

    def at(x: float, y: float) -> tuple[float, float]:
        return origin[0] + x * unit, origin[1] - y * unit

    curve = [at(x, x * x - 2 * x - 3) for x in np.linspace(-2.05, 4.05, 14)]
    ticks = [Drawing([(at(x, 0)[0], origin[1] - 5), (at(x, 0)[0], origin[1] + 5)]) for x in (-2, -1, 1, 2, 3, 4)]
    return [
        *_heading(96, 96, "y = x² − 2x − 3", 36),
        *_arrow(at(-3.4, 0), at(5.6, 0)),
        *_arrow(at(0, -5.2), at(0, 6.2)),
        *ticks,
        Text(at(5.3, -0.75)[0], at(0, -0.75)[1], "x", 20),
        Text(at(-0.7, 5.8)[0], at(0, 5.8)[1], "y", 20),
        Text(96, 180, "Нули функции:", 25, Chalk.PINK),
        Text(120, 236, "x² − 2x − 3 = 0", 27),
        Text(120, 290, "D = 4 + 12 = 16", 27),
        Text(120, 344, "x₁ = −1,   x₂ = 3", 27, Chalk.PINK),
        _circle(*at(-1, 0), 7, Chalk.PINK),
        _circle(*at(3, 0), 7, Chalk.PINK),
        Text(96, 424, "Вершина:", 25, Chalk.BLUE),
        Text(300, 424, "(1; −4)", 27, Chalk.BLUE),
        _circle(*at(1, -4), 7, Chalk.BLUE),
        Drawing(curve, Chalk.YELLOW, curved=True),
        Gesture(4.0, (1060, 300)),
        Text(96, 504, "y < 0  при  −1 < x < 3", 27, Chalk.YELLOW),
        Gesture(4.0),
    ]


def _water_cycle() -> list[Item]:
    waves: list[Item] = [
        Drawing([(x, y + (6 if i % 2 else -6)) for i, x in enumerate(range(660, 1000, 24))], Chalk.BLUE, curved=True)
        for y in (520, 545)
    ]
    rays: list[Item] = [
        Drawing(
            [(730 + 50 * np.cos(a), 178 + 50 * np.sin(a)), (730 + 70 * np.cos(a), 178 + 70 * np.sin(a))], Chalk.YELLOW
        )
        for a in np.linspace(0, 2 * np.pi, 10, endpoint=False)
    ]
    cloud = [
        (960, 220),
        (950, 180),
        (990, 160),
        (1020, 130),
        (1070, 136),
        (1100, 160),
        (1140, 170),
        (1140, 215),
        (1100, 226),
    ]
    rain: list[Item] = [Drawing([(x, 250), (x - 14, 290)], Chalk.BLUE) for x in (1000, 1036, 1072, 1108)]
    return [
        *_heading(92, 92, "The Water Cycle"),
        Text(540, 92, "Круговорот воды", 24, Chalk.YELLOW),
        _circle(730, 178, 38, Chalk.YELLOW),
        *rays,
        *waves,
        Drawing([(1000, 520), (1060, 430), (1100, 380), (1140, 430), (1170, 400), (1215, 500)], Chalk.WHITE),
        Drawing([(1080, 405), (1096, 414), (1106, 400), (1120, 408)], Chalk.WHITE),
        *_arrow((770, 490), (820, 300), Chalk.PINK),
        Text(96, 180, "evaporation — испарение", 24, Chalk.PINK),
        Drawing([*cloud, (1020, 232), cloud[0]], Chalk.WHITE, curved=True),
        Text(96, 240, "condensation — конденсация", 24),
        *rain,
        Text(96, 300, "precipitation — осадки", 24, Chalk.BLUE),
        Gesture(3.0, (880, 300)),
        Text(96, 390, "Why does it rain?", 27, Chalk.YELLOW),
        Text(96, 446, "Warm air carries water up,", 24),
        Text(96, 498, "cold air lets it go.", 24),
        *_arrow((1040, 330), (985, 490), Chalk.BLUE),
        Gesture(4.0, (400, 520)),
        Gesture(4.0),
    ]


def pages() -> list[list[Item]]:
    """The lesson's pages, in order; after the last it begins anew."""
    return [_pythagoras(), _present_perfect(), _parabola(), _water_cycle()]
