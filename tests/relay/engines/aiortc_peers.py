"""aiortc as publisher and as viewer: peers that nobody here wrote. The publisher sends a clip that was encoded once."""

from __future__ import annotations

import asyncio
import fractions
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from relay.engines.embedded import EmbeddedEngine

WIDTH, HEIGHT, FPS, GROUP = 320, 240, 30, 15
PICTURE_TIME, VOICE_TIME = fractions.Fraction(1, 90_000), fractions.Fraction(1, 48_000)


@functools.cache
def clip() -> tuple[bytes, ...]:
    """Two seconds of H.264 constrained baseline, one access unit per picture, a key frame every ``GROUP``."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = fractions.Fraction(1, FPS), fractions.Fraction(FPS)
    encoder.gop_size, encoder.bit_rate = GROUP, 600_000
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "repeat-headers=1:scenecut=0"}
    encoder.profile = "Baseline"
    units = []
    noise = np.random.default_rng(1)
    for number in range(2 * FPS):
        planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        planes[20:200, 4 * number : 4 * number + 40] = noise.integers(16, 235, (180, 40))
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        units += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(units + [bytes(packet) for packet in encoder.encode(None)])


@functools.cache
def voice() -> tuple[bytes, ...]:
    """A second of Opus, 20 ms a packet."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.format, encoder.layout = 48_000, "s16", "mono"
    encoder.bit_rate = 24_000
    packets = []
    for number in range(50):
        time = (np.arange(960) + number * 960) / 48_000
        samples = (8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, number * 960
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(packets)


class _Track(MediaStreamTrack):
    """Plays encoded packets in a loop, at their pace."""

    def __init__(self, kind: str, units: tuple[bytes, ...], step: int, base: fractions.Fraction) -> None:
        self.kind = kind
        super().__init__()
        self._units, self._step, self._base = units, step, base
        self._number = 0
        self._begun_s = asyncio.get_running_loop().time()

    async def recv(self) -> av.Packet[av.stream.Stream]:
        if self.readyState != "live":
            raise MediaStreamError
        due_s = self._begun_s + float(self._number * self._step * self._base)
        await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
        packet = av.Packet(self._units[self._number % len(self._units)])
        packet.pts, packet.time_base = self._number * self._step, self._base
        self._number += 1
        return packet


def _peer() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


@asynccontextmanager
async def aiortc_publisher(
    engine: EmbeddedEngine, name: str = "kit", channel: str = "7B"
) -> AsyncIterator[RTCPeerConnection]:
    """A publisher of picture and voice, once its offer is answered."""
    peer = _peer()
    picture = peer.addTransceiver(_Track("video", clip(), 90_000 // FPS, PICTURE_TIME), direction="sendonly")
    peer.addTransceiver(_Track("audio", voice(), 960, VOICE_TIME), direction="sendonly")
    known = RTCRtpSender.getCapabilities("video").codecs
    picture.setCodecPreferences([codec for codec in known if codec.mimeType in ("video/H264", "video/rtx")])
    try:
        await peer.setLocalDescription(await peer.createOffer())
        answer = engine.publish(channel, name, peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        yield peer
    finally:
        await peer.close()


class AiortcViewer:
    """A viewer that decodes. ``pictures`` and ``sounds`` count what was decoded."""

    def __init__(self, peer: RTCPeerConnection) -> None:
        self.peer = peer
        self.counts = {"video": 0, "audio": 0}
        self.times: list[float] = []
        self._news = asyncio.Event()
        self._tasks = [asyncio.create_task(self._follow(r.track)) for r in peer.getReceivers()]

    async def _follow(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                await track.recv()
            except MediaStreamError:
                return
            self.counts[track.kind] += 1
            if track.kind == "video":
                self.times.append(asyncio.get_running_loop().time())
            self._news.set()

    async def more(self, kind: str, count: int, limit_s: float = 10.0) -> None:
        """Wait until ``count`` more were decoded."""
        until = self.counts[kind] + count
        async with asyncio.timeout(limit_s):
            while self.counts[kind] < until:
                self._news.clear()
                await self._news.wait()

    async def close(self) -> None:
        """End the session and the readers."""
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def aiortc_viewer(engine: EmbeddedEngine, channel: str = "7B") -> AsyncIterator[AiortcViewer]:
    """A viewer of picture and voice, once its offer is answered."""
    peer = _peer()
    for kind in ("video", "audio"):
        peer.addTransceiver(kind, direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    answer = engine.watch(channel, peer.localDescription.sdp)
    # Its estimate is of this machine as well: where Python decodes, a busy one looks like a narrow line.
    engine.choose_picture(answer.session_id, "full")
    await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
    viewer = AiortcViewer(peer)
    try:
        yield viewer
    finally:
        await viewer.close()
