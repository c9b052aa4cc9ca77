"""The whole way with aiortc at both ends, on a good network and on bad ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.engines.embedded import EmbeddedEngine
from tests.lossy_link import Impairment, LossyLink, every, share
from tests.relay.engines.aiortc_peers import FPS, aiortc_publisher, aiortc_viewer
from tests.relay.engines.waiting import until_delivery


@pytest.fixture
async def link() -> AsyncIterator[LossyLink]:
    async with LossyLink() as opened:
        yield opened


@pytest.fixture
async def behind(link: LossyLink) -> AsyncIterator[EmbeddedEngine]:
    """An engine that everybody reaches through the link only."""
    engine = EmbeddedEngine(port=0, advertise=(link.advertised,))
    await engine.start()
    link.target = ("127.0.0.1", engine.port)
    yield engine
    await engine.close()


async def test_who_came_first_and_who_comes_late_both_see_and_hear(engine: EmbeddedEngine) -> None:
    async with aiortc_viewer(engine) as first, aiortc_publisher(engine):
        await first.more("video", 20)
        await first.more("audio", 20)
        async with aiortc_viewer(engine) as late:
            await late.more("video", 20)
            await late.more("audio", 20)
            await until_delivery(engine, "7B", lambda d: d.on_air and d.viewers_receiving == 2)
    await until_delivery(engine, "7B", lambda d: d.viewers == 0 and d.publisher is None)


async def test_a_viewer_goes_on_when_the_publisher_comes_again(engine: EmbeddedEngine) -> None:
    async with aiortc_viewer(engine) as viewer:
        for _ in range(3):
            async with aiortc_publisher(engine):
                await viewer.more("video", 20)
                await viewer.more("audio", 20)


async def test_a_publisher_that_is_replaced_while_it_sends_is_followed(engine: EmbeddedEngine) -> None:
    async with aiortc_viewer(engine) as viewer, aiortc_publisher(engine):
        await viewer.more("video", 20)
        async with aiortc_publisher(engine):
            await viewer.more("video", 40)
            await viewer.more("audio", 40)


@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(Impairment(drop=every(20)), id="each twentieth lost"),
        pytest.param(Impairment(drop=share(0.05)), id="5 % lost"),
        pytest.param(Impairment(drop=share(0.05, seed=7), delay_s=0.05), id="5 % lost, 100 ms round trip"),
        pytest.param(Impairment(reorder=share(0.05), duplicate=share(0.05, seed=3)), id="reordered and doubled"),
    ],
)
async def test_the_picture_keeps_advancing_on_a_bad_network(
    behind: EmbeddedEngine, link: LossyLink, weather: Impairment
) -> None:
    link.impair(weather)
    async with aiortc_publisher(behind), aiortc_viewer(behind) as viewer:
        await viewer.more("video", 15, limit_s=20)
        for _ in range(5):  # five seconds of pictures, each second of them in time
            await viewer.more("video", FPS, limit_s=4)
        counted = behind.counters()
    assert link.forwarded > 500
    if weather.drop is not Impairment().drop:
        assert link.dropped > 30
        assert counted["packets_recovered"] > 0
        assert counted["packets_resent"] > 0
        assert counted["packets_lost"] <= counted["packets_received"] // 200
    freezes = [b - a for a, b in zip(viewer.times, viewer.times[1:], strict=False)]
    assert max(freezes[15:]) < 2


async def test_both_live_through_a_network_that_is_gone_for_a_while(behind: EmbeddedEngine, link: LossyLink) -> None:
    async with aiortc_publisher(behind), aiortc_viewer(behind) as viewer:
        await viewer.more("video", 20)
        link.cut()
        await until_delivery(behind, "7B", lambda d: d.publisher is None and not d.picture_fresh, limit_s=8)
        link.restore()
        started_s = asyncio.get_running_loop().time()
        await viewer.more("video", 20, limit_s=5)
        assert asyncio.get_running_loop().time() - started_s < 3
        await until_delivery(behind, "7B", lambda d: d.publisher == "kit" and d.picture_fresh)


async def test_both_live_through_a_change_of_their_addresses(behind: EmbeddedEngine, link: LossyLink) -> None:
    """No new offer: the next consent check tells the engine where they are now."""
    async with aiortc_publisher(behind), aiortc_viewer(behind) as viewer:
        await viewer.more("video", 20)
        link.rebind()
        await viewer.more("video", 30, limit_s=20)
        await viewer.more("audio", 30, limit_s=20)
