"""Plays the lesson at its own pace, round after round, to a server that takes RTP packets. Not here: encryption."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.fanout.stream import PICTURE_HZ, SECONDS, VOICE_HZ, Kind, Timed

RATES_HZ: Mapping[Kind, int] = {"picture": PICTURE_HZ, "voice": VOICE_HZ}
SSRCS: Mapping[Kind, int] = {"picture": 0x50617274, "voice": 0x50617275}
Send = Callable[[Kind, bytes, bytes], None]


@dataclass
class Feeder:
    """One sender. ``send`` is given the kind, the RTP header and the payload."""

    packets: Sequence[Timed]
    payload_types: Mapping[Kind, int]
    send: Send
    sent: dict[Kind, int] = field(default_factory=lambda: {"picture": 0, "voice": 0})

    async def play(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        begun_s, number = loop.time(), 0
        while True:
            for packet in self.packets:
                wait_s = begun_s + number * SECONDS + packet.at_s - loop.time()
                if wait_s > 0.001:  # epoll's own step
                    await asyncio.sleep(wait_s)
                self._send(packet, number)
            number += 1

    def _send(self, packet: Timed, number: int) -> None:
        kind = packet.kind
        second = self.payload_types[kind] | packet.marker << 7
        ticks = (packet.ticks + number * SECONDS * RATES_HZ[kind]) & 0xFFFFFFFF
        header = struct.pack("!BBHII", 0x80, second, self.sent[kind] & 0xFFFF, ticks, SSRCS[kind])
        self.sent[kind] += 1
        self.send(kind, header, packet.payload)
