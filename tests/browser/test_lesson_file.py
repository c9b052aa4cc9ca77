"""A lesson as one file in Chromium's own player: its length and its pictures, also over an encoder's restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page

from relay.classroom.links import lesson_link_digest, new_link
from relay.store.keeping import DAY_MS, Keeping
from tests.browser.chromium import blank_page, chromium
from tests.relay.archive.footage import footage
from tests.relay.web.kit_recorder import Recorder
from tests.relay.web.served import LESSON, served

pytestmark = pytest.mark.browser

#: Seek, wait for the picture, and read the number that is drawn into it: bars of dark and light, lowest bit first.
READ_PICTURE = """async (at) => {
  const video = document.querySelector("video");
  if (video.readyState < 1) await new Promise((go) => video.addEventListener("loadedmetadata", go, {once: true}));
  await new Promise((go) => { video.addEventListener("seeked", go, {once: true}); video.currentTime = at; });
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  let number = 0;
  for (let bit = 0; bit < 16; bit += 1) {
    const x = Math.floor((bit + 0.5) * canvas.width / 16);
    if (context.getImageData(x, canvas.height >> 1, 1, 1).data[1] > 125) number += 2 ** bit;
  }
  return [number, canvas.width];
}"""


async def _picture(page: Page, at_s: float) -> tuple[int, int]:
    number, width = await page.evaluate(READ_PICTURE, at_s)
    return int(number), int(width)


async def test_chromium_plays_a_lesson_whose_encoder_began_anew(tmp_path: Path) -> None:
    lesson = footage(6, sizes=((160, 96), (192, 112)), curtain=4)
    async with served(tmp_path) as relay:
        await Recorder(relay, await relay.kit()).send_all(lesson)
        token = new_link()
        expires_ms = relay.clock().unix_ms + DAY_MS
        await Keeping(relay.database, 14).add_link(LESSON, lesson_link_digest(token), expires_ms)
        async with chromium() as browser:
            page = await blank_page(browser)
            await page.goto(f"{relay.url}/l/{token}")
            assert await _picture(page, 1.05) == (10, 160)
            assert await _picture(page, 7.05) == (70, 192)
            assert await _picture(page, 11.09) == (110, 192), "the curtain takes no time"
            assert await _picture(page, 3.05) == (30, 160)
            duration_s = await page.evaluate("document.querySelector('video').duration")
            assert duration_s == pytest.approx(12.04, abs=0.1)
