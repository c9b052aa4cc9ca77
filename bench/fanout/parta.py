"""Parta's relay as the duel's server: started pinned, fed by a WHIP publisher that sends the lesson as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.fanout.feeder import Feeder
from bench.fanout.server import PINNED, Server
from bench.fanout.stream import Timed
from relay.engines.base import Answer
from tests.relay.engines.raw_peer import AUDIO, VIDEO, RawPeer, endpoint, fingerprint_of, offer
from tests.running import FoundedSchool, Program, running_relay


@asynccontextmanager
async def parta(folder: Path, founded: FoundedSchool, host: str, packets: list[Timed]) -> AsyncIterator[Server]:
    """A relay with a class that watches."""

    async def pinned(program: Program) -> None:
        program.under = PINNED

    async with running_relay(folder, founded, advertise=(host,), host=host, before=pinned) as relay:
        peer = RawPeer(endpoint(), host=host)
        await peer.open()
        try:
            headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {founded.stream_key}"}
            offered = offer(*peer.offer_args, direction="sendonly")
            async with relay.http.post(f"{relay.url}/whip", data=offered, headers=headers) as response:
                assert response.status == 201, await response.text()
                sdp = await response.text()
            await peer.connect(Answer(session_id="", sdp=sdp, etag=""), relay.media_port, fingerprint_of(sdp))
            feeder = Feeder(
                packets, {"picture": VIDEO, "voice": AUDIO}, lambda _, header, payload: peer.send_raw(header, payload)
            )
            url = f"{relay.url}{founded.class_path.replace('/c/', '/whep/')}"
            yield Server("parta", relay.program.pid, url, feeder, lambda: peer.check(nominate=False))
        finally:
            peer.socket.close()
