"""What a flood cannot do: reach the process with checks for unknown users, or push a publisher's packets out."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from aioice import stun

from relay.engines.embedded import EmbeddedEngine, ice
from relay.engines.embedded.doorkeeper import keep_door, turned_away
from tests.relay.engines.raw_peer import Camera, raw_publisher, raw_viewer
from tests.relay.engines.waiting import until, until_delivery

HOUSE = "Ab1+"
WAIT_S = 5.0
MOST_DATAGRAMS = 200_000  # to fill the largest buffer that a kernel gives


def check(username: str | None, *before: tuple[int, bytes]) -> bytes:
    """A binding request; ``before`` its USERNAME are other attributes."""
    attributes = [*before, *([(0x0006, username.encode())] if username is not None else []), (0x0024, bytes(4))]
    body = b"".join(
        kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
        for kind, value in attributes
    )
    return b"\0\1" + len(body).to_bytes(2, "big") + stun.COOKIE.to_bytes(4, "big") + os.urandom(12) + body


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket with a doorkeeper, and one that is connected to it."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as door, socket.socket(family, socket.SOCK_DGRAM) as sender:
        door.bind((request.param, 0))
        door.settimeout(WAIT_S)
        assert keep_door(door, HOUSE)
        sender.connect(door.getsockname())
        yield door, sender


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(check(HOUSE + "xyz:peer"), id="ours"),
        pytest.param(check(HOUSE + "xyz:peer", (0x8022, b"agent"), (0x0025, b"")), id="ours, behind others"),
        pytest.param(check(HOUSE), id="no peer: looked at later"),
        pytest.param(b"\x01\x01" + check(None)[2:], id="an answer, perhaps to our probe"),
        pytest.param(b"\x16\xfe\xfd" + bytes(60), id="DTLS"),
        pytest.param(b"\x80\xc8" + bytes(60), id="RTCP"),
        pytest.param(b"\x7f", id="garbage: counted later"),
    ],
)
def test_the_door_is_open_to_what_may_concern_us(pair: tuple[socket.socket, socket.socket], datagram: bytes) -> None:
    door, sender = pair
    sender.send(datagram)
    assert door.recv(2000) == datagram
    assert turned_away(door) == 0


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(check("Ab1/xyz:peer"), id="another house"),
        pytest.param(check("peer:" + HOUSE), id="the wrong way round"),
        pytest.param(check(None), id="for nobody"),
        pytest.param(check("Ab"), id="a short one"),
        pytest.param(check(HOUSE + "xyz:peer", *[(0x8022, b"agent")] * 8), id="behind too many others"),
        pytest.param(check(None, (0x8022, b"agent"))[:22], id="cut off"),
        pytest.param(check(None)[:20], id="a bare header"),
        pytest.param(check(None)[:4] + bytes(16) + check(HOUSE + ":p")[20:], id="no magic cookie"),
        pytest.param(b"\0\1\0\x08" + check(None)[4:20] + b"\x80\x22\xff\xffabcd", id="an attribute beyond the end"),
    ],
)
def test_the_kernel_turns_away_checks_for_users_that_we_never_named(
    pair: tuple[socket.socket, socket.socket], datagram: bytes
) -> None:
    door, sender = pair
    sender.send(datagram)
    sender.send(b"last")
    assert door.recv(2000) == b"last"
    assert turned_away(door) == 1


async def test_a_strangers_check_is_counted_as_turned_away(engine: EmbeddedEngine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(check("unknown:user"), ("127.0.0.1", engine.port))
        await until(lambda: engine.counters()["datagrams_turned_away"] == 1)
    assert engine.counters()["datagrams_received"] == 0


def test_every_session_of_ours_is_let_in_by_its_name() -> None:
    assert len({ice.new_credentials().ufrag for _ in range(100)}) == 100
    assert {ice.new_credentials().ufrag[:4] for _ in range(100)} == {ice.HOUSE}


async def test_no_flood_pushes_a_publishers_packets_out_of_the_buffer(engine: EmbeddedEngine) -> None:
    """Whatever strangers send: here what the door lets in, until the shared socket takes no more."""
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        publisher.check()
        await until(lambda: len(engine._udp._own) == 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(MOST_DATAGRAMS):  # and the relay does not get to read
                stranger.sendto(b"\x80" * 400, ("127.0.0.1", engine.port))
                if engine._udp.turned_away > 0:
                    break
        assert engine._udp.turned_away > 0
        packet = Camera().picture()
        publisher.send(packet)
        assert (await viewer.next_rtp()).payload == packet.payload


async def test_a_publishers_own_socket_ends_with_its_session(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher:
        publisher.check()
        await until(lambda: len(engine._udp._own) == 1)
        engine.end(publisher.session_id)
        assert not engine._udp._own


async def test_a_publisher_that_moves_takes_its_own_socket_along(engine: EmbeddedEngine) -> None:
    async with raw_viewer(engine) as viewer, raw_publisher(engine) as publisher:
        publisher.check()
        await until(lambda: len(engine._udp._own) == 1)
        (left,) = engine._udp._own
        old = publisher.socket
        await publisher.open()
        old.close()
        publisher.check()
        await until(lambda: bool(engine._udp._own) and left not in engine._udp._own)
        assert len(engine._udp._own) == 1
        packet = Camera().picture()
        publisher.send(packet)
        assert (await viewer.next_rtp()).payload == packet.payload


async def test_a_viewer_shares_the_socket(engine: EmbeddedEngine) -> None:
    """Five hundred of them would be five hundred descriptors, and what they say can be said again."""
    async with raw_viewer(engine) as viewer:
        viewer.check()
        await until_delivery(engine, "7B", lambda delivery: delivery.viewers == 1)
        await until(lambda: engine.counters()["stun_requests"] == 2)
        assert not engine._udp._own


async def test_the_port_is_taken_for_a_second_relay_also_with_sockets_of_publishers(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher:
        publisher.check()
        await until(lambda: len(engine._udp._own) == 1)
        with pytest.raises(OSError, match="in use"):
            await EmbeddedEngine(port=engine.port).start()


async def test_who_writes_from_elsewhere_still_reaches_the_shared_socket(engine: EmbeddedEngine) -> None:
    async with raw_publisher(engine) as publisher:
        publisher.check()
        await until(lambda: len(engine._udp._own) == 1)
        async with raw_viewer(engine):
            await until(lambda: engine.delivery("7B").viewers == 1)
