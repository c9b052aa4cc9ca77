"""Viewers of every make: each gets picture and voice as its own offer has them.

Firefox and Safari are played by their offers (``offers/``, ``test_sdp.py`` says whence) over a peer made by hand: with
their payload types, and with either of the ciphers that such browsers agree on. Chromium and aiortc come themselves,
in ``tests/browser`` and ``test_aiortc.py``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.engines.embedded import EmbeddedEngine, rtcp
from relay.engines.embedded.dtls import PROFILES, Profile
from tests.relay.engines.raw_peer import AUDIO, Camera, RawPeer, Rtp, endpoint, raw_publisher

OFFERS = Path(__file__).with_name("offers")


@asynccontextmanager
async def browser_like(engine: EmbeddedEngine, name: str, profile: Profile) -> AsyncIterator[RawPeer]:
    """A connected viewer that offers as this browser does."""
    peer = RawPeer(endpoint((profile,)))
    text = (OFFERS / f"{name}_watch.sdp").read_bytes().decode()
    text = re.sub(r"a=ice-ufrag:\S+", f"a=ice-ufrag:{peer.local.ufrag}", text)
    text = re.sub(r"a=ice-pwd:\S+", f"a=ice-pwd:{peer.local.password}", text)
    text = re.sub(r"a=fingerprint:\S+ \S+", f"a=fingerprint:sha-256 {peer.endpoint.fingerprint.value}", text)
    await peer.open()
    try:
        await peer.connect(engine.watch("7B", text), engine.port, engine.fingerprint)
        yield peer
    finally:
        peer.socket.close()


@pytest.mark.parametrize("profile", PROFILES, ids=["AES-128-GCM", "AES-256-GCM", "AES-CM"])
@pytest.mark.parametrize(
    ("name", "picture_type", "rtx", "voice_type"), [("firefox", 126, 127, 109), ("safari", 98, 99, 111)]
)
async def test_a_browser_gets_its_own_payload_types_and_its_losses_back(
    engine: EmbeddedEngine, name: str, picture_type: int, rtx: int, voice_type: int, profile: Profile
) -> None:
    async with browser_like(engine, name, profile) as viewer, raw_publisher(engine) as publisher:
        camera = Camera()
        sent = [camera.picture() for _ in range(10)]
        for packet in sent:
            publisher.send(packet)
        got = await viewer.take(10, picture_type)
        assert [packet.payload for packet in got] == [packet.payload for packet in sent]

        publisher.send(Rtp(AUDIO, False, 1, 960, 0x2222, b"opus"))
        assert (await viewer.next_rtp(voice_type)).payload == b"opus"

        viewer.send_rtcp(rtcp.nack(1, got[0].ssrc, [got[4].sequence]))
        assert (await viewer.next_rtp(rtx)).payload[2:] == sent[4].payload
