"""A teacher's chalk hand: text → strokes. Latin, digits and signs from Hershey's simplex font, Cyrillic drawn for it.

Hershey's own Cyrillic is a serif book face; a hand writes single lines, so its letters are drawn here on the same grid:
capitals span y −12…9, small letters −5…9, x runs right from 0. Not here: where and when a text is written.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]  # (n, 2): x, y

CAP_HEIGHT = 21.0  # Hershey units from the baseline to the top of a capital
BASELINE = 9.0
SLANT = 0.11  # a hand leans
CURVE_STEPS = 5

# width | stroke; stroke; …   Points are x,y. A stroke that begins with ~ is a curve through its points.
_CYRILLIC = {
    "Б": "18|3,-12 3,9;3,-12 14,-12;~3,-2 10,-2 14,0 15.5,3.5 14,7 10,9 3,9",
    "Г": "15|3,9 3,-12 14,-12",
    "Д": "20|1,14 1,9 19,9 19,14;4,9 7,-12 16,-12 16,9",
    "Ж": "24|12,-12 12,9;2,-12 10.5,-1.5 2,9;22,-12 13.5,-1.5 22,9;10.5,-1.5 13.5,-1.5",
    "З": "17|~3,-9 5,-11.5 8,-12 12,-11 13,-7.5 11.5,-4 7,-2.5;~7,-2.5 12,-1.5 14,2.5 12.5,7 8,9 4,8.5 2,6",
    "И": "18|3,-12 3,9 15,-12 15,9",
    "Й": "18|3,-12 3,9 15,-12 15,9;~6,-17 9,-15.5 12,-17",
    "Л": "18|~1,9 4,8 5.5,3 7,-12;7,-12 15,-12 15,9",
    "П": "18|3,9 3,-12 15,-12 15,9",
    "У": "18|2,-12 9,2;~16,-12 11,-2 8,4 5,8 2,9",
    "Ф": "20|10,-14 10,11;~10,-9 5,-8.5 2,-4 2,0 5,4 10,5 15,4 18,0 18,-4 15,-8.5 10,-9",
    "Ц": "19|3,-12 3,9 17,9 17,14;15,-12 15,9",
    "Ч": "18|~3,-12 3,-5 5,-1.5 9,-0.5 15,-2;15,-12 15,9",
    "Ш": "24|3,-12 3,9 21,9 21,-12;12,-12 12,9",
    "Щ": "25|3,-12 3,9 23,9 23,14;12,-12 12,9;21,-12 21,9",
    "Ъ": "19|1,-12 5,-12 5,9;~5,-2 11,-2 15,0 16.5,3.5 15,7 11,9 5,9",
    "Ы": "22|3,-12 3,9;~3,-2 9,-2 12,0 13.5,3.5 12,7 9,9 3,9;19,-12 19,9",
    "Ь": "17|3,-12 3,9;~3,-2 9,-2 13,0 14.5,3.5 13,7 9,9 3,9",
    "Э": "19|~3,-8 5,-11 9,-12 13,-10.5 16,-5 16,2 13,7.5 9,9 5,8 3,5;7,-1.5 16,-1.5",
    "Ю": "24|3,-12 3,9;3,-1.5 8,-1.5;~14.5,-12 10,-9.5 8,-4 8,1 10,6.5 14.5,9 19,6.5 21,1 21,-4 19,-9.5 14.5,-12",
    "Я": "18|15,-12 15,9;~15,-12 9,-12 5,-10.5 3.5,-7 5,-3.5 9,-2 15,-2;9,-2 3,9",
    "б": "17|~13,-12 10,-11 6,-9.5 3.5,-5 3,2 4.5,7 8,9 12,7.5 14,3.5 12.5,-1 8.5,-3 5,-1 3,3",
    "в": "15|3,-5 3,9;~3,-5 8,-5 10.5,-3.5 10.5,0 8,1.5 3,1.5;~3,1.5 9,1.5 12,3.5 12,7 9,9 3,9",
    "г": "12|3,9 3,-5 11,-5",
    "д": "16|1,13 1,9 15,9 15,13;3.5,9 5.5,-5 12.5,-5 12.5,9",
    "ж": "20|10,-5 10,9;2,-5 8.5,2 2,9;18,-5 11.5,2 18,9;8.5,2 11.5,2",
    "з": "14|~2.5,-3 5,-5 9,-4.5 10.5,-2 9,1 6,1.5;~6,1.5 10,2 11.5,5 10,8 6,9 2.5,7.5",
    "и": "15|3,-5 3,9 12,-5 12,9",
    "й": "15|3,-5 3,9 12,-5 12,9;~5,-10 7.5,-8.5 10,-10",
    "к": "14|3,-5 3,9;12,-5 3,3;6,0.5 12,9",
    "л": "15|~1,9 3.5,8 4.5,4 5.5,-5;5.5,-5 12,-5 12,9",
    "м": "18|2,9 3.5,-5 9,6 14.5,-5 16,9",
    "н": "15|3,-5 3,9;12,-5 12,9;3,2 12,2",
    "п": "15|3,9 3,-5 12,-5 12,9",
    "т": "14|1,-5 13,-5;7,-5 7,9",
    "ф": "19|9.5,-12 9.5,16;~9.5,-4.5 5,-4 2.5,0 2.5,4 5,8 9.5,8.5 14,8 16.5,4 16.5,0 14,-4 9.5,-4.5",
    "ц": "16|3,-5 3,9 14,9 14,13;12,-5 12,9",
    "ч": "15|~3,-5 3,0 5,2.5 8,2.8 12,1.5;12,-5 12,9",
    "ш": "20|3,-5 3,9 17,9 17,-5;10,-5 10,9",
    "щ": "21|3,-5 3,9 19,9 19,13;10,-5 10,9;17,-5 17,9",
    "ъ": "16|1,-5 4,-5 4,9;~4,2 9,2 12,3.5 12,7 9,9 4,9",
    "ы": "18|3,-5 3,9;~3,2 8,2 10.5,3.5 10.5,7 8,9 3,9;15,-5 15,9",
    "ь": "14|3,-5 3,9;~3,2 8,2 11,3.5 11,7 8,9 3,9",
    "э": "14|~2.5,-2.5 5,-5 8.5,-4.5 11,-1 11,5 8.5,8.5 5,9 2.5,6.5;5.5,2 11,2",
    "ю": "19|3,-5 3,9;3,2 6.5,2;~11.5,-5 8,-3.5 6.5,0 6.5,4 8,7.5 11.5,9 15,7.5 16.5,4 16.5,0 15,-3.5 11.5,-5",
    "я": "15|12,-5 12,9;~12,-5 7,-5 3.5,-3.5 3.5,0.5 7,2.5 12,2.5;7.5,2.5 3,9",
    "·": "10|4.6,-1 5.4,-1 5.4,-0.2 4.6,-0.2 4.6,-1",
    "—": "28|3,0 25,0",
    "√": "20|1,0 4,-1 9,9 17,-14 19,-14",
    "→": "26|2,0 23,0;~17,-5 20,-2 23,0;~23,0 20,2 17,5",
    "’": "8|~4,-12 5,-11 4.5,-9 3,-7.5",
}
_SAME_SHAPE = dict(zip("АВЕКМНОРСТХаеорсух−Ё", "ABEKMHOPCTXaeopcyx-E", strict=True))
_RAISED = dict(zip("²³⁰", "230", strict=True))
_LOWERED = dict(zip("₀₁₂₃", "0123", strict=True))
_SMALL = 0.58  # size of raised and lowered digits


class Glyph(NamedTuple):
    """A letter on the Hershey grid."""

    width: float
    strokes: list[Points]


def smooth(points: Points, steps: int = CURVE_STEPS) -> Points:
    """A Catmull-Rom curve through the points."""
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = p0[:, None], p1[:, None], p2[:, None], p3[:, None]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return np.vstack([curve.reshape(-1, 2), points[-1]])


def _drawn(source: str) -> Glyph:
    width, _, body = source.partition("|")
    strokes = []
    for stroke in body.split(";"):
        points = np.array([pair.split(",") for pair in stroke.lstrip("~").split()], np.float64)
        strokes.append(smooth(points) if stroke.startswith("~") else points)
    return Glyph(float(width), strokes)


@cache
def _alphabet() -> dict[str, Glyph]:
    from HersheyFonts import HersheyFonts

    fonts = HersheyFonts()
    fonts.load_default_font("futural")
    found = {}
    for code in range(33, 127):
        (shape,) = fonts.glyphs_for_text(chr(code))
        strokes = [np.array(list(stroke), np.float64) - [shape.left_offset, 0] for stroke in shape.strokes]
        found[chr(code)] = Glyph(float(shape.char_width), strokes)
    found |= {letter: _drawn(source) for letter, source in _CYRILLIC.items()}
    found |= {letter: found[same] for letter, same in _SAME_SHAPE.items()}
    dots = [np.array([[x, -9.5], [x + 0.8, -9.5], [x + 0.8, -8.7], [x, -9.5]]) for x in (5.0, 11.0)]
    found["ё"] = Glyph(found["e"].width, found["e"].strokes + dots)
    for marks, rise in ((_RAISED, -9.0), (_LOWERED, 6.5)):
        found |= {mark: _shrunk(found[digit], rise) for mark, digit in marks.items()}
    found[" "] = Glyph(13.0, [])
    return found


def _shrunk(glyph: Glyph, rise: float) -> Glyph:
    return Glyph(glyph.width * _SMALL, [stroke * _SMALL + [0, rise + 2.0] for stroke in glyph.strokes])


def text_width(text: str, cap_height: float) -> float:
    """How wide the text will be, in the unit of ``cap_height``."""
    alphabet = _alphabet()
    return sum(alphabet[letter].width for letter in text) * cap_height / CAP_HEIGHT


def write(text: str, x: float, y: float, cap_height: float) -> list[Points]:
    """The strokes of a line of text, in the order of a hand. ``x``, ``y``: where its baseline begins."""
    alphabet = _alphabet()
    scale = cap_height / CAP_HEIGHT
    hand = np.random.default_rng(sum(map(ord, text)) + int(x * 7 + y * 13))  # each line has its own unevenness
    strokes = []
    for letter in text:
        glyph = alphabet[letter]
        lift, grow, turn = hand.normal(0, 0.35), 1 + hand.normal(0, 0.02), hand.normal(0, 0.018)
        for stroke in glyph.strokes:
            up = (stroke[:, 1] - BASELINE) * grow
            across = stroke[:, 0] * grow - up * (SLANT + turn)
            strokes.append(np.column_stack([x + across * scale, y + (up + lift + stroke[:, 0] * turn) * scale]))
        x += glyph.width * scale
    return strokes
