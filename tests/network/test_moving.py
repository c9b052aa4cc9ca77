"""A pupil's phone leaves the Wi-Fi in the middle of a lesson: real Chromium, whose address and way really change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import chromium, chromium_path, pupil, until_new_frames, until_state
from tests.network.namespaces import MOBILE, SCHOOL, WIFI, missing, school_and_home
from tests.running import FoundedSchool, RunningRelay, running_school

WHY_NOT = missing()
pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


async def probes(relay: RunningRelay) -> float:
    """How often the relay has asked somebody to prove an address."""
    async with relay.http.get(f"{relay.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return float(next(line for line in lines if line.startswith("parta_media_stun_probes_total")).split()[1])


@pytest.mark.parametrize("before", [True, False], ids=["mobile network is up before", "mobile network comes up after"])
async def test_a_phone_that_leaves_the_wifi_stays_in_the_lesson(
    tmp_path: Path, founded_school: FoundedSchool, before: bool
) -> None:
    with school_and_home() as net:
        if before:
            net.up(MOBILE)
        async with (
            running_school(tmp_path, founded_school, advertise=(SCHOOL,), host=SCHOOL) as school,
            chromium(path=net.at_home(chromium_path(), tmp_path)) as browser,
        ):
            page = await pupil(browser, school.class_url)
            await page.evaluate("globalThis.mark = true")
            await school.kit.press("start")
            seen = await until_new_frames(page, 10)
            await until_state(page, "live")

            net.down(WIFI)
            if not before:
                net.up(MOBILE)
            again = await until_new_frames(page, 20)
            assert again[0]["capture_us"] > seen[-1]["capture_us"]
            await until_state(page, "live")
            assert await page.evaluate("globalThis.mark"), "the page was not loaded anew"
            assert await probes(school.relay) > 0, "its new address had to be proved"
