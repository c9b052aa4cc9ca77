"""The record path on the pupil's page: rewinding a running lesson, replays, and live without UDP."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route

from tests.browser.chromium import blank_page, pupil, until_new_frames, until_state, until_true
from tests.relay.archive.footage import footage
from tests.relay.web.kit_recorder import Recorder
from tests.relay.web.served import enrolled
from tests.running import FoundedSchool, RunningRelay, RunningSchool, free_port, running_relay

pytestmark = pytest.mark.browser

FORBIDDEN_STORAGE = """
Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied", "SecurityError"); } });
"""
#: As on iPhones before iOS 17.1. Chromium, too, plays HLS itself where a page cannot (since its version 142).
NO_MEDIA_SOURCE = "delete globalThis.MediaSource; delete globalThis.ManagedMediaSource;"
#: What the video element plays is a recording, and a picture of it is there.
PLAYS_RECORDING = """
() => {
  const video = document.querySelector("video");
  return document.documentElement.dataset.watching !== "live" && video.srcObject === null && !video.paused &&
    video.readyState > 2 && video.currentTime > 0;
}
"""
VIDEO = "document.querySelector('video')"
POSITION = f"{VIDEO}.currentTime"
SPOKEN = "document.querySelector('#timeline').getAttribute('aria-valuetext')"


async def until_watching(page: Page, mode: str) -> None:
    """Wait until the page shows the lesson ``live``, ``delayed`` or from its recording (``recorded``)."""
    await page.wait_for_selector(f'html[data-watching="{mode}"]', state="attached")


async def until_recorded_s(page: Page, length_s: float) -> None:
    """Wait until the time line of what is watched has this length."""
    await until_true(page, "(length) => Number(document.querySelector('#timeline').max) >= length", length_s)


async def shut_udp(page: Page, relay: RunningRelay) -> None:
    """Nothing that this page sends by UDP arrives: the relay seems to listen at a port that nobody listens at."""
    silent = free_port(socket.SOCK_DGRAM)

    async def answer(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        response = await route.fetch()
        sdp = re.sub(rf"\b{relay.media_port}\b", str(silent), await response.text())
        await route.fulfill(response=response, body=sdp)

    await page.route("**/whep/*", answer)


async def test_a_lesson_is_rewound_caught_up_with_and_replayed_after_its_end(
    school: RunningSchool, browser: Browser
) -> None:
    page = await pupil(browser, school.class_url)
    await school.kit.press("start")
    await until_new_frames(page)
    await until_recorded_s(page, 12)
    live_us = (await until_new_frames(page))[-1]["capture_us"]

    await page.get_by_role("button", name="Назад на 10 секунд").click()
    await until_true(page, PLAYS_RECORDING)
    recorded = await until_new_frames(page, 20)
    assert recorded[-1]["capture_us"] < live_us
    assert await page.get_by_role("slider", name="Время урока").is_visible()

    await page.get_by_label("Скорость").select_option("2")
    assert await page.evaluate("document.querySelector('video').preservesPitch") is True
    await until_watching(page, "live")  # by itself, at the recording's end
    after = await until_new_frames(page)
    assert after[0]["capture_us"] > recorded[-1]["capture_us"]
    assert await page.evaluate("document.querySelector('video').playbackRate") == 1

    await page.keyboard.press("m")
    await school.kit.hold_to_end()
    await until_state(page, "over")
    await page.locator("#replays-list .watch").click()
    await until_true(page, PLAYS_RECORDING)
    replayed = await until_new_frames(page)
    assert replayed[0]["capture_us"] < recorded[0]["capture_us"]
    await until_true(page, "() => document.querySelector('video').webkitAudioDecodedByteCount > 0")
    await page.get_by_role("button", name="Закрыть запись").click()
    await until_watching(page, "live")
    assert await page.get_by_text("Урок окончен").first.is_visible()


async def test_a_browser_that_plays_hls_itself_and_lets_no_page_do_it_rewinds_and_replays(
    school: RunningSchool, browser: Browser
) -> None:
    page = await blank_page(browser)
    await page.add_init_script(NO_MEDIA_SOURCE)
    libraries: list[str] = []
    page.on("request", lambda request: libraries.append(request.url) if "hls.mjs" in request.url else None)
    await page.goto(school.class_url)
    await school.kit.press("start")
    live_us = (await until_new_frames(page))[-1]["capture_us"]
    await until_recorded_s(page, 14)

    await page.get_by_role("button", name="Назад на 10 секунд").click()
    await until_true(page, PLAYS_RECORDING)
    recorded = await until_new_frames(page, 20)
    await page.get_by_role("button", name="В эфир").click()
    await until_watching(page, "live")
    after = await until_new_frames(page)
    assert after[0]["capture_us"] > max(live_us, recorded[-1]["capture_us"])

    await school.kit.hold_to_end()
    await until_state(page, "over")
    await page.locator("#replays-list .watch").click()
    await until_true(page, PLAYS_RECORDING)
    replayed = await until_new_frames(page, 20)
    assert replayed[0]["capture_us"] < after[0]["capture_us"]
    assert libraries == []


async def test_without_udp_the_lesson_comes_a_little_late_until_there_is_a_direct_way(
    school: RunningSchool, browser: Browser
) -> None:
    page = await blank_page(browser)
    await shut_udp(page, school.relay)
    await page.goto(school.class_url)
    await school.kit.press("start")

    await until_watching(page, "delayed")
    late = await until_new_frames(page, 20)
    assert await page.locator("html").get_attribute("data-kind") == "delayed"
    assert "Эта сеть не пропускает прямое видео" in await page.locator("#remark").inner_text()

    await page.unroute("**/whep/*")
    await until_watching(page, "live")
    direct = await until_new_frames(page, 20)
    await page.wait_for_selector('html[data-kind="live"]', state="attached")
    assert direct[0]["capture_us"] > late[-1]["capture_us"]


async def test_a_hole_is_shown_on_the_time_line_jumped_over_and_gone_when_it_is_filled(
    tmp_path: Path, founded_school: FoundedSchool, browser: Browser
) -> None:
    lesson = footage(6)
    async with running_relay(tmp_path / "relay", founded_school) as relay:
        recorder = Recorder(relay, await enrolled(relay.http, relay.url, founded_school.enrol_code))
        await recorder.send_all(lesson, without=(1, 2))
        page = await blank_page(browser)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        await page.add_init_script(FORBIDDEN_STORAGE)  # nothing of this needs to be kept
        await page.goto(relay.url + founded_school.class_path)
        await page.locator("#replays-list .watch").click()
        await until_true(page, PLAYS_RECORDING)
        assert await page.locator("#gaps span").count() == 1
        assert "В записи пропуск: 4" in await page.locator("#remark").inner_text()
        await until_true(page, f"() => {POSITION} > 6.5")
        played = "[0, 1].map((n) => [v.played.start(n), v.played.end(n)])"
        (_, before_s), (after_s, _) = await page.evaluate(f"(() => {{ const v = {VIDEO}; return {played}; }})()")
        assert before_s < 3
        assert after_s >= 6

        for number in (1, 2):
            assert (await recorder.segment(number, lesson.pieces[number])).status == 201
        await until_true(page, "() => document.querySelectorAll('#gaps span').length === 0")
        assert await page.locator("#remark").inner_text() == ""
        await page.get_by_role("button", name="Назад на 10 секунд").click()
        await until_true(page, f"() => {POSITION} < 3")
        await until_true(page, f"() => {POSITION} > 5 && !{VIDEO}.seeking && {VIDEO}.played.length === 1")
        assert problems == []


async def test_a_replay_goes_on_where_it_was_stopped_and_is_steered_by_the_keyboard(
    tmp_path: Path, founded_school: FoundedSchool, browser: Browser
) -> None:
    async with running_relay(tmp_path / "relay", founded_school) as relay:
        recorder = Recorder(relay, await enrolled(relay.http, relay.url, founded_school.enrol_code))
        await recorder.send_all(footage(20))
        page = await pupil(browser, relay.url + founded_school.class_path, language="en-GB")
        await page.locator("#replays-list .watch").click()
        await until_true(page, PLAYS_RECORDING)
        slider = page.get_by_role("slider", name="Time in the lesson")
        await slider.focus()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowRight")
        assert re.fullmatch(r"2\d seconds of 40 seconds", await page.evaluate(SPOKEN))
        await until_true(page, f"() => {POSITION} >= 20 && document.querySelector('video').readyState > 2")
        await page.get_by_role("button", name="Pause").click()
        assert await page.evaluate("document.querySelector('video').paused") is True
        stopped_s = await page.evaluate(POSITION)

        await page.reload()
        await page.get_by_text("Stopped at 0:2").wait_for()
        await page.locator("#replays-list .watch").click()
        await until_true(page, PLAYS_RECORDING)
        assert await page.evaluate(POSITION) > stopped_s - 2
        await slider.focus()
        await page.keyboard.press("End")
        await until_true(page, "() => document.querySelector('video').ended")
        await page.get_by_role("button", name="Play").click()
        await until_true(page, f"() => {POSITION} < 10 && !document.querySelector('video').paused")
