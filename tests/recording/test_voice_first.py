"""A narrow network that a live lesson and the upload of old ones share: the voice is whole, and the upload goes on."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np

from appliance.capture import cmaf
from appliance.capture.base import AccessUnit, PcmBlock
from appliance.capture.h264 import H264Encoder
from appliance.capture.pictures import new_frame, plane_views
from appliance.capture.segmenter import Segment, Segmenter
from appliance.recordings.lesson_folder import Head, LessonFolder
from tests.appliance.capture.taped import grey, sine
from tests.lossy_link import Bottleneck, Impairment, LossyLink, Narrow
from tests.relay.engines.raw_peer import AUDIO
from tests.running import FoundedSchool, RunningKit, running_relay
from tests.tcp_link import TcpLink
from tests.whep_viewer import whep_viewer

NARROW = Narrow(rate_bps=900_000, queue_octets=32_000)
OLD_S = 40
SEEN_S = 12.0
WITHIN_S = 120.0


def _old_lesson(state: Path) -> int:
    """A lesson of before, on the card: noise, so that it is large. Its size in bytes."""
    segmenter, encoder = Segmenter(grey), H264Encoder(320, 240, 10, 2_000_000)
    frame, dice = new_frame(320, 240), np.random.default_rng(1)
    folder = LessonFolder(state / "recordings" / ("d" * 32))
    an_hour_ago_us = time.time_ns() // 1000 - 3600 * 10**6
    folder.begin(Head(lesson_id="d" * 32, started_unix_us=an_hour_ago_us, started_boot_us=0, boot_id=""))
    made: list[Segment] = []
    for number in range(OLD_S * 10):
        plane_views(frame)[0][...] = dice.integers(0, 255, (240, 320), np.uint8)
        unit = encoder.encode(frame, number * 100_000)
        made += segmenter.picture(AccessUnit(unit.data, unit.key_frame, number * 100_000))
        for block in range(number * 5, number * 5 + 5):
            made += segmenter.sound(PcmBlock(sine(block), block * 20_000))
    for segment in made:
        init = folder.init_for(cmaf.init(segment.sets, segment.sound_config))
        content = cmaf.fragment(folder.next_number, segment.pictures, segment.end_us, segment.sound)
        folder.add(content, init=init, start_us=segment.start_us, end_us=segment.end_us, discontinuity=False)
    folder.end(OLD_S * 10**6)
    return sum(entry.bytes for entry in folder.entries.values())


async def test_the_voice_is_whole_while_an_old_lesson_goes_up_the_same_narrow_way(
    tmp_path: Path, founded_school: FoundedSchool
) -> None:
    waiting = _old_lesson(tmp_path / "kit" / "state")
    async with LossyLink() as udp, TcpLink() as tcp:
        serving = running_relay(tmp_path / "relay", founded_school, advertise=(udp.advertised,))
        async with serving as relay:
            udp.target, tcp.target = ("127.0.0.1", relay.media_port), ("127.0.0.1", relay.port)
            shared = Bottleneck()
            udp.impair(Impairment(delay_s=0.02, narrow=NARROW, shared=shared), Impairment(delay_s=0.02))
            tcp.narrow = NARROW, shared
            kit = RunningKit(tmp_path / "kit", relay.http, tcp.url, founded_school.enrol_code)
            whep = f"{relay.url}{founded_school.class_path}".replace("/c/", "/whep/")
            try:
                await kit.start()
                await kit.until(lambda status: status["link"]["control"] == "up")
                async with whep_viewer(relay.http, whep, relay.media_port) as viewer:
                    await kit.press("start")
                    await kit.until_state("live")
                    before = tcp.carried
                    await viewer.until_media_s(SEEN_S, WITHIN_S)
                    went_up = tcp.carried - before
                    missing, spoken = viewer.received.missing(AUDIO), viewer.received.packets[AUDIO]
                    assert len(missing) <= len(spoken) // 200, f"{len(missing)} of {len(spoken)} voice packets are lost"
                    assert 100_000 < went_up < waiting, "the upload went on, and was not over"
                    assert (await kit.status())["link"]["reconnects"] == 0
                await kit.hold_to_end()
            finally:
                await kit.program.end(signal.SIGTERM)
