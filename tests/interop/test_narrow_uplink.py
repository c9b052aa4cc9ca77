"""A lesson whose way up narrows and widens again: the real kit and relay, with a link between them that carries less.

The viewer reaches the relay past that link, so what it lacks was lost on the kit's way up. How fast it all goes is
``bench/uplink.py``'s to say; here stands what holds on any machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.lossy_link import Impairment, LossyLink, Narrow
from tests.relay.engines.raw_peer import AUDIO
from tests.running import FoundedSchool, running_school
from tests.whep_viewer import longest_gap_s, whep_viewer

PATH_S = 0.02
NARROW_BPS = 700_000
ONE_KEY_FRAME_S = 2.5  # they are 2 s apart, and the lost picture comes on top: a narrow link has few a second
MOST_KBPS = 1700
SEEN_S = 5.0
WITHIN_S = 60.0


def carrying(rate_bps: float) -> Impairment:
    return Impairment(delay_s=PATH_S, narrow=Narrow(rate_bps=rate_bps, queue_octets=32_000))


def target_bps(status: dict[str, Any]) -> int:
    return 1000 * int(status["link"]["target_kbps"] or 0)


async def test_the_picture_follows_the_link_down_and_up_and_the_voice_stays_whole(
    tmp_path: Path, founded_school: FoundedSchool
) -> None:
    back = Impairment(delay_s=PATH_S)
    async with LossyLink() as link, running_school(tmp_path, founded_school, advertise=(link.advertised,)) as school:
        link.target = ("127.0.0.1", school.relay.media_port)
        link.impair(carrying(4_000_000), back)
        whep = school.class_url.replace("/c/", "/whep/")
        async with whep_viewer(school.relay.http, whep, school.relay.media_port) as viewer:
            await school.kit.press("start")
            await school.kit.until_state("live")
            await viewer.until_media_s(SEEN_S, WITHIN_S)
            wide = len(viewer.received.shown())

            link.impair(carrying(NARROW_BPS), back)
            narrowed = await school.kit.until(lambda status: 0 < target_bps(status) < NARROW_BPS, WITHIN_S)
            await viewer.until_media_s(SEEN_S, WITHIN_S)
            assert len(viewer.received.shown()) > wide, "the picture goes on"
            assert narrowed["link"]["fps"] <= 30

            link.impair(carrying(4_000_000), back)
            await school.kit.until(lambda status: target_bps(status) >= 1000 * 0.9 * MOST_KBPS, WITHIN_S)
            await viewer.until_media_s(SEEN_S, WITHIN_S)

            assert (await school.kit.status())["link"]["reconnects"] == 0
            received = viewer.received
            missing, spoken = received.missing(AUDIO), received.packets[AUDIO]
            assert len(missing) <= len(spoken) // 200, "voice is intact"
            media_s = [picture.media_s for picture in received.shown()]
            waited_s = longest_gap_s(media_s)  # by capture times
            assert waited_s < ONE_KEY_FRAME_S, "no more than one regular key frame was waited for"
