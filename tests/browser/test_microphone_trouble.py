"""A microphone that is dead or overdriven: told on the panel, and to the pupil, who would else doubt his own device."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Browser

from appliance.capture.base import SAMPLE_RATE_HZ
from tests.browser.chromium import pupil, until_new_frames, until_true
from tests.running import FoundedSchool, running_school

pytestmark = pytest.mark.browser

TROUBLE_S = 30.0  # longer than each wait below
NOTE = "document.querySelector('#sound-warning').textContent"


def dead_then_overdriven(path: Path) -> Path:
    """A sound file: digital silence, then a voice that beats against the converter's limits."""
    silence = np.zeros(round(8 * SAMPLE_RATE_HZ), np.int16)
    t = np.arange(round(TROUBLE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    overdriven = np.clip(90_000 * np.sin(2 * np.pi * 180 * t), -32_768, 32_767).astype(np.int16)
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE_HZ)
        sound.writeframes(np.concatenate([silence, overdriven]).tobytes())
    return path


async def test_a_dead_and_an_overdriven_microphone_are_told_on_panel_and_page(
    tmp_path: Path, founded_school: FoundedSchool, browser: Browser
) -> None:
    sound = dead_then_overdriven(tmp_path / "trouble.wav")
    async with running_school(tmp_path, founded_school, microphone=f'kind = "file"\nfile = "{sound}"') as school:
        page = await pupil(browser, school.class_url)
        await school.kit.press("start")
        await until_new_frames(page)

        await school.kit.until(lambda seen: seen["sound"] is not None and seen["sound"]["warning"] == "silent")
        await until_true(
            page,
            f"() => {NOTE} === 'Микрофон в классе молчит. Дело не в вашем устройстве: ' + "
            "'учитель видит это на панели.'",
        )
        await school.kit.until(lambda seen: seen["sound"] is not None and seen["sound"]["warning"] == "clipping")
        await until_true(page, f"() => {NOTE}.includes('хрипит')")

        await page.get_by_role("button", name="English").click()
        await until_true(page, f"() => {NOTE}.includes('rattles')")
