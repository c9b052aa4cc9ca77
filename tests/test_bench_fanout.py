"""What the duel of ``bench/fanout`` counts and says to servers; the duel itself is ``make bench-fanout``."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fanout.duel import Measured, figures, ratios
from bench.fanout.feeder import Feeder
from bench.fanout.peer import Stream, remote_of
from bench.fanout.signalling import answer
from bench.fanout.stream import PICTURE_HZ, SECONDS, Kind, Timed, kbps, lesson
from relay.engines.embedded.dtls import Fingerprint

# As Janus 1.1.2 writes it, without what a viewer does not read.
JANUS_OFFER = """v=0
o=- 1 1 IN IP4 10.77.0.1
s=Mountpoint 1
t=0 0
a=group:BUNDLE a v
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 10.77.0.1
a=sendonly
a=mid:a
a=rtcp-mux
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 AB:CD
a=setup:actpass
a=rtpmap:111 opus/48000/2
a=candidate:1 1 udp 2015363327 10.77.0.1 20001 typ host
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 10.77.0.1
a=sendonly
a=mid:v
a=rtpmap:96 H264/90000
a=fmtp:96 profile-level-id=42e01f;packetization-mode=1
a=rtcp-fb:96 nack
"""


@pytest.mark.parametrize(
    ("sequences", "gaps"),
    [
        ([5, 6, 7], 0),
        ([5, 8], 2),
        ([5, 8, 7, 6], 0),  # overtaken, or sent again
        ([65534, 65535, 0, 1], 0),
        ([65534, 1], 2),
    ],
)
def test_every_number_that_does_not_come_is_a_gap(sequences: list[int], gaps: int) -> None:
    stream = Stream(highest=sequences[0] - 1)
    for sequence in sequences:
        stream.take(sequence)
    assert (stream.packets, stream.gaps) == (len(sequences), gaps)


def test_the_way_to_a_server_is_its_candidate_at_this_address() -> None:
    remote = remote_of(JANUS_OFFER, "10.77.0.1")
    assert (remote.address, remote.lite) == (("10.77.0.1", 20001), False)
    with pytest.raises(ValueError, match="no way to the server"):
        remote_of(JANUS_OFFER, "10.77.0.2")


def test_an_offer_is_answered_whole_to_receive_with_the_viewers_own_credentials() -> None:
    said = answer(JANUS_OFFER, "mine", "secret", Fingerprint("sha-256", "12:34"))
    audio, video = said.split("m=")[1:]
    for section in (audio, video):
        assert "a=recvonly" in section
        assert "a=setup:active" in section
        assert "a=ice-ufrag:mine" in section
        assert "a=fingerprint:sha-256 12:34" in section
    assert video.startswith("video 9 UDP/TLS/RTP/SAVPF 96 97")
    assert "abcd" not in said
    assert "candidate" not in said


def test_the_lesson_has_the_rate_of_the_duel_and_leaves_in_order(tmp_path: Path) -> None:
    packets = lesson(tmp_path)
    assert 1500 < kbps(packets) < 2000
    times = [packet.at_s for packet in packets]
    assert times == sorted(times)
    assert times[-1] < SECONDS
    assert sum(packet.marker for packet in packets) == SECONDS * 30
    assert sum(packet.kind == "voice" for packet in packets) == SECONDS * 50


def test_the_second_round_goes_on_in_numbers_and_time() -> None:
    sent: list[tuple[Kind, bytes]] = []
    packet = Timed(0.0, "picture", 0, True, b"x")
    feeder = Feeder([packet], {"picture": 96, "voice": 111}, lambda kind, header, _: sent.append((kind, header)))
    feeder._send(packet, 0)
    feeder._send(packet, 1)
    first, second = (header for _, header in sent)
    assert int.from_bytes(second[2:4], "big") == int.from_bytes(first[2:4], "big") + 1
    assert int.from_bytes(second[4:8], "big") - int.from_bytes(first[4:8], "big") == SECONDS * PICTURE_HZ


def test_a_ratio_is_of_the_same_number_of_viewers_and_the_largest_is_promised() -> None:
    ours = [
        Measured(10, (100.0,), 1e5, 1, 0, 0),
        Measured(100, (50.0,), 1e5, 1, 0, 0),
        Measured(200, (40.0,), 1e5, 1, 0, 0),
    ]
    theirs = [Measured(10, (100.0,), 1e5, 1, 0, 0), Measured(100, (200.0,), 1e5, 1, 0, 0)]
    found = ratios(ours, theirs, "Janus", 0.3)
    assert [(each.median, each.median_at_most) for each in found] == [(1.0, None), (0.25, 0.3)]
    assert figures("Parta", ours)[3].median == pytest.approx(25_000)  # viewers a core, from 200
