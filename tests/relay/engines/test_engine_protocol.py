"""What ``Engine`` promises, held by every engine that the relay may have: in its process, and in two of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from relay.engines.base import NOBODY, Engine, ViewerPicture
from relay.engines.embedded import EmbeddedEngine, InProcess, rtcp
from relay.engines.workers import WorkerPool
from relay.errors import ChannelBusy, EngineFull, FragmentRejected, OfferRejected, SessionUnknown
from tests.relay.engines.any_engine import publisher_of, viewer_of
from tests.relay.engines.raw_peer import Camera, credentials_of, some_offer
from tests.relay.engines.test_sessions import FRAGMENT
from tests.relay.engines.waiting import until
from tests.running import free_ports

MAX_SESSIONS = 4
WAIT_S = 10.0


@pytest.fixture(params=["in process", "two workers"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    made: Engine
    if request.param == "in process":
        made = InProcess(EmbeddedEngine(port=0, host="127.0.0.1", max_sessions=MAX_SESSIONS))
    else:
        made = WorkerPool(2, port=free_ports(2), host="127.0.0.1", max_sessions=MAX_SESSIONS)
    await made.start()
    yield made
    await made.close()


def told(engine: Engine, channel: str, holds: Callable[[], bool]) -> asyncio.Future[None]:
    """Done when a subscriber hears of a channel while ``holds()``."""
    heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def changed(name: str) -> None:
        if name == channel and not heard.done() and holds():
            heard.set_result(None)

    engine.subscribe(changed)
    return heard


async def test_a_lesson_passes_and_its_delivery_is_told(engine: Engine) -> None:
    live = told(engine, "7B", lambda: engine.delivery("7B").picture_fresh and engine.delivery("7B").viewers == 1)
    async with viewer_of(engine) as viewer, publisher_of(engine) as publisher:
        assert engine.channel_of(viewer.session_id) == engine.channel_of(publisher.session_id) == "7B"
        packet = Camera().picture()
        publisher.send(packet)
        assert (await viewer.next_rtp()).payload == packet.payload
        await asyncio.wait_for(live, WAIT_S)
        assert engine.delivery("7B").publisher == "kit"
        assert engine.delivery("8A") == NOBODY
        gone = told(engine, "7B", lambda: engine.delivery("7B") == NOBODY)
        for peer in (viewer, publisher):
            await engine.end(peer.session_id)
            await asyncio.wait_for(peer.closed.wait(), WAIT_S)
            with pytest.raises(SessionUnknown):
                await engine.end(peer.session_id)
        await asyncio.wait_for(gone, WAIT_S)


async def test_lessons_are_apart(engine: Engine) -> None:
    async with (
        publisher_of(engine, "7B") as first,
        publisher_of(engine, "8A") as second,
        viewer_of(engine, "7B") as mine,
        viewer_of(engine, "8A") as other,
    ):
        first.send(Camera(ssrc=1).picture())
        second.send(other_picture := Camera(ssrc=2, pictures=30).picture())
        assert (await other.next_rtp()).payload == other_picture.payload
        assert (await mine.next_rtp()).payload != other_picture.payload
        assert mine.rtp.empty()
        assert other.rtp.empty()


async def test_what_cannot_be_taken_is_refused_with_its_reason(engine: Engine) -> None:
    with pytest.raises(OfferRejected) as refused:
        await engine.publish("7B", "kit", "v=0\r\n")
    assert 400 <= refused.value.status < 500
    async with publisher_of(engine, name="first"):
        with pytest.raises(ChannelBusy, match="another publisher"):
            await engine.publish("7B", "second", some_offer("sendonly"))
    for _ in range(MAX_SESSIONS - 1):
        await engine.watch("7B", some_offer())
    with pytest.raises(EngineFull):
        await engine.watch("8A", some_offer())
    await engine.publish("7B", "first", some_offer("sendonly"))  # in its own place
    assert engine.delivery("8A") == NOBODY


async def test_the_same_publishers_new_session_ends_its_old_one(engine: Engine) -> None:
    async with publisher_of(engine) as old, publisher_of(engine) as new:
        await asyncio.wait_for(old.closed.wait(), WAIT_S)
        with pytest.raises(SessionUnknown):
            engine.channel_of(old.session_id)
        assert engine.channel_of(new.session_id) == "7B"


async def test_a_session_that_its_peer_left_is_unknown(engine: Engine) -> None:
    async with viewer_of(engine) as viewer:
        gone = told(engine, "7B", lambda: engine.delivery("7B") == NOBODY)
        await until(lambda: engine.delivery("7B").viewers == 1)
        viewer.goodbye()
        await asyncio.wait_for(gone, WAIT_S)
        for ask in (engine.channel_of, engine.etag_of):
            with pytest.raises(SessionUnknown):
                ask(viewer.session_id)
        with pytest.raises(SessionUnknown):
            await engine.end(viewer.session_id)
        with pytest.raises(SessionUnknown):
            await engine.patch(viewer.session_id, "")
        with pytest.raises(SessionUnknown):
            await engine.picture_of(viewer.session_id)


async def test_a_channel_is_closed_whole_and_a_publisher_alone(engine: Engine) -> None:
    async with viewer_of(engine) as viewer, publisher_of(engine) as publisher:
        engine.end_publisher("7B")
        await asyncio.wait_for(publisher.closed.wait(), WAIT_S)
        assert engine.channel_of(viewer.session_id) == "7B"
        engine.close_channel("7B")
        await asyncio.wait_for(viewer.closed.wait(), WAIT_S)
        with pytest.raises(SessionUnknown):
            engine.channel_of(viewer.session_id)
        for nobodys in (engine.close_channel, engine.end_publisher, engine.request_key_frame):
            nobodys("8A")


async def test_a_restart_gives_new_credentials_and_an_etag(engine: Engine) -> None:
    async with viewer_of(engine) as viewer, publisher_of(engine) as publisher:
        before = engine.etag_of(viewer.session_id)
        with pytest.raises(FragmentRejected):
            await engine.patch(viewer.session_id, "not a fragment")
        own = FRAGMENT.format(viewer.local.ufrag, viewer.local.password)
        assert await engine.patch(viewer.session_id, own) is None
        assert engine.etag_of(viewer.session_id) == before
        answer = await engine.patch(viewer.session_id, FRAGMENT.format("fresh", "p" * 24))
        assert answer is not None
        assert engine.etag_of(viewer.session_id) != before
        assert credentials_of(answer).ufrag != viewer.remote.ufrag
        publisher.send(packet := Camera().picture())
        assert (await viewer.next_rtp()).payload == packet.payload


async def test_a_viewer_chooses_its_picture(engine: Engine) -> None:
    async with viewer_of(engine) as viewer, publisher_of(engine) as publisher:
        assert await engine.picture_of(viewer.session_id) == ViewerPicture(chosen="auto", sent="full")
        await engine.choose_picture(viewer.session_id, "voice")
        assert (await engine.picture_of(viewer.session_id)).chosen == "voice"
        with pytest.raises(SessionUnknown):
            await engine.choose_picture(publisher.session_id, "voice")


async def test_a_publisher_is_asked_for_a_key_frame(engine: Engine) -> None:
    async with publisher_of(engine) as publisher:
        publisher.send(Camera().picture())
        await until(lambda: engine.delivery("7B").picture_fresh)
        engine.request_key_frame("7B")
        asked = rtcp.read(await publisher.next_rtcp(rtcp.PSFB))
        assert sum(isinstance(item, rtcp.KeyFrameRequest) for item in asked) == 1


async def test_what_was_counted_is_told(engine: Engine) -> None:
    async with viewer_of(engine, "7B"), viewer_of(engine, "8A"):
        await until(lambda: engine.counters().get("viewers_now") == 2)
        assert engine.counters()["sessions_opened"] == engine.counters()["dtls_established"] == 2


async def test_it_ends_in_order_and_takes_nobody_afterwards(engine: Engine) -> None:
    async with viewer_of(engine) as viewer, publisher_of(engine) as publisher:
        await engine.close()
        for peer in (viewer, publisher):
            await asyncio.wait_for(peer.closed.wait(), WAIT_S)
        with pytest.raises(EngineFull):
            await engine.watch("7B", some_offer())
        await engine.close()
