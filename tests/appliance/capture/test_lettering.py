"""The teacher's hand: every letter of two alphabets, standing on its line."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.capture.simulated.lettering import text_width, write

RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
LATIN = "abcdefghijklmnopqrstuvwxyz"
SIGNS = "0123456789+-−=<>()/.,:;!?—→√·’²³₁₂₃"


@pytest.mark.parametrize("letter", sorted({*RUSSIAN, *RUSSIAN.upper(), *LATIN, *LATIN.upper(), *SIGNS}))
def test_every_letter_has_strokes_of_its_size(letter: str) -> None:
    points = np.vstack(write(letter, 100, 200, 42))
    assert points[:, 1].min() > 200 - 42 * 1.35
    assert points[:, 1].max() < 200 + 42 * 0.55
    assert points[:, 0].min() > 100 - 15
    assert points[:, 0].max() < 100 + text_width(letter, 42) + 15


def test_letters_follow_each_other() -> None:
    starts = [min(stroke[:, 0]) for stroke in write("ШШШ", 0, 0, 30)]
    assert starts[0] < starts[2] < starts[4]
    assert text_width("ШШ", 30) == pytest.approx(2 * text_width("Ш", 30))


def test_the_same_line_is_written_the_same_way() -> None:
    for again, once in zip(write("урок", 5, 6, 20), write("урок", 5, 6, 20), strict=True):
        np.testing.assert_array_equal(again, once)
