"""Pacing: a key frame is spread, a small picture is not held, order is kept, and a full socket is waited for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.stream.pacer import BURST_PACKETS, Pacer

KEY_FRAME_PACKETS = 94  # 120 kB
INTERVAL_US = 200_000  # long, so that a busy machine's delays are small against it


class _Wire:
    """Where packets go, and whether it takes any."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.full = False
        self.looked = asyncio.Event()

    async def send(self, packet: bytes) -> None:
        self.sent.append((asyncio.get_running_loop().time(), packet))

    def blocked(self) -> bool:
        self.looked.set()
        return self.full

    @property
    def lasted_s(self) -> float:
        return self.sent[-1][0] - self.sent[0][0]


@asynccontextmanager
async def _pacing(wire: _Wire) -> AsyncIterator[Pacer]:
    pacer = Pacer(wire.send, blocked=wire.blocked)
    task = asyncio.create_task(pacer.run())
    try:
        async with asyncio.timeout(10):
            yield pacer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _put(pacer: Pacer, packets: int) -> list[bytes]:
    made = [number.to_bytes(4, "big") for number in range(packets)]
    for packet in made:
        pacer.put(packet)
    return made


async def test_a_key_frame_is_spread_over_half_a_frame_interval_at_least() -> None:
    wire = _Wire()
    async with _pacing(wire) as pacer:
        for number in range(40):
            pacer.picture(number * INTERVAL_US)
        made = _put(pacer, KEY_FRAME_PACKETS)
        await pacer.drained()
    assert [packet for _, packet in wire.sent] == made
    assert wire.lasted_s >= INTERVAL_US / 2e6
    largest = max(len(list(burst)) for _, burst in itertools.groupby(wire.sent, key=lambda sent: round(sent[0], 3)))
    assert largest <= KEY_FRAME_PACKETS / 4, "however late a tick was"


async def test_the_spread_follows_the_frame_rate() -> None:
    async with _pacing(_Wire()) as pacer:
        assert 0.5 / 30 <= pacer.spread_s < 1 / 30, "what most cameras give, until it is known"
        for number in range(40):
            pacer.picture(number * 100_000)
        assert 0.05 <= pacer.spread_s < 0.1


async def test_a_camera_that_paused_does_not_stretch_the_next_picture_over_its_pause() -> None:
    pacer = Pacer(_Wire().send, blocked=lambda: False)
    for capture_us in (0, 33_333, 66_666, 20_000_000):
        pacer.picture(capture_us)
    assert pacer.spread_s < 0.1


async def test_a_small_picture_leaves_at_once() -> None:
    wire = _Wire()
    async with _pacing(wire) as pacer:
        _put(pacer, BURST_PACKETS)
        await asyncio.sleep(0)
        assert len(wire.sent) == BURST_PACKETS
        await pacer.drained()


async def test_picture_waits_here_while_the_socket_is_full() -> None:
    wire = _Wire()
    wire.full = True
    async with _pacing(wire) as pacer:
        _put(pacer, 3)
        await wire.looked.wait()
        assert not wire.sent
        wire.full = False
        await pacer.drained()
    assert len(wire.sent) == 3


async def test_on_a_narrow_link_a_picture_takes_the_time_that_the_link_needs() -> None:
    wire = _Wire()
    async with _pacing(wire) as pacer:
        pacer.rate_bps = 32 * KEY_FRAME_PACKETS / 0.2  # packets of four octets: the whole picture in 0.2 s
        made = _put(pacer, KEY_FRAME_PACKETS)
        begun_s = asyncio.get_running_loop().time()
        await pacer.drained()
        assert asyncio.get_running_loop().time() - begun_s >= 0.2, "the next one waits until the link has room"
    assert [packet for _, packet in wire.sent] == made
    halfway = sum(at_s < begun_s + 0.1 for at_s, _ in wire.sent)
    assert halfway <= 0.7 * KEY_FRAME_PACKETS, "evenly, and not first of all"


async def test_two_packets_on_a_narrow_link_leave_apart() -> None:
    wire = _Wire()
    async with _pacing(wire) as pacer:
        pacer.rate_bps = 2 * 32 / 0.2
        _put(pacer, 2)
        await pacer.drained()
    assert wire.lasted_s >= 0.05


async def test_however_narrow_the_link_a_picture_is_not_held_longer_than_the_queue_before_it_allows() -> None:
    wire = _Wire()
    async with _pacing(wire) as pacer:
        pacer.rate_bps = 1.0
        _put(pacer, KEY_FRAME_PACKETS)
        await pacer.drained()
    assert len(wire.sent) == KEY_FRAME_PACKETS
