"""The setup page in Chromium, at the real kit: from the PIN to a checked kit, in both languages, with hand and keys."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from appliance.hw.health import HealthWarning
from appliance.overrides import read_overrides
from appliance.preflight import Name
from appliance.setup.server import PAGE
from tests.appliance.setup.school_kit import PIN, SchoolKit, school_kit
from tests.browser.chromium import DESKTOP, PHONE, chromium

pytestmark = pytest.mark.browser
#: WCAG 2.2: 1.4.3 for text, 1.4.11 for the edges of fields and buttons.
TEXT_CONTRAST, EDGE_CONTRAST = 4.5, 3.0


@dataclass
class Desk:
    """A kit, a browser, and what pages complained about."""

    kit: SchoolKit
    browser: Browser
    complaints: list[str]

    async def page(self, language: str = "en-GB", *, phone: bool = False, dark: bool = False) -> Page:
        size = PHONE if phone else DESKTOP
        context = await self.browser.new_context(
            locale=language,
            viewport=ViewportSize(width=size["width"], height=size["height"]),
            has_touch=phone,
            color_scheme="dark" if dark else "light",
        )
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.note_request(request.url))
        await page.goto(self.kit.url)
        await page.wait_for_selector('body[data-view="outside"]')
        return page

    def note_request(self, url: str) -> None:
        if not url.startswith(f"{self.kit.url}/") or PIN in url:
            self.complaints.append(url)

    async def inside(self, language: str = "en-GB", *, phone: bool = False, dark: bool = False) -> Page:
        page = await self.page(language, phone=phone, dark=dark)
        await page.fill("#pin", PIN)
        await page.keyboard.press("Enter")
        await page.wait_for_selector('body[data-view="inside"]')
        return page


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with school_kit(tmp_path) as kit, chromium() as browser:
        desk = Desk(kit, browser, [])
        yield desk
        assert desk.complaints == []


async def _looks(page: Page) -> None:
    await page.click("#open")
    await page.wait_for_selector("#picture[data-number]")


async def _number(page: Page) -> int:
    return int(await page.get_attribute("#picture", "data-number") or "0")


async def test_from_the_pin_over_a_moving_picture_to_a_kept_frame_and_a_checked_kit(desk: Desk) -> None:
    page = await desk.page()
    await page.fill("#pin", "00000000")
    await page.keyboard.press("Enter")
    await expect(page.locator("#door-said")).to_have_text("That is not this kit’s PIN.")
    await page.fill("#pin", f"{PIN[:4]} {PIN[4:]}")
    await page.click("#door button")
    await expect(page.locator("#state")).to_have_text("No lesson runs. Camera and microphone are closed.")

    await _looks(page)
    await expect(page.locator("#state")).to_contain_text("open for this page")
    first = await _number(page)
    await expect(page.locator("#picture")).not_to_have_attribute("data-number", str(first))
    assert float(await page.text_content("#best") or "0") > 0
    colours = (
        "() => new Set(document.querySelector('#picture').getContext('2d').getImageData(0, 0, 320, 240).data).size"
    )
    assert await page.evaluate(colours) > 20

    await page.fill("#crop-size", "50")
    await page.evaluate("document.querySelector('#stage').scrollIntoView()")
    box = await page.locator("#crop").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 3)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.73, box["y"] + box["height"] * 0.53, steps=4)
    await page.mouse.up()
    await page.click("#crop-save")
    await expect(page.locator("#crop-said")).to_contain_text("Kept.")
    crop = (await asyncio.to_thread(read_overrides, desk.kit.state_dir))["camera"]["crop"]
    assert crop == pytest.approx([0.2, 0.1, 0.5, 0.5], abs=0.02)

    await page.click("#check")
    await expect(page.locator("#findings li")).to_have_count(9, timeout=20_000)
    await expect(page.locator('[data-check="camera"] .mark')).to_have_text("OK")
    await expect(page.locator('[data-check="enrolment"] .mark')).to_have_text("Failed")
    await expect(page.locator('[data-check="enrolment"] .fix')).to_contain_text("Enrol this kit below")
    await page.click('[data-language="ru"]')
    await expect(page.locator('[data-check="camera"] .mark')).to_have_text("Норма")
    await expect(page.locator('[data-check="enrolment"] .fix')).to_contain_text("Подключите прибор")
    await page.click("#open")
    await desk.kit.until_happened("lamp off")


async def test_the_frame_is_moved_by_keys_alone(desk: Desk) -> None:
    page = await desk.inside()
    await _looks(page)
    await page.focus("#crop-size")
    for _ in range(4):
        await page.keyboard.press("PageDown")
    await page.focus("#crop-left")
    await page.keyboard.press("End")
    await page.focus("#crop-save")
    await page.keyboard.press("Enter")
    await expect(page.locator("#crop-said")).to_contain_text("Kept.")
    left, top, width, height = (await asyncio.to_thread(read_overrides, desk.kit.state_dir))["camera"]["crop"]
    assert left == pytest.approx(1 - width)
    assert (top, width) == (0, height)
    assert width < 0.8


async def test_a_start_press_takes_the_camera_and_the_page_says_so(desk: Desk) -> None:
    page = await desk.inside()
    await _looks(page)
    desk.kit.tap("start")
    await expect(page.locator("#look-said")).to_contain_text("Closed: a lesson began")
    await expect(page.locator("#open")).to_have_text("Open camera and microphone")
    await page.click("#open")
    await expect(page.locator("#look-said")).to_contain_text("A lesson runs")


async def test_a_page_that_is_closed_closes_the_camera(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.setup.preview.LEASE_S", 1.0)
    page = await desk.inside()
    await _looks(page)
    await page.close()
    await desk.kit.until_happened("lamp off")


async def test_a_code_is_typed_in_and_the_kit_is_enrolled(desk: Desk) -> None:
    desk.kit.relay.credentials = None
    page = await desk.inside("ru-RU")
    await page.fill("#url", "https://relay.test")
    await page.fill("#code", "ABCD-EFGH")
    await page.keyboard.press("Enter")
    await expect(page.locator("#enrol-said")).to_have_text("Подключено.")
    await expect(page.locator("#at-room")).to_have_text("12")
    assert await page.input_value("#code") == ""
    assert desk.kit.codes == [("https://relay.test", "ABCD-EFGH")]


async def test_who_leaves_is_out_and_a_reload_finds_the_door(desk: Desk) -> None:
    page = await desk.inside()
    await page.click("#leave")
    await page.wait_for_selector('body[data-view="outside"]')
    await page.reload()
    await page.wait_for_selector('body[data-view="outside"]')
    assert await page.is_hidden("#open")


@pytest.mark.parametrize("phone", [False, True])
async def test_the_page_fits_and_everything_in_it_has_a_name(desk: Desk, phone: bool) -> None:
    page = await desk.inside("ru-RU", phone=phone)
    await _looks(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll('button, a, input, canvas, [role=meter]')].filter((e) => !(
          e.textContent.trim() || e.getAttribute('aria-label') || [...(e.labels ?? [])].some((l) => l.innerText.trim())
        )).map((e) => e.outerHTML)"""
    )
    assert nameless == []
    small = await page.evaluate(
        """() => [...document.querySelectorAll('button, a, input')].filter((e) => e.checkVisibility()).filter((e) => {
          const box = e.getBoundingClientRect(); return box.width < 24 || box.height < 24; }).map((e) => e.outerHTML)"""
    )
    assert small == []  # WCAG 2.5.8


def _themes() -> list[dict[str, str]]:
    text = (PAGE / "setup.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]


def _contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_colour_can_be_read_in_daylight_and_in_the_dark() -> None:
    themes = _themes()
    assert len(themes) == 2
    for theme in themes:
        for ink in ("ink", "ink-soft", "good", "bad"):
            for ground in ("card", "desk"):
                assert _contrast(theme[ink], theme[ground]) >= TEXT_CONTRAST, (ink, ground, theme)
        assert _contrast(theme["accent-ink"], theme["accent"]) >= TEXT_CONTRAST
        assert _contrast(theme["ink"], theme["rule"]) >= TEXT_CONTRAST  # the chosen language
        for edge in ("field", "accent"):
            assert _contrast(theme[edge], theme["card"]) >= EDGE_CONTRAST, edge


def test_both_languages_have_words_for_whatever_the_checks_find() -> None:
    words = (PAGE / "words.js").read_text(encoding="utf-8")
    package = PAGE.parent.parent
    sources = "".join(
        (package / name).read_text() for name in ("preflight.py", "preflight_devices.py", "setup/checks.py")
    )
    whys = set(re.findall(r'(?:failed|skipped)\(\s*"?\w+"?,\s*"(\w+)"', sources))
    whys |= set(re.findall(r'\d{3}: \("(\w+)"', sources))
    assert {"storage_full", "kit_unknown", "lesson", "stranger", "uplink_narrow"} <= whys
    for key in (*(f"fix_{why}" for why in whys), *(f"check_{name}" for name in get_args(Name))):
        assert words.count(f"  {key}: ") == 2, key
    for warning in get_args(HealthWarning):
        assert words.count(f"  warn_{warning}: ") == 2
