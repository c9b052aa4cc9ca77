"""Viewers that are alive but undemanding: they keep consent, report reception, and look at nothing.

A process of its own (``python -m bench.silent_viewers WHEP_URL COUNT``), so that the load's cost is not the relay's.
It prints ``ready`` when every viewer receives, and on end of input one JSON line of what was delivered: packets, and
gaps in the sequence numbers of every stream. Built on aiortc without its receivers: media is neither decrypted nor
decoded, only its clear headers (RFC 3711 §3.1) are read.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from dataclasses import dataclass, field

import aiohttp
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket

from bench.fanout.peer import Stream

READY_S = 60.0  # fifty handshakes on half a core
REPORT_EVERY_S = 1.0


@dataclass
class SilentViewer:
    """One WHEP session."""

    streams: dict[int, Stream] = field(default_factory=dict)
    receiving: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, http: aiohttp.ClientSession, url: str) -> None:
        """Connect; afterwards media is counted."""
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in ("audio", "video"):
            self.peer.addTransceiver(kind, direction="recvonly")
        await self.peer.setLocalDescription(await self.peer.createOffer())
        self.transport = self.peer.getTransceivers()[0].receiver.transport
        self.transport._handle_rtp_data = self._take  # type: ignore[method-assign]
        async with http.post(
            url, data=self.peer.localDescription.sdp, headers={"Content-Type": "application/sdp"}
        ) as response:
            assert response.status == 201, await response.text()
            answer = await response.text()
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await self.receiving.wait()

    async def _take(self, data: bytes, arrival_time_ms: int) -> None:
        sequence, ssrc = struct.unpack_from("!2xH4xL", data)
        stream = self.streams.get(ssrc)
        if stream is None:
            stream = self.streams[ssrc] = Stream(highest=sequence - 1)
        stream.take(sequence)
        self.receiving.set()

    async def report(self) -> None:
        """Send one receiver report on every stream."""
        blocks = [
            RtcpReceiverInfo(
                ssrc=ssrc,
                fraction_lost=0,
                packets_lost=max(0, stream.gaps),
                highest_sequence=stream.highest & 0xFFFFFFFF,
                jitter=0,
                lsr=0,
                dlsr=0,
            )
            for ssrc, stream in self.streams.items()
        ]
        await self.transport._send_rtp(bytes(RtcpRrPacket(ssrc=1, reports=blocks)))


async def _main(url: str, count: int) -> None:
    viewers = [SilentViewer() for _ in range(count)]
    async with aiohttp.ClientSession() as http:
        async with asyncio.timeout(READY_S):
            for viewer in viewers:
                await viewer.open(http, url)
        print("ready", flush=True)
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        while not ended.done():
            for viewer in viewers:
                await viewer.report()
            await asyncio.wait({ended}, timeout=REPORT_EVERY_S)
    streams = [stream for viewer in viewers for stream in viewer.streams.values()]
    print(
        json.dumps(
            {
                "packets": sum(stream.packets for stream in streams),
                "gaps": sum(stream.gaps for stream in streams),
                "streams": len(streams),
            }
        ),
        flush=True,
    )
    await asyncio.gather(*(viewer.peer.close() for viewer in viewers))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
