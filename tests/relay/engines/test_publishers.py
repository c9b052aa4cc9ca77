"""Publishers of every make: whatever their payload types, profiles, headers and padding, viewers get one plain stream.

Packet by packet, by a peer made by hand; FFmpeg, Chromium and the kit are in ``tests/interop`` and ``tests/browser``.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from relay.engines.embedded import EmbeddedEngine
from tests.relay.engines.raw_peer import AUDIO, RTX, VIDEO, WAIT_S, Camera, RawPeer, Rtp, raw_publisher, raw_viewer
from tests.relay.engines.waiting import until_counted, until_delivery

PICTURES = 40
ONE_BYTE = b"\xbe\xde\x00\x02\x10a\x22\x01\x02\x03\x00\x00"  # MID, three octets of something, padding
TWO_BYTE = b"\x10\x00\x00\x03\x01\x01a\x20\x00\x30\x05hello"  # also an empty element, and one with a high id
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


@dataclass(frozen=True)
class Make:
    """How a publisher offers and what it puts around a payload."""

    change: Callable[[str], str] = str
    rtx: bool = True
    picture_type: int = VIDEO
    voice_type: int = AUDIO
    extension: bytes = b""
    sources: bytes = b""
    padding: int = 0

    def send(self, peer: RawPeer, packet: Rtp) -> None:
        """Send a packet in this make's way."""
        kind = self.picture_type if packet.payload_type == VIDEO else self.voice_type
        first = 0x80 | bool(self.padding) << 5 | bool(self.extension) << 4 | len(self.sources) // 4
        plain = bytes(replace(packet, payload_type=kind))[1:12]
        trailer = bytes(self.padding - 1) + bytes([self.padding]) if self.padding else b""
        peer.send_raw(bytes([first]) + plain + self.sources + self.extension, packet.payload + trailer)


def typed(video: int, rtx: int, audio: int) -> Callable[[str], str]:
    """Other payload types in the offer."""
    names = {str(VIDEO): str(video), str(RTX): str(rtx), str(AUDIO): str(audio)}

    def change(offer: str) -> str:
        for old in names:
            offer = offer.replace(f":{old} ", f":<{old}> ").replace(f"apt={old}", f"apt=<{old}>")
            offer = offer.replace(f"SAVPF {old}", f"SAVPF <{old}>").replace(f"> {old}\r\n", f"> <{old}>\r\n")
        for old, new in names.items():
            offer = offer.replace(f"<{old}>", new)
        return offer

    return change


def extended(number: int) -> Callable[[str], str]:
    """An offer with the MID header extension under this id, and mixed forms allowed."""
    line = f"a=extmap:{number} {MID}\r\n"
    return lambda offer: offer.replace("a=mid:", line + "a=mid:").replace("t=0 0", "t=0 0\r\na=extmap-allow-mixed")


MAKES = {
    "High profile": Make(change=lambda offer: offer.replace("42e01f", "640028")),
    "odd payload types": Make(change=typed(35, 127, 63), picture_type=35, voice_type=63),
    "RTX": Make(),
    "no RTX": Make(rtx=False),
    "one-byte header extensions": Make(change=extended(1), extension=ONE_BYTE),
    "two-byte header extensions": Make(change=extended(15), extension=TWO_BYTE),
    "contributing sources": Make(sources=struct.pack("!II", 1, 2)),
    "padding": Make(padding=7),
    "all of it": Make(change=extended(1), extension=TWO_BYTE, sources=bytes(4), padding=255),
}


async def both(viewer: RawPeer, count: int) -> list[Rtp]:
    """The next packets of both kinds."""
    async with asyncio.timeout(WAIT_S):
        return [await viewer.rtp.get() for _ in range(count)]


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES.keys())
async def test_every_make_of_publisher_is_forwarded_whole(engine: EmbeddedEngine, make: Make) -> None:
    camera = Camera()
    pictures = [camera.picture() for _ in range(PICTURES)]
    voices = [Rtp(AUDIO, False, 7 + n, 960 * n, 0x2222, b"opus" + bytes([n])) for n in range(PICTURES)]
    async with raw_viewer(engine) as viewer, raw_publisher(engine, rtx=make.rtx, change=make.change) as publisher:
        for picture, voice in zip(pictures, voices, strict=True):
            make.send(publisher, picture)
            make.send(publisher, voice)
        got = await both(viewer, 2 * PICTURES)
    seen, heard = ([packet for packet in got if packet.payload_type == kind] for kind in (VIDEO, AUDIO))
    assert [packet.payload for packet in seen] == [packet.payload for packet in pictures]
    assert [packet.payload for packet in heard] == [packet.payload for packet in voices]
    for stream in (seen, heard):
        assert all(b.sequence == a.sequence + 1 for a, b in itertools.pairwise(stream))
    assert engine.counters()["rtp_unexpected"] == engine.counters()["rtp_malformed"] == 0


def probe(camera: Camera, count: int) -> list[tuple[bytes, bytes]]:
    """Packets of padding alone, with the newest picture's timestamp, as senders that probe their line make them."""
    found = []
    for _ in range(count):
        timestamp = (camera.timestamp - 3000) & 0xFFFFFFFF
        header = struct.pack("!BBHII", 0xA0, VIDEO, camera.sequence & 0xFFFF, timestamp, camera.ssrc)
        found.append((header, bytes(223) + b"\xe0"))
        camera.sequence += 1
    return found


async def test_packets_of_padding_alone_leave_no_hole_for_viewers(engine: EmbeddedEngine) -> None:
    camera = Camera()
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        pictures = []
        for number in range(20):
            pictures.append(camera.picture())
            publisher.send(pictures[-1])
            for header, padding in probe(camera, number % 3):
                publisher.send_raw(header, padding)
        got = await viewer.take(20 + sum(number % 3 for number in range(20)))
        async with raw_viewer(engine) as late:
            again = await late.take(len(got))
    for stream in (got, again):
        assert [packet.payload for packet in stream if packet.payload] == [packet.payload for packet in pictures]
        assert all(b.sequence == a.sequence + 1 for a, b in itertools.pairwise(stream))
        assert all(packet.marker == bool(packet.payload) for packet in stream)
    assert engine.counters()["nacks_sent"] == 0


async def test_padding_alone_is_no_fresh_picture(engine: EmbeddedEngine) -> None:
    """The tally must not say that pupils see something."""
    camera = Camera()
    async with raw_publisher(engine) as publisher:
        publisher.send(camera.picture())
        await until_delivery(engine, "7B", lambda delivery: delivery.picture_fresh)

        async def go_on() -> None:
            while True:
                for header, padding in probe(camera, 1):
                    publisher.send_raw(header, padding)
                await asyncio.sleep(0.05)

        probing = asyncio.create_task(go_on())
        try:
            await until_delivery(engine, "7B", lambda delivery: not delivery.picture_fresh)
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
        assert engine.counters()["packets_received"] > 10


@pytest.mark.parametrize("rtx", [True, False], ids=["RTX", "no RTX"])
async def test_what_is_lost_on_the_way_up_comes_again_in_its_place(engine: EmbeddedEngine, rtx: bool) -> None:
    camera = Camera()
    async with raw_viewer(engine) as viewer, raw_publisher(engine, rtx=rtx) as publisher:
        pictures = [camera.picture() for _ in range(10)]
        for packet in pictures[:4] + pictures[5:]:
            publisher.send(packet)
        await until_counted(engine, "nacks_sent")
        if rtx:
            original = pictures[4].sequence.to_bytes(2, "big")
            publisher.send(replace(pictures[4], payload_type=RTX, ssrc=7, payload=original + pictures[4].payload))
        else:
            publisher.send(pictures[4])
        got = sorted(await viewer.take(10), key=lambda packet: packet.sequence)
    assert [packet.payload for packet in got] == [packet.payload for packet in pictures]
    assert engine.counters()["packets_recovered"] == 1
