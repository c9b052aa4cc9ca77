"""The whole of Parta in one place: a press on the kit, a lesson in the browser, and everything that may go wrong."""

from __future__ import annotations

import itertools
import signal
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Request

from tests.browser.chromium import PHONE, blank_page, pupil, until_new_frames, until_state, until_true, until_voice
from tests.running import RunningSchool

pytestmark = pytest.mark.browser

SHADES = """
() => {
  const of = (element) => getComputedStyle(element);
  const green = (colour) => Number(colour.match(/[0-9.]+/g)[1]);
  return [green(of(document.documentElement).backgroundColor), green(of(document.body).color)];
}
"""


def rising(pictures: list[dict[str, Any]]) -> bool:
    """Whether the time codes go forward and never back."""
    codes = [picture["capture_us"] for picture in pictures]
    return all(earlier <= later for earlier, later in itertools.pairwise(codes)) and codes[0] < codes[-1]


async def test_a_waiting_pupil_sees_the_lesson_from_the_press_to_its_end(
    school: RunningSchool, browser: Browser
) -> None:
    page = await pupil(browser, school.class_url)
    await until_state(page, "waiting")

    await school.kit.press("start")
    await until_state(page, "live")
    assert rising(await until_new_frames(page, 30))
    live = await school.kit.until_state("live")
    assert live["tally"] == "on_air"

    await school.kit.press("curtain")
    await until_state(page, "curtain")
    assert (await school.kit.until_state("curtain"))["tally"] == "curtain"
    await school.kit.press("curtain")
    await until_state(page, "live")
    assert rising(await until_new_frames(page))

    await school.kit.hold_to_end()
    await until_state(page, "over")
    assert (await school.kit.until_state("idle"))["tally"] == "off"


async def test_a_killed_kit_continues_its_lesson_by_itself(school: RunningSchool, browser: Browser) -> None:
    page = await pupil(browser, school.class_url)
    await school.kit.press("start")
    before = await until_new_frames(page)
    lesson = (await school.kit.until_state("live"))["lesson"]["id"]

    await school.kit.program.end(signal.SIGKILL)
    await until_state(page, "reconnecting")
    await school.kit.start()

    status = await school.kit.until_state("live")
    assert status["lesson"]["id"] == lesson
    after = await until_new_frames(page)
    assert after[0]["capture_us"] > before[-1]["capture_us"]
    await until_state(page, "live")


async def test_a_killed_relay_comes_back_and_so_do_kit_and_pupil(school: RunningSchool, browser: Browser) -> None:
    page = await pupil(browser, school.class_url)
    await school.kit.press("start")
    before = await until_new_frames(page)

    await school.relay.program.end(signal.SIGKILL)
    assert (await school.kit.until_state("degraded"))["tally"] == "not_live"
    await school.relay.start()

    await school.kit.until_state("live")
    after = await until_new_frames(page)
    assert after[0]["capture_us"] > before[-1]["capture_us"]
    await until_state(page, "live")
    assert len(await school.relay.command("lesson", "list")) == 1


async def test_a_page_that_slept_through_a_restart_of_the_relay_wakes_into_the_lesson(
    school: RunningSchool, browser: Browser
) -> None:
    page = await pupil(browser, school.class_url)
    await school.kit.press("start")
    before = await until_new_frames(page)

    lid = await page.context.new_cdp_session(page)
    await lid.send("Page.setWebLifecycleState", {"state": "frozen"})
    await school.relay.program.end(signal.SIGKILL)
    await school.kit.until_state("degraded")
    await school.relay.start()
    await school.kit.until_state("live")
    await lid.send("Page.setWebLifecycleState", {"state": "active"})

    after = await until_new_frames(page)
    assert after[0]["capture_us"] > before[-1]["capture_us"]
    await until_state(page, "live")


async def test_the_voice_arrives_after_one_press_on_the_sound_control(school: RunningSchool, browser: Browser) -> None:
    page = await pupil(browser, school.class_url)
    await school.kit.press("start")
    await until_new_frames(page)
    assert await page.evaluate("document.querySelector('video').muted") is True

    await page.get_by_role("button", name="Включить звук").first.click()

    await page.wait_for_selector('html[data-sound="on"]', state="attached")
    await until_voice(page, 0.001)
    assert await page.evaluate("document.querySelector('video').muted") is False


async def test_sound_and_full_screen_are_under_the_fingers_of_who_has_a_keyboard(
    school: RunningSchool, browser: Browser
) -> None:
    page = await pupil(browser, school.class_url)
    await school.kit.press("start")
    await until_new_frames(page)

    await page.keyboard.press("m")
    await page.wait_for_selector('html[data-sound="on"]', state="attached")
    await until_voice(page, 0.001)
    await page.keyboard.press("f")
    await until_true(page, "() => document.fullscreenElement !== null")
    await page.keyboard.press("f")
    await until_true(page, "() => document.fullscreenElement === null")

    await page.locator("#keys").uncheck()  # who dictates or uses a switch can turn the keys off
    await page.keyboard.press("m")
    await page.keyboard.press("f")
    assert await page.evaluate("document.fullscreenElement === null && !document.querySelector('video').muted")


async def test_a_board_still_is_under_the_lesson_and_opens_at_its_full_size(
    school: RunningSchool, browser: Browser
) -> None:
    page = await pupil(browser, school.class_url)
    await school.kit.press("start")
    await until_new_frames(page)

    await school.kit.press("still")

    await page.locator("#stills-list img").first.click()
    size = "() => { const image = document.querySelector('#viewer-image'); return image.naturalWidth === 1280; }"
    await until_true(page, size)
    await page.keyboard.press("Escape")
    await page.locator("#viewer").wait_for(state="hidden")


@pytest.mark.parametrize(("language", "words"), [("ru-RU", "Прямой эфир"), ("en-GB", "Live")])
async def test_a_phone_shows_the_lesson_in_the_pupils_language(
    school: RunningSchool, browser: Browser, language: str, words: str
) -> None:
    page = await pupil(browser, school.class_url, language=language, viewport=PHONE, is_mobile=True, has_touch=True)
    await school.kit.press("start")
    await until_new_frames(page)
    await until_state(page, "live")
    assert await page.get_by_text(words).first.is_visible()
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    assert not await page.locator("kbd").first.is_visible()  # nobody presses M on a phone...
    await page.keyboard.press("Tab")
    await page.locator("kbd").first.wait_for(state="visible")  # ...who has no keyboard
    box = await page.locator("video").first.bounding_box()
    assert box is not None
    assert box["width"] >= PHONE["width"] * 0.9


async def test_the_pupil_changes_the_language_by_hand_and_it_stays(school: RunningSchool, browser: Browser) -> None:
    page = await pupil(browser, school.class_url, language="ru-RU")
    await until_state(page, "waiting")
    assert await page.locator("html").get_attribute("lang") == "ru"
    russian = await page.locator("#title").inner_text()

    await page.get_by_role("button", name="English").click()

    await page.wait_for_selector('html[lang="en"]', state="attached")
    assert await page.locator("#title").inner_text() != russian
    await page.reload()
    await page.wait_for_selector('html[lang="en"][data-state="waiting"]', state="attached")
    assert await page.locator("#title").inner_text() != russian
    await page.get_by_role("button", name="Русский").click()
    await page.wait_for_selector('html[lang="ru"]', state="attached")
    assert await page.locator("#title").inner_text() == russian


async def test_the_page_is_light_or_dark_as_the_pupils_system_is(school: RunningSchool, browser: Browser) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        page = await pupil(browser, school.class_url, color_scheme=scheme)
        await until_state(page, "waiting")
        ground, ink = await page.evaluate(SHADES)
        assert abs(ground - ink) > 120, f"{scheme}: text of {ink} on {ground}"
        shades[scheme] = ground
    assert shades["light"] > 200
    assert shades["dark"] < 60


async def test_the_page_talks_to_its_own_origin_only_and_keeps_no_cookie(
    school: RunningSchool, browser: Browser
) -> None:
    page = await blank_page(browser)
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))

    await page.goto(school.class_url)
    await school.kit.press("start")
    await until_new_frames(page)

    origins = {f"{url.scheme}://{url.netloc}" for url in (urlsplit(request.url) for request in requests)}
    assert origins == {school.relay.url}
    assert await page.context.cookies() == []
    assert problems == []


async def test_whoever_opens_a_running_lesson_sees_the_board_and_leaves_no_session(
    school: RunningSchool, browser: Browser
) -> None:
    await school.kit.press("start")
    await school.kit.until_state("live")

    page = await pupil(browser, school.class_url)
    assert rising(await until_new_frames(page, 30))
    await school.kit.until(lambda status: status["link"]["viewers"] == 1)
    await page.close()
    await school.kit.until(lambda status: status["link"]["viewers"] == 0)


async def test_an_unknown_link_is_a_kind_page(school: RunningSchool, browser: Browser) -> None:
    context = await browser.new_context(locale="ru-RU")
    page = await context.new_page()
    answer = await page.goto(f"{school.relay.url}/c/AAAAAAAAAAAAAAAAAAAAAA")
    assert answer is not None
    assert answer.status == 404
    assert await page.locator("html").get_attribute("lang") == "ru"
    assert "учител" in (await page.locator("main").inner_text()).lower()
