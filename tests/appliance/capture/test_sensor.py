"""What may be asked of a sensor: the mode, the crop and the controls it gets, and the nearest it can do when not."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.capture.sensor import (
    WHOLE,
    Crop,
    Limits,
    Mode,
    Wanted,
    choose_mode,
    crop_rectangle,
    lies_within,
    plan_controls,
)
from appliance.errors import CameraUnavailable

# Camera Module 3 (imx708): its modes as picamera2's manual lists them.
CAMERA_3 = (
    Mode((1536, 864), 120.13, (768, 432, 3072, 1728), 10),
    Mode((2304, 1296), 56.03, (0, 0, 4608, 2592), 10),
    Mode((4608, 2592), 14.35, (0, 0, 4608, 2592), 10),
)
# Camera Module 2 (imx219), 10 bit.
CAMERA_2 = (
    Mode((640, 480), 206.65, (1000, 752, 1280, 960), 10),
    Mode((1640, 1232), 41.85, (0, 0, 3280, 2464), 10),
    Mode((1920, 1080), 47.57, (680, 692, 1920, 1080), 10),
    Mode((3280, 2464), 21.19, (0, 0, 3280, 2464), 10),
)
VIEW_3 = CAMERA_3[1].view
LIMITS_3: Limits = {
    "ScalerCrop": ((0, 0, 128, 128), VIEW_3, VIEW_3),
    "AfMode": (0, 2, 0),
    "LensPosition": (0.0, 32.0, 1.0),
    "ExposureTime": (13, 77_208, 20_000),
    "FrameDurationLimits": (17_849, 100_000, None),
}
HD = Wanted(1280, 720, 30)


@pytest.mark.parametrize(
    ("modes", "wanted", "chosen"),
    [
        (CAMERA_3, HD, (2304, 1296)),  # not the 120 fps mode, which shows the middle third of the board
        (CAMERA_3, replace(HD, fps=14), (4608, 2592)),  # slow enough for every pixel
        (CAMERA_2, HD, (1640, 1232)),
        (CAMERA_2, replace(HD, fps=42), (1640, 1232)),  # 41.85 rounds up
        (CAMERA_2, replace(HD, fps=21), (3280, 2464)),
    ],
)
def test_a_lesson_shows_the_whole_view_in_the_largest_mode_that_keeps_its_rate(
    modes: tuple[Mode, ...], wanted: Wanted, chosen: tuple[int, int]
) -> None:
    assert choose_mode(modes, wanted).size == chosen


@pytest.mark.parametrize(
    ("modes", "wanted", "told"),
    [
        (CAMERA_3, replace(HD, fps=60), "camera.fps: 60 at 1280 × 720 is not what this camera can do; nearest: 56"),
        (CAMERA_3, Wanted(3840, 2160, 30), "camera.fps: 30 at 3840 × 2160 is not what this camera can do; nearest: 14"),
        (
            CAMERA_2,
            Wanted(3840, 2160, 10),
            "camera.width and height: 3840 × 2160 is not what this camera can do; nearest: 3280 × 2464",
        ),
    ],
)
def test_what_no_mode_can_do_is_refused_with_the_nearest(modes: tuple[Mode, ...], wanted: Wanted, told: str) -> None:
    with pytest.raises(CameraUnavailable) as caught:
        choose_mode(modes, wanted)
    assert str(caught.value) == told


def test_a_camera_that_can_everything_is_told_everything() -> None:
    wanted = replace(HD, crop=(0.25, 0.25, 0.5, 0.5), focus="fixed", focus_m=2.0, exposure_ms=20.0)
    assert plan_controls(LIMITS_3, VIEW_3, wanted) == {
        "FrameDurationLimits": (33_333, 33_333),
        "ScalerCrop": (1152, 648, 2304, 1296),
        "AfMode": 0,
        "LensPosition": 0.5,
        "ExposureTime": 20_000,
    }


def test_defaults_ask_nothing_that_a_simple_camera_cannot_do() -> None:
    assert plan_controls({}, (0, 0, 1280, 720), HD) == {"FrameDurationLimits": (33_333, 33_333)}


@pytest.mark.parametrize(
    ("limits", "change", "told"),
    [
        ({}, {"crop": (0.0, 0.0, 0.5, 0.5)}, "camera.crop: this camera cannot crop; nearest: [0.0, 0.0, 1.0, 1.0]"),
        ({}, {"focus": "fixed"}, 'camera.focus: this camera has no focus motor; nearest: "continuous"'),
        ({}, {"exposure_ms": 5.0}, "camera.exposure_ms: this camera's exposure cannot be set; nearest: 0"),
        (LIMITS_3, {"crop": (0.5, 0.5, 0.01, 0.01)}, "camera.crop: [0.5, 0.5, 0.01, 0.01] is not what this camera can"),
        (
            {**LIMITS_3, "LensPosition": (0.0, 10.0, 1.0)},
            {"focus": "fixed", "focus_m": 0.05},
            "camera.focus_m: 0.05 is not what this camera can do; nearest: 0.10",
        ),
        (
            LIMITS_3,
            {"exposure_ms": 50.0},
            "camera.exposure_ms: 50 at 30 fps is not what this camera can do; nearest: 33.33",
        ),
    ],
)
def test_what_a_camera_cannot_do_is_refused_by_its_key_with_the_nearest(
    limits: Limits, change: dict[str, object], told: str
) -> None:
    with pytest.raises(CameraUnavailable) as caught:
        plan_controls(limits, VIEW_3, replace(HD, **change))  # type: ignore[arg-type]
    assert str(caught.value).startswith(told)


def test_a_crop_of_another_shape_says_what_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        controls = plan_controls(LIMITS_3, VIEW_3, replace(HD, crop=(0.0, 0.0, 1.0, 0.5)))
    assert controls["ScalerCrop"] == (1152, 0, 2304, 1296)
    assert "[0.25, 0.0, 0.5, 0.5] is shown" in caplog.text


SHARES = st.floats(0, 1)
CROPS = st.tuples(SHARES, SHARES, SHARES, SHARES).map(
    lambda c: (c[0], c[1], (1 - c[0]) * max(c[2], 0.02), (1 - c[1]) * max(c[3], 0.02))
)


@given(crop=CROPS, picture=st.sampled_from([(1280, 720), (640, 480), (1920, 1080), (720, 1280)]))
def test_nothing_outside_the_crop_is_ever_shown(crop: Crop, picture: tuple[int, int]) -> None:
    x, y, width, height = crop_rectangle(crop, VIEW_3, picture)
    left, top = crop[0] * VIEW_3[2], crop[1] * VIEW_3[3]
    assert x >= left - 1e-3
    assert y >= top - 1e-3
    assert x + width <= left + crop[2] * VIEW_3[2] + 1
    assert y + height <= top + crop[3] * VIEW_3[3] + 1


def test_a_crop_has_the_shape_of_the_picture() -> None:
    _, _, width, height = crop_rectangle((0.1, 0.2, 0.5, 0.7), VIEW_3, (1280, 720))
    assert width / height == pytest.approx(1280 / 720, rel=0.01)
    assert crop_rectangle(WHOLE, CAMERA_2[1].view, (1280, 720)) == (0, 310, 3280, 1844)


@pytest.mark.parametrize(
    ("shown", "within"),
    [
        ((100, 100, 200, 100), True),
        ((99, 99, 202, 102), True),  # a driver's rounding
        ((0, 0, 4608, 2592), False),  # what a sensor shows before it has heard of its crop
        ((100, 100, 220, 100), False),
    ],
)
def test_a_picture_that_shows_more_than_the_crop_is_told_apart(shown: tuple[int, int, int, int], within: bool) -> None:
    assert lies_within(shown, (100, 100, 200, 100)) is within
