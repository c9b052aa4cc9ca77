"""What a viewer gets of what a publisher sends, packet by packet."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from relay.engines.embedded import EmbeddedEngine, channel, srtp
from relay.engines.embedded.dtls import AEAD_AES_128_GCM, AES128_CM_SHA1_80, PROFILES, Profile
from tests.relay.engines.raw_peer import (
    AUDIO,
    DELTA,
    KEY,
    VIDEO,
    Camera,
    Rtp,
    packet_types,
    picture_number,
    raw_publisher,
    raw_viewer,
)
from tests.relay.engines.waiting import until_counted, until_delivery


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_viewer_who_came_first_gets_every_picture_in_order(engine: EmbeddedEngine, profile: Profile) -> None:
    async with raw_viewer(engine, profiles=(profile,)) as viewer, raw_publisher(engine) as publisher:
        camera = Camera()
        sent = [camera.picture() for _ in range(60)]
        for packet in sent:
            publisher.send(packet)
        got = await viewer.take(60)
    assert [packet.payload for packet in got] == [packet.payload for packet in sent]
    assert all(b.sequence == a.sequence + 1 for a, b in itertools.pairwise(got))
    assert all(b.timestamp - a.timestamp == 3000 for a, b in itertools.pairwise(got))
    assert len({packet.ssrc for packet in got}) == 1
    assert all(packet.marker for packet in got)


@pytest.mark.parametrize("offered", [PROFILES, PROFILES[::-1], (AES128_CM_SHA1_80, AEAD_AES_128_GCM)])
async def test_what_is_cheapest_here_is_preferred_of_what_both_ends_know(
    engine: EmbeddedEngine, offered: tuple[Profile, ...]
) -> None:
    async with raw_viewer(engine, profiles=offered) as viewer:
        assert viewer.dtls.keys is not None
        assert viewer.dtls.keys.profile == next(profile for profile in srtp.preferred() if profile in offered)


async def test_voice_is_forwarded_from_the_moment_of_joining(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher, raw_viewer(engine) as viewer:
        for number in range(10):
            publisher.send(Rtp(AUDIO, False, 500 + number, 960 * number, 0x2222, b"opus" + bytes([number])))
        got = await viewer.take(10, AUDIO)
    assert [packet.payload[-1] for packet in got] == list(range(10))


async def test_a_joiner_gets_the_newest_group_of_pictures_first(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher:
        camera = Camera(group=30)
        for _ in range(75):
            publisher.send(camera.picture())
        await until_counted(engine, "packets_received", 75)
        async with raw_viewer(engine) as viewer:
            replayed = await viewer.take(15)
            publisher.send(camera.picture())
            live = await viewer.next_rtp()
    assert [picture_number(packet) for packet in replayed] == list(range(60, 75))
    assert picture_number(live) == 75
    assert live.sequence == replayed[-1].sequence + 1


async def test_the_replayed_pictures_stand_close_before_the_live_edge(engine: EmbeddedEngine) -> None:
    """Or a player would stay a whole group of pictures behind."""
    async with raw_publisher(engine) as publisher:
        camera = Camera(group=60)
        for _ in range(60):
            publisher.send(camera.picture())
        await until_counted(engine, "packets_received", 60)
        async with raw_viewer(engine) as viewer:
            replayed = await viewer.take(60)
            publisher.send(camera.picture())
            live = await viewer.next_rtp()
    steps = [b.timestamp - a.timestamp for a, b in itertools.pairwise(replayed)]
    assert all(0 < step <= 3000 for step in steps)
    assert sum(steps) < 90 * 200  # two seconds of pictures within a fifth of one
    assert live.timestamp - replayed[-1].timestamp == 3000


async def test_a_viewer_starts_at_a_key_frame_and_asks_for_one(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher:
        camera = Camera(pictures=1)  # so that the first picture is no key frame
        publisher.send(camera.picture())
        await until_counted(engine, "packets_received")
        async with raw_viewer(engine) as viewer:
            assert 206 in packet_types(await publisher.next_rtcp(206))
            camera.pictures = 30
            publisher.send(camera.picture())
            first = await viewer.next_rtp()
    assert picture_number(first) == 30


async def test_a_viewer_lives_through_its_publisher_being_replaced(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine, "kit") as first:
        camera = Camera(ssrc=0xAAAA, sequence=65_530, timestamp=2**32 - 6000)
        for _ in range(12):
            first.send(camera.picture())
        before = await viewer.take(12)
        async with raw_publisher(engine, "kit") as second:
            await asyncio.wait_for(first.closed.wait(), 5)
            camera = Camera(ssrc=0xBBBB, sequence=7, timestamp=1)
            for _ in range(12):
                second.send(camera.picture())
            after = await viewer.take(12)
    got = before + after
    assert {packet.ssrc for packet in got} == {before[0].ssrc}
    assert [(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(got)] == [1] * 23
    steps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(got)]
    assert steps[:11] + steps[12:] == [3000] * 22
    assert 0 < steps[11] < 90_000 * 6


async def test_a_publisher_that_starts_its_numbers_anew_leaves_no_hole(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        camera = Camera(group=1)
        for _ in range(3):
            publisher.send(camera.picture())
        camera.sequence += 20_000
        camera.timestamp += 1_000_000_000
        for _ in range(3):
            publisher.send(camera.picture())
        got = await viewer.take(6)
    assert [(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(got)] == [1] * 5
    assert got[3].timestamp - got[2].timestamp & 0xFFFFFFFF < 90_000


@pytest.mark.parametrize(
    ("header", "trailer"),
    [
        pytest.param(
            b"\x90\xea\x00\x05\x00\x00\x00\x09\x00\x00\x11\x11\xbe\xde\x00\x01\x10\xff\x00\x00", b"", id="one-byte"
        ),
        pytest.param(
            b"\x90\xea\x00\x05\x00\x00\x00\x09\x00\x00\x11\x11\x10\x00\x00\x01\x01\x01\xff\x00", b"", id="two-byte"
        ),
        pytest.param(b"\x82\xea\x00\x05\x00\x00\x00\x09\x00\x00\x11\x11" + bytes(8), b"", id="sources"),
        pytest.param(b"\xa0\xea\x00\x05\x00\x00\x00\x09\x00\x00\x11\x11", b"\0\0\x03", id="padding"),
    ],
)
async def test_header_extensions_sources_and_padding_are_left_out(
    engine: EmbeddedEngine, header: bytes, trailer: bytes
) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        publisher.send_raw(header, KEY + b"picture" + trailer)
        got = await viewer.next_rtp()
    assert got.payload == KEY + b"picture"


async def test_a_publisher_that_insists_on_being_dtls_server_is_called(engine: EmbeddedEngine) -> None:
    """FFmpeg's muxer offers a=setup:passive."""
    async with raw_viewer(engine) as viewer, raw_publisher(engine, setup="passive") as publisher:
        publisher.send(Camera().picture())
        assert picture_number(await viewer.next_rtp()) == 0


async def test_ipv6_carries_a_lesson_too() -> None:
    engine = EmbeddedEngine(port=0, advertise=("127.0.0.1", "::1"))
    await engine.start()
    try:
        async with raw_viewer(engine, host="::1") as viewer, raw_publisher(engine) as publisher:
            publisher.send(Camera().picture())
            assert picture_number(await viewer.next_rtp()) == 0
    finally:
        await engine.close()


async def test_two_lessons_do_not_hear_each_other(engine: EmbeddedEngine) -> None:
    async with (
        raw_viewer(engine, "7A") as seven_a,
        raw_viewer(engine, "7B") as seven_b,
        raw_publisher(engine, "one", "7A") as one,
        raw_publisher(engine, "two", "7B") as two,
    ):
        one.send(Rtp(VIDEO, True, 1, 1, 1, KEY + b"for 7A"))
        two.send(Rtp(VIDEO, True, 1, 1, 1, KEY + b"for 7B"))
        assert (await seven_a.next_rtp()).payload == KEY + b"for 7A"
        assert (await seven_b.next_rtp()).payload == KEY + b"for 7B"
        assert seven_a.rtp.empty()
        assert seven_b.rtp.empty()


async def test_a_key_frame_of_many_packets_starts_with_its_first(engine: EmbeddedEngine) -> None:
    """A delimiter or parameter set before the picture belongs to it."""
    parts = [b"\x09\xf0", b"\x67\x42\xe0\x1f", b"\x68\xce", b"\x7c\x85slice", b"\x7c\x45end"]
    async with raw_publisher(engine) as publisher:
        publisher.send(Rtp(VIDEO, True, 9, 0, 1, DELTA))
        for number, part in enumerate(parts):
            publisher.send(Rtp(VIDEO, number == 4, 10 + number, 3000, 1, part))
        await until_counted(engine, "packets_received", 6)
        async with raw_viewer(engine) as viewer:
            got = await viewer.take(5)
    assert [packet.payload for packet in got] == parts
    assert len({packet.timestamp for packet in got}) == 1


async def test_what_a_viewer_sends_as_media_goes_nowhere(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as intruder, raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        intruder.send(Rtp(VIDEO, True, 1, 1, 1, KEY + b"intruder"))
        await until_counted(engine, "rtp_unexpected")
        publisher.send(Camera().picture())
        assert picture_number(await viewer.next_rtp()) == 0


async def test_behind_the_curtain_a_joiner_sees_nothing_of_what_was(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kit stays connected and sends nothing; the last picture is the teacher's, not the joiner's."""
    monkeypatch.setattr(channel, "PICTURE_FRESH_S", 0.5)
    monkeypatch.setattr(channel, "REPLAY_FRESH_S", 0.2)
    async with raw_publisher(engine) as publisher:
        camera = Camera()
        publisher.send(camera.picture())
        await until_delivery(engine, "7B", lambda d: d.picture_fresh)
        await until_delivery(engine, "7B", lambda d: not d.picture_fresh)
        async with raw_viewer(engine) as viewer:
            await publisher.next_rtcp(206)
            assert viewer.rtp.empty()
            camera.pictures = 30
            publisher.send(camera.picture())
            assert picture_number(await viewer.next_rtp()) == 30


async def test_a_publisher_with_rare_key_frames_is_asked_before_they_are_stale(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a joiner always finds a recent one, also with a browser as publisher."""
    monkeypatch.setattr(channel, "KEY_ASK_S", 0.1)
    async with raw_publisher(engine) as publisher:
        publisher.send(Camera().picture())
        await publisher.next_rtcp(206)
