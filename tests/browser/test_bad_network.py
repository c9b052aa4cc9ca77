"""A lesson over a bad network: kit and pupil both reach the relay's UDP port through a link that loses and fails."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page
from prometheus_client.parser import text_string_to_metric_families

from tests.browser.chromium import pupil, pupil_behind, until_new_frames, until_state, until_true
from tests.lossy_link import Impairment, LossyLink, Narrow, share
from tests.running import FoundedSchool, RunningRelay, RunningSchool, running_school

pytestmark = pytest.mark.browser

STANDSTILL_US = (
    4_000_000  # two key frame intervals: without mending, hardly any key frame of forty packets arrives whole
)
#: The newest picture is of more than a second after the one before.
RARE = """() => {
  const [before, last] = lessonProbe.frames.filter((frame) => frame.capture_us !== null).slice(-2);
  return last !== undefined && last.capture_us - before.capture_us > 1_000_000;
}"""


async def reloads(page: Page) -> bool:
    """Whether the page was loaded anew since ``mark`` was set."""
    return not await page.evaluate("'mark' in globalThis")


async def metrics(relay: RunningRelay) -> dict[str, float]:
    """What the relay tells Prometheus, by name; of those with labels only one."""
    async with relay.http.get(f"{relay.url}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    return {sample.name: sample.value for family in families for sample in family.samples}


async def test_five_percent_loss_each_way_neither_stops_the_picture_nor_reloads_the_page(
    tmp_path: Path, founded_school: FoundedSchool, browser: Browser
) -> None:
    # Scattered loss, and what radio links do besides: delay, later datagrams first, the same one twice.
    link = LossyLink(drop=share(0.05), delay_s=0.01, reorder=share(0.02, seed=2), duplicate=share(0.02, seed=3))
    async with link:
        advertise = (link.advertised,)
        async with running_school(tmp_path, founded_school, advertise=advertise) as school:
            link.target = ("127.0.0.1", school.relay.media_port)
            page = await pupil(browser, school.class_url)
            await page.evaluate("globalThis.mark = true")
            await school.kit.press("start")

            # 300 pictures on one connection: each packet of them has been through two lossy legs.
            pictures = await until_new_frames(page, 300, timeout_s=60)

            # Not a rate: how many pictures a loaded machine decodes says nothing of the network.
            shown_us = [picture["capture_us"] for picture in pictures]
            assert max(later - earlier for earlier, later in itertools.pairwise(shown_us)) < STANDSTILL_US
            assert await page.evaluate("lessonProbe.sessions()") == 1
            stats = await page.evaluate("lessonProbe.inbound('video')")
            assert stats["nackCount"] > 0  # there was loss, and it was asked for
            assert not await reloads(page)

            told = await metrics(school.relay)
            assert told["parta_media_nacks_received_total"] > 0  # the pupil's
            assert told["parta_media_nacks_sent_total"] > 0  # the relay's own, to the kit
            assert told["parta_media_packets_resent_total"] > 0
            assert told["parta_media_packets_recovered_total"] > 0
            assert told["parta_media_bytes_sent_total"] > 100_000
            assert told["parta_media_sessions"] == 2
            assert told["process_cpu_seconds_total"] > 0
            assert {"parta_media_plis_sent_total", "parta_media_packets_lost_total"} <= set(told)


async def test_a_network_that_was_gone_brings_the_lesson_back_by_itself(
    tmp_path: Path, founded_school: FoundedSchool, browser: Browser
) -> None:
    link = LossyLink()
    async with link:
        advertise = (link.advertised,)
        async with running_school(tmp_path, founded_school, advertise=advertise) as school:
            link.target = ("127.0.0.1", school.relay.media_port)
            page = await pupil(browser, school.class_url)
            await page.evaluate("globalThis.mark = true")
            await school.kit.press("start")
            before = await until_new_frames(page)
            await school.kit.until_state("live")

            link.cut()
            await until_state(page, "reconnecting")
            assert (await school.kit.until_state("degraded"))["tally"] == "not_live"
            link.restore()

            await school.kit.until_state("live")
            after = await until_new_frames(page)
            assert after[0]["capture_us"] > before[-1]["capture_us"]
            await until_state(page, "live")
            await until_true(page, "() => document.documentElement.dataset.link === 'up'")
            assert not await reloads(page)


async def test_a_network_that_changes_under_kit_and_pupil_costs_neither_the_lesson_nor_a_reload(
    tmp_path: Path, founded_school: FoundedSchool, browser: Browser
) -> None:
    link = LossyLink()
    async with link, running_school(tmp_path, founded_school, advertise=(link.advertised,)) as school:
        link.target = ("127.0.0.1", school.relay.media_port)
        page = await pupil(browser, school.class_url)
        await page.evaluate("globalThis.mark = true")
        await school.kit.press("start")
        before = await until_new_frames(page)

        link.rebind()  # kit and pupil speak from other addresses now, as after a change of the Wi-Fi

        after = await until_new_frames(page, 30)
        assert after[0]["capture_us"] > before[-1]["capture_us"]
        await until_state(page, "live")
        assert not await reloads(page)


async def test_a_line_of_300_kilobits_keeps_the_voice_and_the_board_and_gets_the_picture_back(
    school: RunningSchool, browser: Browser
) -> None:
    calm = Impairment(delay_s=0.02)
    async with LossyLink(delay_s=0.02) as link:
        page = await pupil_behind(browser, school.class_url, link, school.relay.media_port)
        await school.kit.press("start")
        await until_new_frames(page, 30)

        link.impair(calm, Impairment(delay_s=0.02, narrow=Narrow(rate_bps=300_000)))
        await until_picture(page, "slow")
        notice = page.locator("#notice-title")
        assert await notice.inner_text() == "Медленная сеть: доска раз в две секунды"
        assert await notice.is_visible()
        await until_true(page, RARE)  # until then the line's queue is full of the pictures from before
        heard = await page.evaluate("lessonProbe.inbound('audio')")
        await until_new_frames(page, 2)
        listened = await page.evaluate("lessonProbe.inbound('audio')")
        assert listened["packetsLost"] == heard["packetsLost"]
        assert listened["packetsReceived"] > heard["packetsReceived"]

        link.impair(calm)
        await until_picture(page, "full")
        await until_new_frames(page, 30)
        assert not await notice.is_visible()
        assert await page.evaluate("lessonProbe.sessions()") == 1


async def until_picture(page: Page, sent: str) -> None:
    """Wait until the page knows that the relay sends so much."""
    await until_true(page, "(sent) => document.documentElement.dataset.picture === sent", sent, timeout_s=40)
