"""The main job on a real video file: its pictures and its sound are the lesson, seen and heard in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.appliance.capture.media import Recipe, make_video
from tests.browser.chromium import pupil, until_new_frames, until_state, until_true, until_voice
from tests.running import FoundedSchool, running_school

pytestmark = pytest.mark.browser

BASELINE = Recipe(seconds=4, width=640, height=360)  # passes through untouched
HIGH = Recipe(seconds=4, width=640, height=360, profile="high", b_frames=2)  # has to be transcoded


@pytest.mark.parametrize("recipe", [BASELINE, HIGH], ids=["baseline", "high"])
async def test_a_video_with_sound_is_seen_and_heard_and_begins_again_at_its_end(
    tmp_path: Path, founded_school: FoundedSchool, browser: Browser, recipe: Recipe
) -> None:
    video = make_video(tmp_path / "урок.mp4", recipe)
    plays = f'kind = "file"\nfile = "{video}"'
    async with running_school(tmp_path, founded_school, camera=plays, microphone=plays) as school:
        page = await pupil(browser, school.class_url)
        await school.kit.press("start")
        pictures = await until_new_frames(page, 30)
        assert {(picture["width"], picture["height"]) for picture in pictures} == {(640, 360)}
        assert len({picture["capture_us"] for picture in pictures}) > 10  # the file's own pictures, one after another

        await page.get_by_role("button", name="Включить звук").first.click()
        await until_voice(page, 0.005)  # two of the file's clicks
        assert (await school.kit.until_state("live"))["tally"] == "on_air"

        again = "() => lessonProbe.frames.some((f, i, all) => i > 0 && f.capture_us < all[i - 1].capture_us)"
        await until_true(page, again)
        await until_new_frames(page)


async def test_a_video_without_sound_is_a_lesson_without_a_voice_and_red_all_the_same(
    tmp_path: Path, founded_school: FoundedSchool, browser: Browser
) -> None:
    video = make_video(tmp_path / "silent.mp4", Recipe(seconds=2, sound=False))
    camera = f'kind = "file"\nfile = "{video}"'
    async with running_school(tmp_path, founded_school, camera=camera, microphone='kind = "none"') as school:
        page = await pupil(browser, school.class_url)
        await school.kit.press("start")
        await until_new_frames(page)
        await until_state(page, "live")
        status = await school.kit.until(lambda seen: seen["tally"] == "on_air" and seen["link"]["viewers"] == 1)
        assert status["voiceless"]
