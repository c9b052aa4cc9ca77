"""One class's live stage: at most one publisher, any number of viewers, and the timelines between them.

Who is live, catches up or waits is known here. Not here: how the picture is spread over time (``fanout.py``), and how
a session comes to be and ends (``engine.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from relay.engines.base import ChannelDelivery
from relay.engines.embedded.adaptation import Need
from relay.engines.embedded.agreement import Kind
from relay.engines.embedded.burst import Burst
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.fanout import FanOut
from relay.engines.embedded.key_frames import KeyFrameRequests
from relay.engines.embedded.outlet import CATCH_UP_BYTES_PER_S, Outlet
from relay.engines.embedded.publisher import Publisher
from relay.engines.embedded.rtp import Packet
from relay.engines.embedded.sparing import Sparing
from relay.engines.embedded.timeline import Timeline
from relay.engines.embedded.viewer import Viewer

FAST_TICK_S = 0.01
CATCH_UP_FIRST_BYTES = 64 * 1024  # at once: usually the key frame itself, and no more than a home router buffers
CATCH_UP_TICK_BYTES = int(CATCH_UP_BYTES_PER_S * FAST_TICK_S)
CATCH_UP_ALL_BYTES = 1024 * 1024  # in one tick to all who catch up: a class that joins at once delays no other lesson
PICTURE_FRESH_S = 1.0
KEY_FRESH_S = 5.0
KEY_ASK_S = 3.5  # a publisher whose key frames are rarer is asked, so that a joiner always finds one
VOICE_FRESH_S = 1.0
LOUD_FRESH_S = 5.0
REPLAY_FRESH_S = 2.0  # what is older is not shown to a joiner: the teacher may have closed the curtain


class Channel:
    """The stage of one class."""

    def __init__(
        self, name: str, counters: Counters, *, clock: Callable[[], float], ntp: Callable[[float], int]
    ) -> None:
        self.name = name
        self.publisher: Publisher | None = None
        self.viewers: set[Viewer] = set()
        self.on_busy: Callable[[Channel], None] = lambda _: None
        self.on_ready: Callable[[Channel], None] = lambda _: None
        self.on_changed: Callable[[Channel], None] = lambda _: None
        self.ntp = ntp
        self._counters = counters
        self._clock = clock
        self._timelines: dict[Kind, Timeline] = {kind: Timeline(kind, clock()) for kind in ("video", "audio")}
        self._fan_out = FanOut(self._timelines["video"], self._timelines["audio"])
        self._live: dict[Kind, dict[Outlet, None]] = {"video": self._fan_out.live, "audio": self._fan_out.voices}
        self._catching_up: dict[Outlet, None] = {}
        self._waiting: dict[Outlet, None] = {}  # for a key frame
        self._leaving: dict[Outlet, Viewer] = {}  # at the end of the picture that they are getting
        self._sparing = Sparing(self._timelines["video"])
        self._need = Need()
        self._key_octets = 0
        self._groups = 0
        self._key_frames = KeyFrameRequests()
        self._reports: dict[Kind, tuple[int, int, float]] = {}  # NTP, timestamp, when it came
        self._connected_at_s = 0.0  # the publisher

    @property
    def empty(self) -> bool:
        """Whether nobody is here."""
        return self.publisher is None and not self.viewers

    def timeline(self, kind: Kind) -> Timeline:
        """The channel's timeline of this kind."""
        return self._timelines[kind]

    # -- the publisher's side

    def publisher_connected(self) -> None:
        """Its packets may come now; what came before is another's, and says nothing of what it sends."""
        self._connected_at_s = self._clock()
        self._reports.clear()
        self.on_changed(self)

    def remove_publisher(self) -> None:
        """It is gone; viewers stay, and a joiner sees nothing of what was."""
        self.publisher = None
        self._reports.clear()
        self._timelines["video"].forget_pictures()
        self.on_changed(self)

    def forward(self, timeline: Timeline, packet: Packet, now_s: float) -> None:
        """Give a packet to everybody who is live, or who has passed its place already."""
        if timeline.kind == "audio":
            self._fan_out.put_voice(packet, now_s)
            self._fan(now_s)
            return
        late = not self._fan_out.put(packet, now_s)
        if late:
            self._send(packet, [*self._fan_out.live, *self._who_passed(packet)], now_s)
        else:
            self._fan(now_s)
        if self._sparing:
            self.busy()
        self._place_picture(timeline, packet, late, now_s)

    def _fan(self, now_s: float) -> None:
        """Send now, or look again soon."""
        if self._fan_out.ready(now_s):
            self.on_ready(self)
        else:
            self.busy()

    def _send(self, packet: Packet, outlets: Collection[Outlet], now_s: float) -> None:
        burst = Burst([packet], now_s)
        dropped = self._counters.send_dropped
        for outlet in outlets:
            outlet.send(burst)
        self._count(len(outlets), len(outlets) * burst.octets, dropped)

    def _count(self, packets: int, octets: int, dropped_before: int) -> None:
        counters = self._counters
        dropped = min(packets, counters.send_dropped - dropped_before)
        counters.packets_sent += packets - dropped
        counters.bytes_sent += octets - (octets * dropped // packets if packets else 0)

    def _who_passed(self, packet: Packet) -> list[Outlet]:
        return [out for out in self._catching_up if out.cursor is not None and packet.sequence < out.cursor]

    def work(self, now_s: float) -> bool:
        """Send a slice of the picture. Whether there is more to send now."""
        dropped = self._counters.send_dropped
        self._count(*self._fan_out.work(now_s), dropped)
        if self._fan_out.ready(now_s):
            return True
        if self._fan_out.waiting:
            self.busy()
        return False

    def _place_picture(self, timeline: Timeline, packet: Packet, late: bool, now_s: float) -> None:
        if timeline.groups != self._groups:
            self._groups = timeline.groups
            self._key_frames.came()
            self._start_waiting()
            self.on_changed(self)  # the first picture of a lesson is told at once
        elif packet.sequence == timeline.gop_start:  # lost on the way here, and sent again
            admitted = [out for out in [*self._live["video"], *self._catching_up] if out.admit(packet.sequence)]
            if late:
                self._send(packet, admitted, now_s)

    def _start_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for outlet in waiting:
            self._start(outlet)

    def report(self, timeline: Timeline, ntp: int, timestamp: int, now_s: float) -> None:
        """The publisher says which instant a timestamp is: everybody is told."""
        self._reports[timeline.kind] = (ntp, timestamp, now_s)
        spared = self._sparing if timeline.kind == "video" else ()
        for outlet in (*self._live[timeline.kind], *spared):
            if outlet.started:
                outlet.report(ntp, timestamp, now_s)

    def want_key_frame(self) -> None:
        """Somebody cannot decode: ask the publisher, merged and spaced."""
        self._key_frames.want()
        self._ask_for_key_frame(self._clock())

    def _ask_for_key_frame(self, now_s: float) -> None:
        publisher = self.publisher
        if publisher is not None and publisher.sends_pictures and self._key_frames.due(now_s):
            publisher.ask_for_key_frame()

    def busy(self) -> None:
        """Something is due soon."""
        self.on_busy(self)

    # -- the viewers' side

    def viewer_connected(self, viewer: Viewer) -> None:
        """Show it what there is, and the rest as it comes."""
        voice, picture = viewer.outlets.get("audio"), viewer.outlets.get("video")
        if voice is not None:
            voice.start(voice.timeline.highest + 1)
            self._live["audio"][voice] = None
            self._report_to(voice)
        if picture is not None and viewer.adaptation.picture != "full":
            self.adapt(viewer)
        elif picture is not None:
            self._waiting[picture] = None
            if self._clock() - picture.timeline.last_at_s < REPLAY_FRESH_S and picture.timeline.gop_start is not None:
                self._start_waiting()
            else:
                self.want_key_frame()
        self.on_changed(self)

    def _start(self, outlet: Outlet) -> None:
        """Let a viewer's picture begin with the newest group of pictures."""
        pictures = outlet.timeline.group_of_pictures()
        if not pictures:
            self._waiting[outlet] = None
            self.want_key_frame()
            return
        if len(pictures) <= outlet.timeline.highest - pictures[0].sequence:  # it has holes that may never close
            self.want_key_frame()
        outlet.catch_up(pictures)
        self._let_begin(outlet)

    def _let_begin(self, outlet: Outlet) -> None:
        self._pump(outlet, CATCH_UP_FIRST_BYTES)
        if outlet.cursor is not None:
            self._catching_up[outlet] = None
            self.busy()

    def _pump(self, outlet: Outlet, budget: int) -> int:
        """Let one viewer catch up, up to where the others are; how many bytes it got."""
        packets, octets, dropped = outlet.packets, outlet.octets, self._counters.send_dropped
        if outlet.pump(budget, self._fan_out.frontier, self._clock()) and not outlet.paused:
            self._live["video"][outlet] = None
        self._count(outlet.packets - packets, outlet.octets - octets, dropped)
        if not packets:
            self._report_to(outlet)
        return outlet.octets - octets

    def _report_to(self, outlet: Outlet) -> None:
        """The newest report, moved to now, so that lip-sync does not wait for the publisher's next one."""
        found = self._reports.get(outlet.timeline.kind)
        if found is not None:
            ntp, timestamp, at_s = found
            elapsed_s = (now_s := self._clock()) - at_s
            outlet.report(
                ntp + int(elapsed_s * (1 << 32)), timestamp + int(elapsed_s * outlet.timeline.clock_rate), now_s
            )

    def remove_viewer(self, viewer: Viewer) -> None:
        """It is gone."""
        self.viewers.discard(viewer)
        for outlet in viewer.outlets.values():
            for place in (self._live[outlet.timeline.kind], self._catching_up, self._waiting, self._leaving):
                place.pop(outlet, None)
            self._sparing.discard(outlet)
        self.on_changed(self)

    def adapt(self, viewer: Viewer) -> None:
        """Spare a viewer whose adaptation says so some of the picture, from the end of the one that it is getting. Who
        wants every picture again is let go by ``Sparing``."""
        outlet = viewer.outlets.get("video")
        if outlet is None or not viewer.connected or viewer.adaptation.picture == "full":
            return
        if outlet in self._leaving or outlet in self._sparing:
            return
        self._waiting.pop(outlet, None)
        self._leaving[outlet] = viewer
        if outlet.started:
            outlet.pause(self._fan_out.frontier)
            outlet.forget()
        self._let_leave()
        self.busy()

    def _let_leave(self) -> None:
        for outlet, viewer in list(self._leaving.items()):
            if outlet.started and not outlet.paused:
                continue
            self._fan_out.live.pop(outlet, None)
            self._catching_up.pop(outlet, None)
            if not self._fan_out.owes(outlet):  # or it would get of a burst what it has got by then
                del self._leaving[outlet]
                self._sparing.add(outlet, viewer.adaptation, self._clock())

    def _spare(self, now_s: float) -> None:
        """Serve who is spared, and take back who is not any more."""
        packets, octets, dropped = self._sparing.packets, self._sparing.octets, self._counters.send_dropped
        returning = self._sparing.tick(now_s)
        self._count(self._sparing.packets - packets, self._sparing.octets - octets, dropped)
        for outlet in returning:
            self._let_begin(outlet)
        for outlet in self._sparing.to_report(now_s):
            self._report_to(outlet)

    # -- time

    def on_fast_tick(self, now_s: float) -> bool:
        """Whether another is needed."""
        self._let_catch_up()
        self._let_leave()
        self._spare(now_s)
        missing = self.publisher is not None and self.publisher.on_fast_tick(now_s)
        if self._fan_out.ready(now_s):
            self.on_ready(self)
        return missing or bool(self._catching_up or self._leaving or self._sparing) or self._fan_out.waiting

    def _let_catch_up(self) -> None:
        """Everybody a bit, in turn; who had none in this tick is the first in the next."""
        spent = 0
        for outlet in list(self._catching_up):
            if spent >= CATCH_UP_ALL_BYTES:
                break
            del self._catching_up[outlet]
            spent += self._pump(outlet, CATCH_UP_TICK_BYTES)
            if outlet.cursor is not None:
                self._catching_up[outlet] = None

    def on_slow_tick(self, now_s: float) -> None:
        """Several times a second."""
        picture = self._timelines["video"]
        if now_s - picture.last_at_s < PICTURE_FRESH_S and now_s - picture.key_at_s > KEY_ASK_S:
            self._key_frames.want()
        self._ask_for_key_frame(now_s)
        self._look_at_lines(now_s)

    def _look_at_lines(self, now_s: float) -> None:
        """What each viewer's line bears, and what may be sent again on it."""
        timeline = self._timelines["video"]
        need_bps, found = self._need.bps(now_s, timeline.octets), timeline.key_frame()
        self._key_octets = found.octets if found is not None else self._key_octets
        for viewer in self.viewers:
            for outlet in viewer.outlets.values():
                outlet.mark(now_s)
            picture = viewer.outlets.get("video")
            if picture is not None and picture.started:
                viewer.adaptation.on_tick(now_s, picture.packets, need_bps, self._key_octets)
                self.adapt(viewer)

    def on_report_tick(self, now_s: float) -> None:
        """Once a second: tell the publisher what came, and viewers that were not told yet which instant it is."""
        if self.publisher is not None:
            self.publisher.send_report(now_s)
        for outlet in (outlet for viewer in self.viewers for outlet in viewer.outlets.values()):
            if outlet.started and not outlet.reports:
                self._report_to(outlet)

    def delivery(self, now_s: float) -> ChannelDelivery:
        """What pupils get now."""
        picture, voice = self._timelines["video"], self._timelines["audio"]
        publisher = self.publisher if self.publisher is not None and self.publisher.connected(now_s) else None
        since_s = self._connected_at_s
        picture_fresh = picture.last_at_s >= max(since_s, now_s - PICTURE_FRESH_S)
        picture_fresh = picture_fresh and picture.key_at_s >= max(since_s, now_s - KEY_FRESH_S)
        sound_fresh = voice.last_at_s >= max(since_s, now_s - VOICE_FRESH_S)
        sound_fresh = sound_fresh and voice.loud_at_s >= max(since_s, now_s - LOUD_FRESH_S)
        connected = [viewer for viewer in self.viewers if viewer.connected]
        return ChannelDelivery(
            publisher=publisher.name if publisher is not None else None,
            picture_fresh=publisher is not None and picture_fresh,
            sound_fresh=publisher is not None and sound_fresh,
            viewers=len(connected),
            viewers_receiving=sum(viewer.receiving(now_s) for viewer in connected),
        )
