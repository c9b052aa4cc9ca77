"""From the drawn frame to ``camera.crop`` and back, on sensors of other shapes, turned and mirrored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.capture.sensor import WHOLE, Flip, crop_rectangle
from appliance.setup.crop import SMALLEST, Share, shown_part, to_picture, to_sensor, turned

PICTURE = (1280, 720)
VIEWS = ((2592, 1944), (3280, 2464), (4608, 2592), (1080, 1920))


def test_a_sensor_of_the_pictures_shape_is_shown_whole() -> None:
    assert shown_part((4608, 2592), PICTURE) == WHOLE
    assert shown_part(None, PICTURE) == WHOLE


def test_a_taller_sensor_is_shown_without_its_top_and_bottom() -> None:
    assert shown_part((2592, 1944), PICTURE) == pytest.approx((0, 0.125, 1, 0.75))


def test_a_frame_on_the_middle_of_a_taller_sensor_is_its_middle() -> None:
    assert to_sensor((0.25, 0.25, 0.5, 0.5), (0, 0.125, 1, 0.75)) == pytest.approx((0.25, 0.3125, 0.5, 0.375))


def test_a_picture_that_is_turned_has_its_frame_in_the_opposite_corner() -> None:
    corner = (0.0, 0.0, 0.3, 0.3)
    assert turned(corner, 180, "none") == pytest.approx((0.7, 0.7, 0.3, 0.3))
    assert turned(corner, 0, "horizontal") == pytest.approx((0.7, 0.0, 0.3, 0.3))
    assert turned(corner, 180, "both") == pytest.approx(corner)


def test_a_crop_of_another_shape_is_drawn_as_what_pupils_get_of_it() -> None:
    assert to_picture((0.1, 0.4, 0.8, 0.2), WHOLE) == pytest.approx((0.4, 0.4, 0.2, 0.2))


@st.composite
def frames(draw: st.DrawFn) -> Share:
    size = draw(st.floats(SMALLEST, 1))
    return draw(st.floats(0, 1 - size)), draw(st.floats(0, 1 - size)), size, size


@given(frames(), st.sampled_from(VIEWS), st.sampled_from((0, 180)), st.sampled_from(("none", "horizontal", "vertical")))
def test_what_is_drawn_is_what_the_sensor_is_told_to_show(
    frame: Share, view: tuple[int, int], rotation: int, flip: Flip
) -> None:
    shown = shown_part(view, PICTURE)
    crop = to_sensor(turned(frame, 180 if rotation else 0, flip), shown)
    assert turned(to_picture(crop, shown), 180 if rotation else 0, flip) == pytest.approx(frame, abs=0.002)
    # As the camera cuts it: nothing beyond the frame, and all of it but for a pixel's rounding.
    left, top, width, height = crop_rectangle(crop, (0, 0, *view), PICTURE)
    x, y, wide, high = turned(frame, 180 if rotation else 0, flip)
    told = ((left / view[0] - shown[0]) / shown[2], (top / view[1] - shown[1]) / shown[3])
    assert told == pytest.approx((x, y), abs=0.01)
    assert (width / view[0] / shown[2], height / view[1] / shown[3]) == pytest.approx((wide, high), abs=0.02)
