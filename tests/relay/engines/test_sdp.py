"""What the relay takes of real and of broken offers, and what it answers.

``offers/`` holds one offer of each kind of peer. Those of aiortc, Chromium and FFmpeg were captured here. Firefox and
Safari are not here: theirs are written after offers that others published, with credentials of our own. Firefox 99's
(the version that all later ones claim to be) after github.com/giongto35/cloud-game/issues/176 (recvonly, with an
``a=ssrc``), github.com/webrtcHacks/adapter/issues/674 (the same) and, for what newer ones offer (103 to 106, AV1, a
bundle-only picture), SDP that is quoted in public tests. Safari 18's after
github.com/awslabs/amazon-kinesis-video-streams-webrtc-sdk-c/pull/1965 (H.265 without parameters, a slash in
``ice-ufrag``), its issue 902 (the numbering of extensions), and github.com/livekit/client-sdk-js/issues/1617 (which
payload types are H.264, and in which mode).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.engines.embedded import agreement, sdp
from relay.engines.embedded.dtls import Fingerprint
from relay.engines.embedded.ice import new_credentials
from relay.errors import FragmentRejected, OfferRejected
from tests.relay.engines.raw_peer import offer

OFFERS = Path(__file__).with_name("offers")
GOOD = offer(new_credentials(), Fingerprint("sha-256", ":".join(["AB"] * 32)))
LOCAL = agreement.Local(
    session_number=1,
    credentials=new_credentials(),
    fingerprint=Fingerprint("sha-256", ":".join(["CD"] * 32)),
    candidates=(agreement.Candidate("203.0.113.7", 8443, 9), agreement.Candidate("2001:db8::7", 8443, 8)),
)
SOURCES: dict[agreement.Kind, agreement.Outgoing] = {
    "video": agreement.Outgoing(11, 12, "name"),
    "audio": agreement.Outgoing(13, 14, "name"),
}


def captured(name: str) -> sdp.Offer:
    return sdp.read_offer((OFFERS / name).read_bytes().decode())


@pytest.mark.parametrize(
    ("name", "lines", "passive"),
    [
        ("aiortc_publish.sdp", [("video", "0", 101, 102, 1), ("audio", "1", 96, None, 1)], False),
        ("chromium_publish.sdp", [("audio", "0", 111, None, 4), ("video", "1", 108, 109, 4)], False),
        ("ffmpeg_publish.sdp", [("audio", "0", 111, None, None), ("video", "1", 106, 105, None)], True),
    ],
)
def test_real_publishers_are_taken(name: str, lines: list[tuple[object, ...]], passive: bool) -> None:
    taken = agreement.agree_to_publish(captured(name))
    assert [(x.kind, x.mid, x.codec.payload_type, x.rtx, x.mid_extension) for x in taken.lines] == lines
    assert taken.peer_is_passive == passive


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("aiortc_watch.sdp", [("video", "0", 101, 102), ("audio", "1", 96, None)]),
        ("chromium_watch.sdp", [("video", "0", 108, 109), ("audio", "1", 111, None)]),
        ("firefox_watch.sdp", [("audio", "0", 109, None), ("video", "1", 126, 127)]),
        ("safari_watch.sdp", [("audio", "0", 111, None), ("video", "1", 98, 99)]),
    ],
)
def test_real_viewers_get_constrained_baseline(name: str, lines: list[tuple[object, ...]]) -> None:
    taken = agreement.agree_to_watch(captured(name))
    assert [(x.kind, x.mid, x.codec.payload_type, x.rtx) for x in taken.lines] == lines
    picture = taken.line("video")
    assert picture is not None
    assert picture.codec.parameters["profile-level-id"] == "42e01f"
    assert picture.codec.parameters["packetization-mode"] == "1"


@pytest.mark.parametrize("name", ["firefox_watch.sdp", "safari_watch.sdp"])
def test_the_answer_to_a_browser_that_is_not_here_holds_nothing_that_it_did_not_offer(name: str) -> None:
    """Firefox refuses an answer with another direction, codec or extension than it offered."""
    offered = set((OFFERS / name).read_bytes().decode().split("\r\n"))
    for line in answer_to(name):
        if line.startswith(("a=rtpmap", "a=fmtp", "a=rtcp-fb", "a=mid", "a=extmap")):
            assert line in offered
        assert not line.startswith(("a=recvonly", "a=sendrecv"))


@pytest.mark.parametrize("name", ["chromium_watch.sdp", "firefox_watch.sdp", "safari_watch.sdp"])
def test_browsers_are_told_when_packets_leave_and_tell_what_their_line_bears(name: str) -> None:
    line, told = agreement.agree_to_watch(captured(name)).line("video"), answer_to(name)
    assert line is not None
    assert f"a=extmap:{line.send_time} {agreement.SEND_TIME_EXTENSION}" in told
    assert f"a=rtcp-fb:{line.codec.payload_type} goog-remb" in told


def test_without_rtx_a_time_that_differs_would_be_sealed_under_the_same_number() -> None:
    text = (OFFERS / "chromium_watch.sdp").read_bytes().decode()
    line = agreement.agree_to_watch(sdp.read_offer(text.replace("rtx/90000", "none/90000"))).line("video")
    assert line is not None
    assert (line.rtx, line.send_time) == (None, 0)


@pytest.mark.parametrize("name", ["aiortc_watch.sdp", "chromium_watch.sdp"])
def test_a_publisher_cannot_be_a_viewer_nor_the_other_way_round(name: str) -> None:
    with pytest.raises(OfferRejected, match="sendonly"):
        agreement.agree_to_publish(captured(name))
    with pytest.raises(OfferRejected, match="recvonly"):
        agreement.agree_to_watch(captured(name.replace("watch", "publish")))


def section(kind: str) -> str:
    begin = GOOD.index(f"m={kind}")
    end = GOOD.find("m=", begin + 1)
    return GOOD[begin : end if end > 0 else None]


VIDEO_TWICE = GOOD.replace("BUNDLE v a", "BUNDLE v a w") + section("video").replace("a=mid:v", "a=mid:w")


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        pytest.param("", 400, "not SDP", id="empty"),
        pytest.param("hello", 400, "not SDP", id="prose"),
        pytest.param('{"type": "offer"}', 400, "not SDP", id="json"),
        pytest.param("v=0\r\n", 400, "no media", id="no media"),
        pytest.param("v=0\r\nnonsense\r\n", 400, "type=value", id="line"),
        pytest.param(GOOD + "a=x:" + "y" * 65_536, 400, "64 KiB", id="too large"),
        pytest.param(GOOD.replace("H264", "VP8"), 406, "H.264", id="VP8 only"),
        pytest.param(
            GOOD.replace("packetization-mode=1", "packetization-mode=0"), 406, "packetization-mode", id="mode 0"
        ),
        pytest.param(GOOD.replace("opus", "PCMU"), 406, "Opus", id="no Opus"),
        pytest.param(VIDEO_TWICE, 422, "two video", id="two videos"),
        pytest.param(GOOD.replace("a=ice-ufrag", "a=x"), 422, "ICE", id="no ufrag"),
        pytest.param(GOOD.replace("a=ice-pwd:", "a=ice-pwd:x "), 400, "ICE", id="bad password"),
        pytest.param(GOOD.replace("a=fingerprint", "a=x"), 422, "DTLS", id="no fingerprint"),
        pytest.param(GOOD.replace("AB:AB", "zz"), 400, "fingerprint", id="bad fingerprint"),
        pytest.param(GOOD.replace("sha-256", "md5"), 422, "sha-256", id="unknown digest"),
        pytest.param(GOOD.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), 422, "SAVPF", id="no encryption"),
        pytest.param(GOOD.replace("a=rtcp-mux", "a=x"), 422, "rtcp-mux", id="no rtcp-mux"),
        pytest.param(GOOD.replace("BUNDLE v a", "BUNDLE v"), 422, "bundle", id="no bundle"),
        pytest.param(GOOD.replace("a=mid:a", "a=mid:v"), 400, "a=mid", id="same mid"),
        pytest.param(GOOD.replace("a=recvonly", "a=inactive"), 422, "recvonly", id="inactive"),
        pytest.param(GOOD.replace("a=recvonly", "a=sendonly"), 422, "recvonly", id="wrong way"),
        pytest.param(GOOD.replace("m=audio 9", "m=audio 0"), 422, "switched off", id="port 0"),
        pytest.param(GOOD.replace("m=audio", "m=application"), 422, "only video and audio", id="data"),
        pytest.param(GOOD.replace("a=setup:actpass", "a=setup:holdconn"), 422, "setup", id="setup"),
        pytest.param(GOOD.replace("111", "106"), 400, "share a payload type", id="shared type"),
        pytest.param(GOOD.replace("106", "72"), 422, "RTCP", id="type that looks like RTCP"),
        pytest.param(GOOD.replace("m=video 9", "m=video nine"), 400, "m=", id="port"),
        pytest.param(GOOD.replace(" 106", " 1066"), 400, "payload type", id="type too large"),
        pytest.param(GOOD.replace("H264/90000", "H264/fast"), 400, "rtpmap", id="clock"),
        pytest.param(GOOD + section("audio").replace("a=mid:a", "a=mid:b") * 9, 422, "too many", id="many sections"),
    ],
)
def test_a_broken_offer_is_refused_whole_with_a_reason_of_one_line(text: str, status: int, reason: str) -> None:
    with pytest.raises(OfferRejected, match=reason) as caught:
        agreement.agree_to_watch(sdp.read_offer(text))
    assert caught.value.status == status
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_one_kind_alone_is_taken(kind: str) -> None:
    head = GOOD[: GOOD.index("m=")].replace("BUNDLE v a", f"BUNDLE {kind[0]}")
    taken = agreement.agree_to_watch(sdp.read_offer(head + section(kind)))
    assert [line.kind for line in taken.lines] == [kind]


def test_high_profile_is_taken_where_nothing_else_is_offered() -> None:
    taken = agreement.agree_to_watch(sdp.read_offer(GOOD.replace("42e01f", "640028")))
    assert "profile-level-id=640028" in agreement.write_answer(taken, LOCAL, SOURCES)


def answer_to(name: str) -> list[str]:
    if name.endswith("watch.sdp"):
        text = agreement.write_answer(agreement.agree_to_watch(captured(name)), LOCAL, SOURCES)
    else:
        text = agreement.write_answer(agreement.agree_to_publish(captured(name)), LOCAL)
    assert text.endswith("\r\n")
    return text.split("\r\n")[:-1]


@pytest.mark.parametrize("name", sorted(path.name for path in OFFERS.glob("*.sdp")))
def test_an_answer_holds_what_rfc_9725_asks(name: str) -> None:
    lines = answer_to(name)
    media = [line for line in lines if line.startswith("m=")]
    offered = captured(name)
    assert [line.split()[0][2:] for line in media] == [item.kind for item in offered.media]
    assert [line for line in lines if line.startswith("a=mid:")] == [f"a=mid:{item.mid}" for item in offered.media]
    assert f"a=group:BUNDLE {' '.join(item.mid for item in offered.media)}" in lines
    assert lines.count("a=ice-lite") == 1
    for once_per_line in ("a=rtcp-mux", "a=rtcp-mux-only", "a=end-of-candidates"):
        assert lines.count(once_per_line) == len(media)
    assert lines.count("a=candidate:1 1 udp 9 203.0.113.7 8443 typ host") == len(media)
    assert lines.count("a=candidate:2 1 udp 8 2001:db8::7 8443 typ host") == len(media)
    assert not any(line.startswith("m=") and line.split()[1] == "0" for line in lines)


def test_an_answer_to_a_publisher_only_receives() -> None:
    lines = answer_to("chromium_publish.sdp")
    assert lines.count("a=recvonly") == 2
    assert lines.count("a=setup:passive") == 2
    assert "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid" in lines
    assert sum(line.startswith("a=extmap") for line in lines) == 2
    assert not any(line.startswith("a=ssrc") for line in lines)


def test_an_answer_to_a_viewer_names_its_sources() -> None:
    lines = answer_to("chromium_watch.sdp")
    assert lines.count("a=sendonly") == 2
    assert "a=ssrc-group:FID 11 12" in lines
    assert "a=ssrc:13 cname:name" in lines
    for feedback in ("nack", "nack pli", "ccm fir", "goog-remb"):
        assert f"a=rtcp-fb:108 {feedback}" in lines
    assert not any("transport-cc" in line for line in lines)


def test_a_passive_publisher_gets_an_active_relay() -> None:
    assert answer_to("ffmpeg_publish.sdp").count("a=setup:active") == 2


LINES = st.sampled_from(GOOD.split("\r\n"))
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30)


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=300), st.lists(st.one_of(LINES, WORDS), max_size=60).map("\r\n".join)))
def test_nothing_but_a_rejection_comes_out_of_a_bad_offer(text: str) -> None:
    for body in (text, "v=0\r\n" + text):
        assert status_of(body) in (201, 400, 406, 422)


def status_of(body: str) -> int:
    """What the offer gets."""
    try:
        agreement.write_answer(agreement.agree_to_watch(sdp.read_offer(body)), LOCAL, SOURCES)
    except OfferRejected as error:
        return error.status
    return 201


@settings(max_examples=300)
@given(st.data())
def test_a_good_offer_with_one_line_changed_is_taken_or_rejected(data: st.DataObject) -> None:
    lines = GOOD.split("\r\n")
    place = data.draw(st.integers(0, len(lines) - 1))
    cut = data.draw(st.integers(0, len(lines[place])))
    lines[place] = lines[place][:cut] + data.draw(WORDS)
    with contextlib.suppress(OfferRejected):
        agreement.write_answer(agreement.agree_to_watch(sdp.read_offer("\r\n".join(lines))), LOCAL, SOURCES)


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_nothing_but_a_rejection_comes_out_of_a_bad_fragment(text: str) -> None:
    for body in (text, "a=ice-ufrag:" + text, "a=ice-ufrag:abcd\r\na=ice-pwd:" + text):
        with contextlib.suppress(FragmentRejected):
            sdp.read_fragment(body)
