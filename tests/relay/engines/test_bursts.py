"""How a picture is spread over viewers: cut by the kernel, paced, in turns, never sealed twice under one number."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.engines.embedded import EmbeddedEngine, fanout, rtcp, srtp
from relay.engines.embedded.burst import (
    MOST_PADDING,
    MOST_RUN_BYTES,
    MOST_SEGMENTS,
    Burst,
    Layout,
    Run,
    even_out,
    runs,
)
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.rtp import HEADER, MARKER, PADDED, VERSION, Packet, read
from relay.engines.embedded.udp import Path
from tests.relay.engines.raw_peer import AUDIO, DELTA, Camera, Rtp, raw_publisher, raw_viewer
from tests.relay.engines.waiting import until_counted

TAG_BYTES = 16


# -- cut by the kernel


@given(st.lists(st.integers(min_value=28, max_value=1200), max_size=300))
def test_runs_hold_every_packet_once_and_only_what_the_kernel_can_cut(sizes: list[int]) -> None:
    cut = runs(sizes)
    assert [number for begin, end in cut for number in range(begin, end)] == list(range(len(sizes)))
    for begin, end in cut:
        run = sizes[begin:end]
        assert len(run) <= MOST_SEGMENTS
        assert sum(run) <= MOST_RUN_BYTES
        assert set(run[:-1]) <= {run[0]}
        assert run[-1] <= run[0]


def of_sizes(sizes: list[int]) -> list[Packet]:
    """Packets with payloads of these sizes, that never left yet."""
    return [Packet(number, 0, 0, bytes(size)) for number, size in enumerate(sizes)]


def test_what_a_publisher_cut_a_byte_or_two_apart_leaves_in_one_run() -> None:
    packets = of_sizes([1210, 1210, 1209, 1209, 1208, 300])
    layout = Burst(packets, 0.0).layout(TAG_BYTES)
    assert [run.count for run in layout.runs] == [6]
    assert [packet.padding for packet in packets] == [0, 0, 1, 1, 2, 0]


@given(st.lists(st.integers(min_value=1, max_value=1200), min_size=1, max_size=100))
def test_padding_is_little_and_makes_no_packet_larger_than_its_neighbours(sizes: list[int]) -> None:
    packets = of_sizes(sizes)
    even_out(packets)
    for packet in packets:
        assert packet.padding is not None
        assert 0 <= packet.padding <= MOST_PADDING
        assert len(packet.padded) in sizes


@given(st.lists(st.integers(min_value=1, max_value=60), min_size=1, max_size=20), st.data())
def test_padding_is_decided_once_whatever_a_packet_leaves_with_later(sizes: list[int], data: st.DataObject) -> None:
    packets = of_sizes(sizes)
    Burst(packets, 0.0)
    first = [packet.padded for packet in packets]
    begin = data.draw(st.integers(min_value=0, max_value=len(packets) - 1))
    Burst(packets[begin:], 1.0)
    Burst([packets[begin]], 2.0)
    assert [packet.padded for packet in packets] == first


@given(st.binary(max_size=40), st.integers(min_value=0, max_value=MOST_PADDING))
def test_a_reader_finds_the_payload_in_front_of_the_padding(payload: bytes, padding: int) -> None:
    packet = Packet(7, 90, MARKER, payload, padding)
    first = VERSION | PADDED if padding else VERSION
    assert read(HEADER.pack(first, MARKER | 96, 7, 90, 1) + packet.padded) == (96, MARKER, 7, 90, 1, payload)


def sealed(sizes: list[int]) -> Layout:
    """A layout with bytes of its own in every packet."""
    layout = Burst(of_sizes(sizes), 0.0).layout(TAG_BYTES)
    layout.buffer[:] = random.Random(len(sizes)).randbytes(len(layout.buffer))
    return layout


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two UDP sockets on loopback."""
    with (
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender,
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield sender, receiver


def sent(sender: socket.socket, receiver: socket.socket, layout: Layout, *, segments: bool) -> list[bytes]:
    """What arrives of a burst, with the kernel's cutting or without."""
    path = Path(sender, receiver.getsockname(), (), Counters())
    path._segments = path._segments and segments
    path.send_runs(layout.runs)
    return [receiver.recv(2000) for _ in layout.slots]


@pytest.mark.parametrize(
    "sizes", [[40], [1150] * 5 + [300], [1150, 300, 1150, 1150, 20], list(range(100, 130)), [900] * 70]
)
def test_what_the_kernel_cuts_is_on_the_wire_what_single_sends_are(
    ends: tuple[socket.socket, socket.socket], sizes: list[int]
) -> None:
    layout = sealed(sizes)
    assert sent(*ends, layout, segments=True) == sent(*ends, layout, segments=False)


def test_a_path_that_refuses_to_cut_sends_singly_from_then_on(ends: tuple[socket.socket, socket.socket]) -> None:
    """As a tunnel does whose packets are smaller than ours: EMSGSIZE, which here a buffer beyond all sizes gives."""
    sender, receiver = ends
    counters = Counters()
    path = Path(sender, receiver.getsockname(), (), counters)
    view = memoryview(bytes(80_000))
    path.send_runs([Run(view, 60_000, 2)])
    assert [len(receiver.recv(70_000)) for _ in range(2)] == [60_000, 20_000]
    assert path._segments is False
    assert counters.send_dropped == 0


# -- never twice


@pytest.mark.parametrize("many", [1, fanout.MANY])
@pytest.mark.parametrize("seed", range(4))
async def test_no_number_is_ever_sealed_with_two_contents(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch, seed: int, many: int
) -> None:
    """AES-GCM forgives nothing: one nonce for two contents gives the key's authentication away (RFC 7714 §8.4)."""
    monkeypatch.setattr(fanout, "MANY", many)  # 1: voice rides with pictures
    contents = recorded_seals(monkeypatch)
    hand = random.Random(seed)
    async with raw_publisher(engine) as publisher:
        packets = shaken(Camera(group=20), hand)
        publisher.send(packets[0])
        async with raw_viewer(engine) as first:
            await send_in_parts(engine, publisher, packets[1:60])
            got = await first.take(10)
            async with raw_viewer(engine, rtx=False) as second:
                await send_in_parts(engine, publisher, packets[60:])
                late = await second.take(5)
                for viewer, seen in ((first, got), (second, late)):
                    for _ in range(3):
                        viewer.send_rtcp(rtcp.nack(1, seen[0].ssrc, [packet.sequence for packet in seen]))
                await until_counted(engine, "nacks_received", 6)
    assert len(contents) > 100
    assert any(said[0] & PADDED for each in contents.values() for said in each)
    assert [nonce for nonce, said in contents.items() if len(said) > 1] == []


def recorded_seals(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[bytes]]:
    """Every nonce that media is sealed with from now on, and all the contents that it was used for. A session's random
    salt is in its nonces, so that those of two sessions differ."""
    contents: dict[int, set[bytes]] = {}
    single = srtp._GcmStream.seal

    def recorded(burst: Callable[..., None]) -> Callable[..., None]:
        def seal_burst(
            self: srtp._GcmStream, layout: Layout, payload_type: int, shift: int, *, riding: bool = False
        ) -> None:
            burst(self, layout, payload_type, shift, riding=riding)
            for _, sequence, _, _, payload, _, header, _ in layout.of(riding=riding):
                contents.setdefault(self._iv ^ (sequence + shift), set()).add(bytes(header) + payload)

        return seal_burst

    def seal(self: srtp._GcmStream, header: bytes, payload: bytes, index: int) -> bytes:
        contents.setdefault(self._iv ^ index, set()).add(header + payload)
        return single(self, header, payload, index)

    for kind in (srtp._GcmStream, srtp._SodiumStream):
        monkeypatch.setattr(kind, "seal_burst", recorded(kind.seal_burst))
    monkeypatch.setattr(srtp._GcmStream, "seal", seal)
    return contents


def cut(camera: Camera, hand: random.Random) -> list[Rtp]:
    """A picture in one to four packets of about one size."""
    whole, last = camera.picture(), hand.randrange(4)
    packets = [replace(whole, marker=not last, payload=whole.payload + bytes(hand.randrange(3)))]
    for number in range(1, last + 1):
        payload = DELTA + bytes(44 + hand.randrange(3))
        packets.append(replace(whole, sequence=camera.sequence & 0xFFFF, marker=number == last, payload=payload))
        camera.sequence += 1
    return packets


def said(number: int, hand: random.Random) -> Rtp:
    """A packet of voice, each of another size."""
    return Rtp(AUDIO, False, 500 + number, 960 * number, 0x2222, b"opus" + bytes([number]) * (1 + hand.randrange(60)))


def shaken(camera: Camera, hand: random.Random) -> list[Rtp]:
    """A lesson's packets as a bad network brings them: some late, some twice, some never."""
    packets = [packet for number in range(60) for packet in (*cut(camera, hand), said(number, hand))]
    order = sorted(range(len(packets)), key=lambda number: number + (hand.random() * 8 if number % 20 else 0))
    kept = [number for number in order if hand.random() > 0.05 or number == 0]
    return [packets[number] for number in kept for _ in range(1 + (hand.random() < 0.1))]


async def send_in_parts(engine: EmbeddedEngine, publisher: object, packets: list[Rtp]) -> None:
    """Send, and let the engine take each part before the next: a socket's buffer is no part of this test."""
    for begin in range(0, len(packets), 20):
        part = packets[begin : begin + 20]
        before = engine.counters()["datagrams_received"]
        for packet in part:
            publisher.send(packet)  # type: ignore[attr-defined]
        await until_counted(engine, "datagrams_received", int(before) + len(part))
