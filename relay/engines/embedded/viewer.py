"""A viewer's session: its outlets, what it reports, and what it asks for.

It belongs to the channel and outlives publishers. Not here: ICE, DTLS and SRTP (``transport.py``), and the packets
themselves (``outlet.py``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

from relay.engines.base import PictureChoice
from relay.engines.embedded import rtcp
from relay.engines.embedded.adaptation import FEWEST, Adaptation
from relay.engines.embedded.agreement import Agreement, Kind, Line, Outgoing
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.outlet import Outlet
from relay.engines.embedded.srtp import Sealer
from relay.engines.embedded.timeline import Timeline
from relay.engines.embedded.transport import Transport

RECEIVING_S: dict[Kind, float] = {
    "video": 4.0,
    "audio": 7.0,
}  # browsers report on picture every 1 s, on voice every 5 s
ROUND_TRIP_S = 0.05  # until the first report tells
SILENT_S = 2.5  # browsers report several times a second, others once; who tells nothing for longer was cut off


class Audience(Protocol):
    """What a viewer needs of its channel."""

    def timeline(self, kind: Kind) -> Timeline:
        """The channel's timeline of this kind."""
        ...

    def viewer_connected(self, viewer: Viewer) -> None:
        """It can be sent to."""
        ...

    def want_key_frame(self) -> None:
        """It cannot decode."""
        ...

    def adapt(self, viewer: Viewer) -> None:
        """Send it as much of the picture as its adaptation says."""
        ...


class Viewer:
    """One WHEP session."""

    accepts_rtp = False

    def __init__(
        self, agreement: Agreement, audience: Audience, counters: Counters, ended: Callable[[], None], now_s: float
    ) -> None:
        self.agreement = agreement
        self.adaptation = Adaptation(now_s)
        self.transport: Transport | None = None
        self.outlets: dict[Kind, Outlet] = {}
        self.connected_at_s = 0.0
        self.round_trip_s = ROUND_TRIP_S
        self.fraction_lost = 0.0
        cname = secrets.token_urlsafe(12)
        self.outgoing = {line.kind: _outgoing(line, cname) for line in agreement.lines}
        self._audience = audience
        self._counters = counters
        self._ended = ended
        self._progress: dict[Kind, tuple[int, float]] = {}  # highest number reported, and since when
        self._lost: dict[Kind, tuple[int, int]] = {}  # highest number and losses, as last counted
        self._asks = False  # it sends NACKs
        self._told_at_s = now_s
        self._measured = 0  # the report by which the last round trip was

    def attach(self, transport: Transport) -> None:
        """Everything below RTP is there."""
        self.transport = transport
        for line in self.agreement.lines:
            timeline = self._audience.timeline(line.kind)
            self.outlets[line.kind] = Outlet(timeline, line, self.outgoing[line.kind], transport, self._counters)
        if "video" in self.outlets:
            self.outlets["video"].voice = self.outlets.get("audio")

    def detach(self) -> None:
        """The session is over: let go of what knows the viewer, so that all of it is freed now, OpenSSL's part too.
        A cycle would wait for the garbage collector, which counts Python objects alone and comes late."""
        self.transport = None
        self.outlets = {}

    @property
    def connected(self) -> bool:
        """Whether packets can be sent to it."""
        return self.transport is not None and self.transport.connected

    def receiving(self, now_s: float) -> bool:
        """Whether its own reports say that packets arrive; one that has just come is believed."""
        newcomer: Kind = "video" if "video" in self.outlets else "audio"
        if now_s - self.connected_at_s < RECEIVING_S[newcomer]:
            return True
        return any(now_s - since_s < RECEIVING_S[kind] for kind, (_, since_s) in self._progress.items())

    def on_connected(self, sealer: Sealer, now_s: float) -> None:
        self.connected_at_s = now_s
        for outlet in self.outlets.values():
            outlet.connect(sealer)
        self._audience.viewer_connected(self)

    def on_closed(self) -> None:
        self._ended()

    def on_rtp(self, packet: bytes, now_s: float) -> None:
        """Never called: ``accepts_rtp`` is false."""
        self._counters.rtp_unexpected += 1

    def on_rtcp(self, packet: bytes, now_s: float) -> None:
        try:
            items = rtcp.read(packet)
        except rtcp.RtcpError:
            self._counters.rtcp_malformed += 1
            return
        if now_s - self._told_at_s > SILENT_S:
            self.adaptation.settle(now_s)
        self._told_at_s = now_s
        for item in items:
            self._take(item, now_s)
        if self.adaptation.picture != "full":
            self._audience.adapt(self)

    def _take(self, item: rtcp.Item, now_s: float) -> None:
        if isinstance(item, rtcp.ReceiverReport | rtcp.SenderReport):
            for block in item.blocks:
                self._on_block(block, now_s)
        elif isinstance(item, rtcp.Nack):
            self._on_nack(item, now_s)
        elif isinstance(item, rtcp.KeyFrameRequest):
            self._counters.plis_received += 1
            if self.adaptation.picture == "full":  # who gets key frames only finds them rare
                self._audience.want_key_frame()
        elif isinstance(item, rtcp.Remb):
            self.adaptation.on_remb(item.bitrate_bps, now_s)

    def choose_picture(self, chosen: PictureChoice, now_s: float) -> None:
        """Its own wish."""
        self.adaptation.choose(chosen, now_s)
        self._audience.adapt(self)

    def _outlet(self, ssrc: int) -> Outlet | None:
        return next((outlet for outlet in self.outlets.values() if outlet.outgoing.ssrc == ssrc), None)

    def _on_block(self, block: rtcp.ReportBlock, now_s: float) -> None:
        outlet = self._outlet(block.ssrc)
        if outlet is None:
            return
        kind = outlet.timeline.kind
        if block.highest != self._progress.get(kind, (0, 0.0))[0]:
            self._progress[kind] = (block.highest, now_s)
        self.fraction_lost = block.fraction_lost / 256
        self._count_lost(kind, block, now_s)
        left_at_s = outlet.reports.get(block.lsr)
        if left_at_s is not None:
            self.round_trip_s = max(0.0, now_s - left_at_s - block.dlsr / 65536)
            if self._measured != block.lsr:
                self._measured = block.lsr
                self.adaptation.on_round_trip(self.round_trip_s, now_s)

    def _count_lost(self, kind: Kind, block: rtcp.ReportBlock, now_s: float) -> None:
        """Losses as evidence for the adaptation, of enough packets to speak of a share."""
        highest, lost = self._lost.setdefault(kind, (block.highest, block.lost))
        expected, missed = (block.highest - highest) & 0xFFFFFFFF, block.lost - lost
        if expected < FEWEST:
            return
        self._lost[kind] = block.highest, block.lost
        if kind == "audio":
            self.adaptation.on_voice_lost(missed / expected, now_s)
        elif not self._asks:
            self.adaptation.on_missed(max(0, missed))

    def _on_nack(self, nack: rtcp.Nack, now_s: float) -> None:
        self._counters.nacks_received += 1
        outlet = self._outlet(nack.media_ssrc)
        if outlet is not None and outlet.started:
            fresh = outlet.resend(nack.sequences, now_s, self.round_trip_s)
            if outlet.timeline.kind == "video":
                self._asks = True
                self.adaptation.on_missed(fresh)


def _outgoing(line: Line, cname: str) -> Outgoing:
    return Outgoing(ssrc=_ssrc(), rtx_ssrc=_ssrc(), cname=cname)


def _ssrc() -> int:
    return 1 + secrets.randbelow(0xFFFFFFFE)
