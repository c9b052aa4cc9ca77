"""The simulated panel's page in a real browser: hands of every kind, words, languages, and nobody else asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import get_args

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from appliance.capture.clock import LessonClock
from appliance.capture.sound_meter import SoundFigures, SoundWarning
from appliance.hw.base import Button, Edge, Face, Fault, LessonFace, LinkFace
from appliance.hw.health import Health, HealthWarning
from appliance.hw.simulated.server import PAGE, PanelServer, SimulatedPanel
from tests.browser.chromium import DESKTOP, PHONE, chromium

pytestmark = pytest.mark.browser

WITHIN_S = 10
LESSON = LessonFace("ab" * 16, LessonClock(0, 1_700_000_000_000_000, boot_us=lambda: 3_725_000_000))
PUPILS = LinkFace(control="up", publisher="up", relay="http://relay.test:8080", class_path="/c/abc", viewers=3)
LIVE = Face(state="live", tally="on_air", lesson=LESSON, link=PUPILS)


def _size(phone: bool) -> ViewportSize:
    size = PHONE if phone else DESKTOP
    return ViewportSize(width=size["width"], height=size["height"])


@dataclass
class Desk:
    """A panel, a browser, and the edges that came in."""

    panel: PanelServer
    url: str
    browser: Browser
    edges: list[tuple[Button, bool]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, edge: Edge) -> None:
        self.edges.append((edge.button, edge.pressed))
        self.changed.set()

    async def until(self, *edges: tuple[Button, bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while len(self.edges) < len(edges):
                self.changed.clear()
                await self.changed.wait()
        assert self.edges == list(edges)

    async def page(self, language: str = "en-GB", *, query: str = "", phone: bool = False, still: bool = False) -> Page:
        context = await self.browser.new_context(
            locale=language,
            viewport=_size(phone),
            reduced_motion="reduce" if still else "no-preference",
            has_touch=phone,
        )
        page = await context.new_page()
        await page.goto(f"{self.url}/{query}")
        await page.wait_for_selector('body[data-state="idle"]')
        return page


@pytest.fixture
async def desk(unused_tcp_port: int) -> AsyncIterator[Desk]:
    take: list[Callable[[Edge], None]] = []
    async with (
        SimulatedPanel("127.0.0.1", unused_tcp_port).open(lambda edge: take[0](edge)) as panel,
        chromium() as browser,
    ):
        desk = Desk(panel, f"http://127.0.0.1:{unused_tcp_port}", browser)
        take.append(desk.take)
        yield desk


async def _says(page: Page, headline: str, sentence: str) -> None:
    # Not wait_for_function: it needs eval, which the page's policy forbids.
    await expect(page.locator("h1")).to_have_text(headline)
    await expect(page.locator("#sentence")).to_have_text(sentence)


async def test_a_mouse_presses_and_releases_and_a_slip_off_the_button_releases_too(desk: Desk) -> None:
    page = await desk.page()
    await page.hover('[data-button="start"]')
    await page.mouse.down()
    await desk.until(("start", True))
    assert "down" in (await page.get_attribute('[data-button="start"]', "class") or "")
    await page.mouse.move(5, 5)
    await page.mouse.up()
    await desk.until(("start", True), ("start", False))


@pytest.mark.parametrize("key", ["Space", "Enter"])
async def test_a_held_key_is_one_press_until_it_is_let_go(desk: Desk, key: str) -> None:
    page = await desk.page()
    await page.focus('[data-button="start"]')
    for _ in range(3):
        await page.keyboard.down(key)  # the second and third are the keyboard's own repeats
    await desk.until(("start", True))
    await page.keyboard.up(key)
    await desk.until(("start", True), ("start", False))


async def test_a_key_that_is_down_when_focus_leaves_is_released(desk: Desk) -> None:
    page = await desk.page()
    await page.focus('[data-button="start"]')
    await page.keyboard.down("Space")
    await page.focus('[data-button="curtain"]')
    await desk.until(("start", True), ("start", False))


async def test_a_finger_taps_and_a_screen_reader_activates(desk: Desk) -> None:
    page = await desk.page(phone=True)
    await page.tap('[data-button="curtain"]')
    await desk.until(("curtain", True), ("curtain", False))
    await page.evaluate("document.querySelector('[data-button=\"still\"]').click()")
    await desk.until(("curtain", True), ("curtain", False), ("still", True), ("still", False))


async def test_a_page_that_is_closed_lets_go(desk: Desk) -> None:
    page = await desk.page()
    await page.hover('[data-button="start"]')
    await page.mouse.down()
    await desk.until(("start", True))
    await page.goto("about:blank")
    await desk.until(("start", True), ("start", False))


async def test_the_state_is_told_in_words(desk: Desk) -> None:
    page = await desk.page()
    desk.panel.show(LIVE)
    await _says(page, "Live", "Pupils see and hear the lesson now.")
    assert await page.text_content("#elapsed time") == "1:02:05"
    assert await page.text_content("#lamp") == "red, steady"
    assert await page.get_attribute("#pupils", "href") == "http://relay.test:8080/c/abc"
    desk.panel.show(replace(LIVE, voiceless=True))
    await _says(page, "Live", "Pupils see the lesson now. This kit has no microphone.")
    desk.panel.show(Face(state="degraded", tally="not_live", lesson=LESSON))
    unseen = "Pupils can’t see it now – reconnecting. It is being recorded: they will see it in the replay."
    await _says(page, "Not live", unseen)
    desk.panel.show(Face(state="curtain", tally="curtain", lesson=LESSON))
    await page.wait_for_selector('[data-button="curtain"][aria-pressed="true"]')
    desk.panel.show(Face(link=LinkFace(control="not_enrolled")))
    await expect(page.locator("#sentence")).to_contain_text("not enrolled")


async def test_the_setup_pages_preview_is_told_as_such_and_not_as_rest(desk: Desk) -> None:
    page = await desk.page()
    desk.panel.show(Face(state="preview", tally="preview"))
    await expect(page.locator("h1")).to_have_text("Being set up")
    await expect(page.locator("#sentence")).to_contain_text("open for the setup page")
    assert await page.text_content("#lamp") == "amber, blinking twice and again"


async def test_a_fault_says_what_to_do(desk: Desk) -> None:
    page = await desk.page()
    desk.panel.show(Face(state="fault", tally="fault", lesson=LESSON, fault=Fault("camera", "plug the camera in")))
    await page.wait_for_selector("#trouble:not([hidden])")
    assert await page.text_content("#trouble") == "plug the camera in"


@pytest.mark.parametrize(("warning", "says"), [("silent", "dead silent"), ("clipping", "overdriven")])
async def test_a_bad_microphone_is_told_with_its_level(desk: Desk, warning: SoundWarning, says: str) -> None:
    page = await desk.page()
    desk.panel.show(replace(LIVE, sound=SoundFigures(-31.4, -20.0, warning, "USB Audio")))
    await expect(page.locator("#trouble")).to_contain_text(says)
    assert await page.text_content("#microphone") == "-31.4 dBFS"
    desk.panel.show(LIVE)
    await page.wait_for_selector("#trouble", state="hidden")
    assert await page.text_content("#microphone") == "—"


async def test_the_hold_counts_down_on_the_ring_and_in_words(desk: Desk) -> None:
    page = await desk.page()
    desk.panel.show(Face(state="live", tally="on_air", hold=0.4, hold_for="end", lesson=LESSON))
    await page.wait_for_selector("body.holding")
    assert await page.eval_on_selector(".ring .left", "ring => ring.style.strokeDashoffset") == "0.4"
    assert (await page.text_content("#sentence") or "").startswith("The lesson ends")
    desk.panel.show(LIVE)
    await page.wait_for_selector("body:not(.holding)")


@pytest.mark.parametrize(
    ("language", "said"), [("en-GB", "The power supply gives too little."), ("ru-RU", "Блок питания не справляется.")]
)
async def test_what_ails_the_board_is_said_in_plain_words_until_it_is_over(
    desk: Desk, language: str, said: str
) -> None:
    page = await desk.page(language)
    assert await page.is_hidden("#warnings")
    desk.panel.show(replace(LIVE, health=Health(throttled=("under_voltage",), wifi_dbm=-80)))
    await expect(page.locator("#warnings li")).to_have_count(2)
    assert (await page.locator("#warnings li").first.text_content() or "").startswith(said)
    desk.panel.show(LIVE)
    await page.wait_for_selector("#warnings", state="hidden")


@pytest.mark.parametrize(
    ("language", "said", "lamp"),
    [
        ("en-GB", "The card’s file was not taken over", "white, a short flash now and then"),
        ("ru-RU", "Файл на карте не применён", "белый, изредка вспыхивает"),
    ],
)
async def test_a_mistake_on_the_card_is_told_with_its_reason_and_the_lamp_shows_it(
    desk: Desk, language: str, said: str, lamp: str
) -> None:
    page = await desk.page(language)
    assert await page.is_hidden("#notice")
    desk.panel.show(Face(notice=Fault("boot_file_refused", "parta.toml: camera.fsp: unknown key")))
    await expect(page.locator("#notice")).to_contain_text(said)
    await expect(page.locator("#notice")).to_contain_text("camera.fsp: unknown key")
    await expect(page.locator("#lamp")).to_have_text(lamp)
    desk.panel.show(replace(LIVE, notice=Fault("of_a_newer_kit", "look here")))
    await expect(page.locator("#notice")).to_contain_text("look here")
    await expect(page.locator("#lamp")).not_to_have_text(lamp)


def test_the_page_has_words_in_both_languages_for_every_warning() -> None:
    words = (PAGE / "words.js").read_text(encoding="utf-8")
    for warning in get_args(HealthWarning):
        assert words.count(f"  warn_{warning}: ") == 2


async def test_russian_by_the_browser_and_english_by_the_switch(desk: Desk) -> None:
    page = await desk.page("ru-RU")
    desk.panel.show(LIVE)
    await _says(page, "В эфире", "Ученики видят и слышат урок.")
    assert await page.get_attribute("html", "lang") == "ru"
    await page.click('[data-language="en"]')
    await _says(page, "Live", "Pupils see and hear the lesson now.")
    await page.reload()
    await _says(page, "Live", "Pupils see and hear the lesson now.")


async def test_the_lamp_moves_as_the_kit_says_and_stands_still_for_who_asks(desk: Desk) -> None:
    moving, still = await desk.page(), await desk.page(still=True)
    desk.panel.show(Face(state="degraded", tally="not_live", lesson=LESSON))
    count = "[...document.querySelectorAll('.lamp [data-colour]')].flatMap(g => g.getAnimations()).length"
    await moving.wait_for_selector('body[data-state="degraded"]')
    assert await moving.evaluate(count) == 3
    await still.wait_for_selector("body.halves")
    assert await still.evaluate(count) == 0
    lit = "[...document.querySelectorAll('.lamp [data-colour]')].filter(g => g.style.opacity === '1').length"
    assert await still.evaluate(lit) == 2


async def test_the_page_says_when_the_kit_is_off_and_finds_it_again(unused_tcp_port: int) -> None:
    address = ("127.0.0.1", unused_tcp_port)
    async with chromium() as browser:
        page = await browser.new_page()
        async with SimulatedPanel(*address).open(lambda _: None):
            await page.goto(f"http://127.0.0.1:{unused_tcp_port}/")
            await page.wait_for_selector('body[data-state="idle"]')
        await page.wait_for_selector('body[data-state="off"]')
        async with SimulatedPanel(*address).open(lambda _: None):
            await page.wait_for_selector('body[data-state="idle"]')


@pytest.mark.parametrize("phone", [False, True])
async def test_the_page_asks_only_its_own_origin_keeps_no_cookie_and_fits(desk: Desk, phone: bool) -> None:
    context = await desk.browser.new_context(viewport=_size(phone))
    page = await context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(desk.url)
    await page.wait_for_selector('body[data-state="idle"]')
    desk.panel.show(LIVE)
    await page.wait_for_selector('body[data-state="live"]')
    assert asked
    assert all(url.startswith(f"{desk.url}/") for url in asked)
    assert complaints == []
    assert await context.cookies() == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
