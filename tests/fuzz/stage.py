"""A lesson without sockets and on a clock of its own, for the fuzzer: one publisher, two viewers, everything else real.

Not for tests that ask whether media arrive: those run an engine (``tests/relay/engines``).
"""

from __future__ import annotations

import socket
from typing import cast

from relay.engines.embedded import agreement, dtls, sdp
from relay.engines.embedded.agreement import Agreement
from relay.engines.embedded.burst import Layout
from relay.engines.embedded.channel import Channel
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.demux import Demux
from relay.engines.embedded.ice import Credentials
from relay.engines.embedded.publisher import Publisher
from relay.engines.embedded.rtp import HEADER, SEQUENCE_MASK
from relay.engines.embedded.transport import Generation, Transport
from relay.engines.embedded.udp import Path
from relay.engines.embedded.viewer import Viewer
from tests.relay.engines.raw_peer import endpoint, offer

RELAY, PEER = Credentials("relay123", "relay-password-of-24-char"), Credentials("peer4567", "peer-password-of-24-chars")
ADDRESSES = [("192.0.2.1", 1000 + number) for number in range(8)]


class Wire:
    """Stands where a UDP socket does, and counts what leaves."""

    def __init__(self) -> None:
        self.octets: dict[tuple[str, int], int] = {}

    def sendto(self, data: bytes | memoryview, address: tuple[str, int]) -> int:
        """A datagram leaves."""
        self.octets[address] = self.octets.get(address, 0) + len(data)
        return len(data)

    def getsockopt(self, *_: object) -> int:
        """This one knows no segments."""
        raise OSError


class Ledger:
    """Seals nothing, and raises when one number is to seal two contents: with AES-GCM that gives the key away."""

    tag_bytes = 16

    def __init__(self) -> None:
        self.said: dict[tuple[int, int], bytes] = {}

    def stream(self, ssrc: int) -> Page:
        """The page of one source."""
        return Page(self, ssrc)

    def seal_rtcp(self, packet: bytes) -> bytes:
        """RTCP has a counter of its own, which nobody else sets."""
        return packet


class Page:
    """One source in a ``Ledger``."""

    def __init__(self, ledger: Ledger, ssrc: int) -> None:
        self._said, self._ssrc = ledger.said, ssrc

    def seal(self, header: bytes, payload: bytes, index: int) -> bytes:
        """One packet."""
        assert index & SEQUENCE_MASK == int.from_bytes(header[2:4], "big")
        before = self._said.setdefault((self._ssrc, index), header + payload)
        assert before == header + payload, f"index {index} seals two contents"
        return header + payload + bytes(Ledger.tag_bytes)

    def seal_burst(self, layout: Layout, payload_type: int, shift: int, *, riding: bool = False) -> None:
        """A burst."""
        for first, sequence, timestamp, marker, payload, at, header, body in layout.of(riding=riding):
            index = sequence + shift
            second = marker | payload_type
            HEADER.pack_into(
                layout.buffer, at, first, second, index & SEQUENCE_MASK, timestamp & 0xFFFFFFFF, self._ssrc
            )
            body[:] = self.seal(bytes(header), payload, index)[len(header) :]


def agreed(direction: str, *, rtx: bool = True) -> Agreement:
    """What is taken of a raw peer's offer."""
    read = sdp.read_offer(offer(PEER, endpoint().fingerprint, direction=direction, rtx=rtx, timed=True))
    return agreement.agree_to_publish(read) if direction == "sendonly" else agreement.agree_to_watch(read)


class Lesson:
    """A channel with its people. ``now_s`` is its clock."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.counters = Counters()
        self.wire = Wire()
        self.channel = Channel("7B", self.counters, clock=lambda: self.now_s, ntp=lambda now_s: int(now_s * (1 << 32)))
        taken = agreed("sendonly")
        self.publisher = Publisher("kit", taken, self.channel, self.counters, lambda: None)
        self.channel.publisher = self.publisher
        self.publisher.transport = self._transport(taken, self.publisher, 0)
        self.viewers = [self._viewer(number, rtx=number == 0) for number in range(2)]

    def _viewer(self, number: int, *, rtx: bool) -> Viewer:
        taken = agreed("recvonly", rtx=rtx)
        viewer = Viewer(taken, self.channel, self.counters, lambda: None, self.now_s)
        transport = self._transport(taken, viewer, number + 1)
        viewer.attach(transport)
        self.channel.viewers.add(viewer)
        assert transport.sealer is not None
        viewer.on_connected(transport.sealer, self.now_s)
        return viewer

    def _transport(self, taken: Agreement, user: Publisher | Viewer, number: int) -> Transport:
        transport = Transport(endpoint(), taken, user, self.counters, self.now_s)
        transport.sealer = Ledger()
        transport.path = Path(cast("socket.socket", self.wire), ADDRESSES[number], (), self.counters)
        return transport

    def pass_time(self, passed_s: float) -> None:
        """Let every timer of the engine do its work."""
        self.now_s += passed_s
        while self.channel.work(self.now_s):
            pass
        self.channel.on_fast_tick(self.now_s)
        self.channel.on_slow_tick(self.now_s)
        self.channel.on_report_tick(self.now_s)


class Doorstep:
    """A demultiplexer with one session that waits for its peer, and nobody verified yet."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.wire = Wire()
        self.now_s = 1000.0
        self.demux = Demux(self.counters, lambda: self.now_s)
        taken = agreed("recvonly")
        viewer = Viewer(
            taken, Channel("7B", self.counters, clock=lambda: self.now_s, ntp=int), self.counters, lambda: None, 0.0
        )
        self.transport = Transport(endpoint((dtls.AEAD_AES_128_GCM,)), taken, viewer, self.counters, self.now_s)
        viewer.attach(self.transport)
        self.transport.generations[:] = [Generation(RELAY, PEER, "etag")]
        self.demux.add(self.transport, self.transport.generations[0])

    def receive(self, data: bytes, address: tuple[str, int]) -> None:
        """One datagram from there."""
        self.now_s += 0.01
        self.demux.receive(data, address, (), cast("socket.socket", self.wire))
