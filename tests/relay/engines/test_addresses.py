"""Which addresses peers are told, and that a viewer may leave one address for another in the middle of a lesson."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay.engines.embedded import EmbeddedEngine
from relay.engines.embedded.addresses import candidates
from tests.lossy_link import LossyLink
from tests.relay.engines.raw_peer import Camera, RawPeer, endpoint, offer, raw_publisher, raw_viewer
from tests.relay.engines.waiting import until_counted

BOTH = frozenset({int(socket.AF_INET), int(socket.AF_INET6)})


@asynccontextmanager
async def engine_at(*advertise: str) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine(port=0, advertise=advertise)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


def told(engine: EmbeddedEngine) -> list[tuple[str, int, int]]:
    """Address, port and priority of each candidate in an answer's first m-line."""
    sdp = engine.watch("7B", offer(*RawPeer(endpoint()).offer_args)).sdp
    first = sdp.split("m=")[1]
    found = re.findall(r"a=candidate:\d+ 1 udp (\d+) (\S+) (\d+) typ host", first)
    return [(address, int(port), int(priority)) for priority, address, port in found]


async def test_every_advertised_address_is_told_in_the_order_of_the_configuration() -> None:
    """NAT 1:1: none of these is this machine's; a router brings what is sent to them."""
    async with engine_at("203.0.113.7", "2001:db8::7", "198.51.100.9:18443", "[2001:db8::9]:18443") as engine:
        found = told(engine)
        assert [(address, port) for address, port, _ in found] == [
            ("203.0.113.7", engine.port),
            ("2001:db8::7", engine.port),
            ("198.51.100.9", 18443),
            ("2001:db8::9", 18443),
        ]
    priorities = [priority for *_, priority in found]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == 4


async def test_a_name_is_looked_up_once_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer must not wait for a name server, and one that fails later must not end the lessons."""
    asked: list[str] = []
    resolved = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **more: Any) -> Any:
        asked.append(host)
        return resolved(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with engine_at("localhost") as engine:
        assert {address for address, *_ in told(engine)} <= {"127.0.0.1", "::1"}
        for _ in range(10):
            assert told(engine) == told(engine)
    assert asked == ["localhost"]


async def test_of_a_names_addresses_only_those_are_told_whose_family_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    v4 = (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("192.0.2.7", 8443))
    v6 = (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("2001:db8::7", 8443, 0, 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [v6, v4])
    both = await candidates(("relay.example",), 8443, BOTH)
    assert [candidate.address for candidate in both] == ["2001:db8::7", "192.0.2.7"]
    one = await candidates(("relay.example",), 8443, frozenset({int(socket.AF_INET)}))
    assert [candidate.address for candidate in one] == ["192.0.2.7"]
    with pytest.raises(OSError, match=r"set media\.advertise"):
        await candidates(("relay.example",), 8443, frozenset())


async def test_a_viewer_comes_through_a_router_that_forwards_another_port() -> None:
    async with LossyLink() as router, engine_at(router.advertised) as engine:
        router.target = ("127.0.0.1", engine.port)
        assert [found[:2] for found in told(engine)] == [router.address]
        viewer = RawPeer(endpoint())
        await viewer.open()
        try:
            answer = engine.watch("7B", offer(*viewer.offer_args))
            await viewer.connect(answer, router.address[1], engine.fingerprint)
            async with raw_publisher(engine) as publisher:
                publisher.send(Camera().picture())
                await viewer.next_rtp()
        finally:
            viewer.socket.close()


@pytest.mark.parametrize(("before", "after"), [("127.0.0.1", "::1"), ("::1", "127.0.0.1")], ids=["to IPv6", "to IPv4"])
async def test_a_phone_goes_from_one_family_to_the_other_and_its_streams_go_on(before: str, after: str) -> None:
    """Wi-Fi that has IPv4 alone, and a mobile network that has IPv6."""
    async with (
        engine_at("127.0.0.1", "::1") as engine,
        raw_viewer(engine, host=before) as viewer,
        raw_publisher(engine) as publisher,
    ):
        camera = Camera()
        publisher.send(camera.picture())
        first = await viewer.next_rtp()

        viewer.socket.close()
        viewer.host, viewer.to = after, (after, engine.port)
        await viewer.open()
        viewer.checked.clear()
        viewer.check()
        await asyncio.wait_for(viewer.checked.wait(), 5)
        await until_counted(engine, "stun_probes")  # it had to prove that it is there
        publisher.send(camera.picture())
        second = await viewer.next_rtp()
        assert (second.ssrc, second.sequence) == (first.ssrc, first.sequence + 1)
        assert engine.counters()["sessions_opened"] == 2
