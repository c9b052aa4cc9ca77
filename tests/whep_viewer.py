"""A pupil's end without a browser: a WHEP session that notes every packet and when it came, and what that amounts to.

It plays nothing and asks for nothing again, so what it lacks never came to the relay. ``Received`` is pure. Who uses
it: the tests of the kit's uplink, and ``bench/uplink.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp

from relay.engines.base import Answer
from relay.engines.embedded import rtcp
from relay.engines.embedded.h264 import starts_key_frame
from tests.relay.engines.raw_peer import AUDIO, VIDEO, RawPeer, Rtp, endpoint, fingerprint_of, offer

ALIVE_EVERY_S = 1.0  # the relay ends a session after 15 s without a check, and counts viewers by their reports
PICTURE_HZ, VOICE_HZ = 90_000, 48_000
_OWN_SSRC = 0x77


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, with its number unwrapped."""

    number: int
    at_s: float
    rtp: Rtp


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that a decoder could show: when it was whole, with all that it builds on; on two clocks."""

    at_s: float
    media_s: float


@dataclass
class Received:
    """What came of each kind, by number; the first of each number counts."""

    packets: dict[int, dict[int, Packet]] = field(default_factory=lambda: {VIDEO: {}, AUDIO: {}})
    _highest: dict[int, int] = field(default_factory=dict)

    def take(self, rtp: Rtp, at_s: float) -> None:
        """Note a packet."""
        highest = self._highest.get(rtp.payload_type, rtp.sequence)
        number = highest + ((rtp.sequence - highest + 0x8000) & 0xFFFF) - 0x8000
        self._highest[rtp.payload_type] = max(highest, number)
        self.packets[rtp.payload_type].setdefault(number, Packet(number, at_s, rtp))

    def missing(self, kind: int) -> list[int]:
        """Numbers that never came."""
        got = self.packets[kind]
        return [number for number in range(min(got), max(got) + 1) if number not in got]

    def unspoken_ms(self) -> float:
        """How much voice the kit never sent, by its timestamps (ms)."""
        ordered = [packet for _, packet in sorted(self.packets[AUDIO].items())]
        steps = [(b.rtp.timestamp - a.rtp.timestamp) / 960 - (b.number - a.number) for a, b in pairwise(ordered)]
        return 20 * sum(steps)

    def voice_delays_s(self) -> list[tuple[float, float]]:
        """Of each voice packet: when it came, and how much later than the promptest of all."""
        spoken = [(packet.at_s, packet.rtp.timestamp / VOICE_HZ) for packet in self.packets[AUDIO].values()]
        promptest_s = min(at_s - media_s for at_s, media_s in spoken)
        return [(at_s, at_s - media_s - promptest_s) for at_s, media_s in spoken]

    def shown(self) -> list[Shown]:
        """The pictures that a decoder shows, in order."""
        found: list[Shown] = []
        ready_s: float | None = None
        before = -1
        for picture in self._pictures():
            key = starts_key_frame(picture[0].rtp.payload)
            whole = picture[-1].rtp.marker and len(picture) == picture[-1].number - picture[0].number + 1
            follows = before < 0 or picture[0].number == before + 1
            before = picture[-1].number
            came_s = max(packet.at_s for packet in picture)
            if whole and key:
                ready_s = max(came_s, found[-1].at_s) if found else came_s
            elif whole and follows and ready_s is not None:
                ready_s = max(ready_s, came_s)
            else:
                ready_s = None
                continue
            found.append(Shown(ready_s, picture[0].rtp.timestamp / PICTURE_HZ))
        return found

    def _pictures(self) -> list[list[Packet]]:
        pictures: list[list[Packet]] = []
        for _, packet in sorted(self.packets[VIDEO].items()):
            if pictures and pictures[-1][0].rtp.timestamp == packet.rtp.timestamp:
                pictures[-1].append(packet)
            else:
                pictures.append([packet])
        return pictures


def longest_gap_s(times_s: Sequence[float]) -> float:
    """The longest time between two neighbours."""
    return max((b - a for a, b in pairwise(times_s)), default=0.0)


@dataclass
class WhepViewer:
    """One viewer. ``received`` grows while it is open."""

    peer: RawPeer
    received: Received = field(default_factory=Received)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Take what comes, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            rtp = await self.peer.rtp.get()
            if rtp.payload_type in self.received.packets:
                self.received.take(rtp, loop.time())
                self.changed.set()

    async def stay_alive(self) -> None:
        """Keep consent, and report, until cancelled."""
        while True:
            self.peer.check(nominate=False)
            newest = [packets[max(packets)] for packets in self.received.packets.values() if packets]
            blocks = [rtcp.ReportBlock(last.rtp.ssrc, 0, 0, last.number & 0xFFFFFFFF, 0, 0, 0) for last in newest]
            self.peer.send_rtcp(rtcp.receiver_report(_OWN_SSRC, blocks))
            await asyncio.sleep(ALIVE_EVERY_S)

    async def until_media_s(self, seconds: float, limit_s: float) -> None:
        """Wait until so much more of the lesson, by its own clock, has come as voice."""
        spoken = self.received.packets[AUDIO]
        begun = max(spoken, default=None)
        async with asyncio.timeout(limit_s):
            while begun is None or max(spoken) - begun < seconds * 50:
                self.changed.clear()
                await self.changed.wait()
                begun = max(spoken, default=None) if begun is None else begun


@asynccontextmanager
async def whep_viewer(http: aiohttp.ClientSession, whep_url: str, media_port: int) -> AsyncIterator[WhepViewer]:
    """A viewer that is connected to the relay's UDP port directly, past any link that stands in front of it."""
    peer = RawPeer(endpoint())
    await peer.open()
    try:
        headers = {"Content-Type": "application/sdp"}
        async with http.post(whep_url, data=offer(*peer.offer_args), headers=headers) as response:
            assert response.status == 201, await response.text()
            sdp = await response.text()
        await peer.connect(Answer(session_id="", sdp=sdp, etag=""), media_port, fingerprint_of(sdp))
        viewer = WhepViewer(peer)
        tasks = [asyncio.create_task(work, name="whep viewer") for work in (viewer.follow(), viewer.stay_alive())]
        try:
            yield viewer
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        peer.socket.close()
