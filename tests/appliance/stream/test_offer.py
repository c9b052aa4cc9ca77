"""The offer that is POSTed: what RFC 9725 asks of a WHIP client, and only what a passthrough sender serves."""

from __future__ import annotations

import re

import pytest
from aiortc import sdp

from appliance.capture.clock import LessonClock
from appliance.stream.offer import canonical_names
from appliance.stream.queues import PictureQueue, VoiceQueue
from appliance.stream.route import Route
from appliance.stream.session import PublishingSession
from appliance.stream.uplink import Uplink
from tests.appliance.stream.media import LIMITS


@pytest.fixture
async def offer() -> str:
    session = PublishingSession(
        pictures=PictureQueue(),
        voices=VoiceQueue(),
        clock=LessonClock.start(),
        on_picture_lost=lambda: None,
        on_key_frame_left=lambda in_flight_s: None,
        uplink=Uplink(LIMITS),
        on_target=lambda target: None,
        route=Route(sources=("127.0.0.1",), destinations=("127.0.0.1",)),
    )
    try:
        return await session.offer()
    finally:
        await session.close()


def _sections(offer: str) -> dict[str, str]:
    return {section.split()[0]: section for section in offer.split("m=")[1:]}


def test_one_voice_and_one_picture_are_offered_to_send_on_one_transport(offer: str) -> None:
    sections = _sections(offer)
    assert list(sections) == ["audio", "video"]
    assert "a=group:BUNDLE 0 1" in offer
    for section in sections.values():
        assert "a=sendonly" in section
        assert "a=setup:actpass" in section
        assert "a=rtcp-mux\r\na=rtcp-mux-only\r\n" in section
        assert "a=end-of-candidates" in section
    assert len(set(re.findall(r"a=msid:(\S+)", offer))) == 1, "one stream: RFC 9725 §4.4.2"


def test_the_picture_is_h264_constrained_baseline_with_retransmission(offer: str) -> None:
    video = _sections(offer)["video"]
    assert re.findall(r"a=rtpmap:\d+ (\S+)", video) == ["H264/90000", "rtx/90000"]
    assert "packetization-mode=1;profile-level-id=42e01f" in video
    assert re.findall(r"a=rtcp-fb:\d+ (.+?)\r", video) == ["nack", "nack pli", "ccm fir"]


def test_the_voice_is_mono_opus_with_forward_error_correction(offer: str) -> None:
    audio = _sections(offer)["audio"]
    assert re.findall(r"a=rtpmap:\d+ (\S+)", audio) == ["opus/48000/2"]
    assert "useinbandfec=1;stereo=0;sprop-stereo=0" in audio


def test_nothing_is_offered_that_is_not_served(offer: str) -> None:
    for unserved in ("abs-send-time", "ssrc-audio-level", "goog-remb", "transport-cc", "VP8", "PCMU", "sha-512"):
        assert unserved not in offer


def test_a_relay_on_loopback_is_reached_from_loopback_first(offer: str) -> None:
    assert re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+)", offer)[0] == "127.0.0.1"


def test_no_third_party_is_named(offer: str) -> None:
    assert set(re.findall(r" typ (\S+)", offer)) == {"host"}


def test_the_offer_still_parses(offer: str) -> None:
    parsed = sdp.SessionDescription.parse(offer)
    assert [media.kind for media in parsed.media] == ["audio", "video"]
    ssrcs = {description.ssrc for media in parsed.media for description in media.ssrc}
    assert canonical_names(offer).keys() == ssrcs
    assert len(set(canonical_names(offer).values())) == 1
