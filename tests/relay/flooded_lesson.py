"""A lesson on a real relay with a viewer that looks at every packet, in quiet and while strangers flood the relay.

Publisher and viewer are in this process, so that one clock stamps a packet as it leaves and as it arrives; the relay
and the strangers are processes of their own. Nothing is repaired: neither of the two answers or asks for a
retransmission, so what a flood pushes out of a buffer is missing here. Used by ``test_flood.py``, ``bench/flood.py``.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import percentile
from relay.engines.base import Answer
from tests.relay.engines.raw_peer import DELTA, KEY, VIDEO, RawPeer, Rtp, endpoint, fingerprint_of, offer
from tests.running import FoundedSchool, RunningRelay, running_relay

#: What the issue floods with, and how much later than in quiet the lesson may be.
CHECKS_PER_S, POSTS_PER_S = 50_000, 200
MOST_LATER_MS = 50.0

FPS = 30
PACKETS = 6  # a picture's: 1.6 Mb/s
PACKET_BYTES = 1100
KEY_EVERY = 60  # pictures
CONSENT_S = 2.5  # as browsers do
RECEIVE_BYTES = 4 << 20  # a stall of this process is not to look like the relay's loss
ARRIVE_S = 5.0
END_S = 10.0
_STAMP = struct.Struct("!Id")


@dataclass(frozen=True, slots=True)
class Heard:
    """What one stretch of the lesson was for the viewer. Latencies in ms, from leaving the publisher to arrival."""

    sent: int
    missing: int
    latencies_ms: Sequence[float]

    @property
    def p95_ms(self) -> float:
        """What 95 % of the packets stayed within."""
        return percentile(self.latencies_ms, 95) if self.latencies_ms else math.inf


@dataclass
class FloodedLesson:
    """``relay`` has ``publisher`` and ``viewer`` connected; ``heard`` teaches for a while."""

    relay: RunningRelay
    whep_url: str
    publisher: RawPeer
    viewer: RawPeer
    house: str = ""  # what the relay's user fragments begin with, as any viewer learns it
    _sequence: int = 0
    _pictures: int = 0
    _arrived: dict[int, float] = field(default_factory=dict)
    _all_arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _awaited: int = sys.maxsize

    async def heard(self, seconds: float) -> Heard:
        """Teach for ``seconds``, and what of it arrived."""
        self._arrived.clear()
        begun, first = time.monotonic(), self._sequence
        for number in range(round(seconds * FPS)):
            await asyncio.sleep(max(0.0, begun + number / FPS - time.monotonic()))
            self._send_picture()
        sent = self._sequence - first
        await self._until_arrived(sent)
        return Heard(sent, sent - len(self._arrived), list(self._arrived.values()))

    async def turned_away(self) -> float:
        """How many datagrams the kernel kept from the relay."""
        async with self.relay.http.get(f"{self.relay.url}/metrics") as response:
            told = re.search(r"^parta_media_datagrams_turned_away_total (\S+)", await response.text(), re.MULTILINE)
        assert told is not None
        return float(told[1])

    def _send_picture(self) -> None:
        start = KEY if self._pictures % KEY_EVERY == 0 else DELTA
        for index in range(PACKETS):
            marker = index == PACKETS - 1
            stamp = _STAMP.pack(self._sequence, time.monotonic())
            payload = (start if index == 0 else DELTA) + stamp + bytes(PACKET_BYTES)
            timestamp = self._pictures * 90_000 // FPS
            self.publisher.send(Rtp(VIDEO, marker, self._sequence & 0xFFFF, timestamp, 0x1111, payload))
            self._sequence += 1
        self._pictures += 1

    async def stay(self) -> None:
        """Keep both sessions, until cancelled."""
        while True:
            await asyncio.sleep(CONSENT_S)
            self.publisher.check(nominate=False)
            self.viewer.check(nominate=False)

    def arrived(self, packet: Rtp) -> None:
        """The viewer has it."""
        number, left_s = _STAMP.unpack_from(packet.payload, len(DELTA))
        self._arrived.setdefault(number, (time.monotonic() - left_s) * 1000)
        if len(self._arrived) >= self._awaited:
            self._all_arrived.set()

    async def _until_arrived(self, sent: int) -> None:
        """Until all of it has, or what is missing had its time."""
        self._all_arrived.clear()
        self._awaited = sent
        if len(self._arrived) < sent:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_arrived.wait(), ARRIVE_S)
        self._awaited = sys.maxsize


class _Viewer(RawPeer):
    """Stamps what arrives as it does, not when somebody comes to fetch it."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        super().datagram_received(data, addr)
        while not self.rtp.empty():
            self.lesson.arrived(self.rtp.get_nowait())

    lesson: FloodedLesson


@asynccontextmanager
async def flooded_lesson(folder: Path, founded: FoundedSchool) -> AsyncIterator[FloodedLesson]:
    """The relay runs, and the viewer has the lesson."""
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(running_relay(folder, founded))
        publisher, viewer = RawPeer(endpoint()), _Viewer(endpoint())
        whep_url = f"{relay.url}{founded.class_path.replace('/c/', '/whep/')}"
        lesson = viewer.lesson = FloodedLesson(relay, whep_url, publisher, viewer)
        key = {"Authorization": f"Bearer {founded.stream_key}"}
        for peer, url, headers, direction in (
            (publisher, f"{relay.url}/whip", key, "sendonly"),
            (viewer, whep_url, {}, "recvonly"),
        ):
            await peer.open()
            peer.socket.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            stack.callback(peer.socket.close)
            offered = offer(*peer.offer_args, direction=direction)
            headers["Content-Type"] = "application/sdp"
            async with relay.http.post(url, data=offered, headers=headers) as response:
                assert response.status == 201, await response.text()
                sdp = await response.text()
            await peer.connect(Answer(session_id="", sdp=sdp, etag=""), relay.media_port, fingerprint_of(sdp))
        lesson.house = viewer.remote.ufrag[:4]
        async with asyncio.TaskGroup() as tasks:
            staying = tasks.create_task(lesson.stay(), name="consent")
            await lesson.heard(CONSENT_S + 0.5)  # a key frame for the viewer, and a check of each
            yield lesson
            staying.cancel()


@dataclass
class Flood:
    """Strangers at work: how many datagrams or answered requests it was, known once they have ended."""

    sent: int = 0
    per_s: float = 0.0


@asynccontextmanager
async def flood(kind: str, target: str, per_s: float) -> AsyncIterator[Flood]:
    """Strangers flood ``target`` (``strangers.py``) as long as the context is open."""
    reached = Flood()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.relay.strangers", kind, target, str(per_s)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(END_S):
            assert (await process.stdout.readline()).strip() == b"flooding"
        yield reached
        async with asyncio.timeout(END_S):
            output, _ = await process.communicate(b"")
        counted = json.loads(output)
        reached.sent, reached.per_s = counted["sent"], counted["sent"] / counted["seconds"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
