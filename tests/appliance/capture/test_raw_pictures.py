"""Camera buffers become the same pictures, whatever their format and padding."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from appliance.capture.pictures import plane_views
from appliance.capture.raw_pictures import Format, Layout, picture

WIDTH, HEIGHT = 16, 8


def buffer(layout: Layout, planes: list[np.ndarray]) -> np.ndarray:
    """The planes as a camera lays them out, with rubbish in the padding and after the end."""
    luma, first, second = planes

    def padded(plane: np.ndarray, stride: int) -> np.ndarray:
        return np.pad(plane, ((0, 0), (0, stride - plane.shape[1])), constant_values=99).ravel()

    if layout.format == "NV12":
        pairs = np.dstack([first, second]).reshape(HEIGHT // 2, WIDTH)
        chroma = [padded(pairs, layout.stride)]
    else:
        chroma = [padded(first, layout.stride // 2), padded(second, layout.stride // 2)]
    return np.concatenate([padded(luma, layout.stride), *chroma, np.full(32, 7, np.uint8)])


@pytest.mark.parametrize("form", get_args(Format))
@pytest.mark.parametrize("stride", [WIDTH, 64])
def test_a_buffer_becomes_the_picture_in_it(form: Format, stride: int) -> None:
    random = np.random.default_rng(1)
    shapes = ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))
    planes = [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    layout = Layout(form, WIDTH, HEIGHT, stride)
    frame = picture(buffer(layout, planes), layout)
    assert (frame.width, frame.height, frame.format.name) == (WIDTH, HEIGHT, "yuv420p")
    for found, expected in zip(plane_views(frame), planes, strict=True):
        np.testing.assert_array_equal(found, expected)
