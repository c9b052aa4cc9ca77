"""``Engine`` by several processes: which of them has a channel, and what they come to together.

Lessons are independent, so a channel is placed on the process with the fewest sessions when it is first used, and stays
there as long as somebody publishes or watches. Not here: a process's life, and what it holds (``worker.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from relay.engines.base import NOBODY, Answer, ChannelDelivery, PictureChoice, ViewerPicture
from relay.engines.subscribers import Subscribers
from relay.engines.workers import messages
from relay.engines.workers.worker import END_S, Session, Worker
from relay.errors import EngineFull, SessionUnknown

#: Means, not sums: each is weighted with how many it is the mean of.
_MEANS = {
    "viewer_loss_now": "viewers_now",
    "viewer_round_trip_s_now": "viewers_now",
    "publisher_round_trip_s_now": "publishers_now",
}


class WorkerPool:
    """``count`` engine processes on ``port``, ``port + 1``, …; ``advertise`` with a port counts up in the same way."""

    def __init__(
        self, count: int, *, port: int, host: str = "", advertise: tuple[str, ...] = (), max_sessions: int = 2000
    ) -> None:
        self._starts = [
            messages.Start(
                port=port + index,
                host=host,
                advertise=tuple(_counted_up(entry, index) for entry in advertise),
                max_sessions=max_sessions,
            )
            for index in range(count)
        ]
        self._max_sessions = max_sessions
        self._tasks: list[asyncio.Task[None]] = []
        self._subscribers = Subscribers()
        self.workers: list[Worker] = []

    # -- life

    async def start(self) -> None:
        """Start all, until each has its port. Raises ``CannotStart`` (an ``OSError``) when one is taken."""
        self.workers = [Worker(start, self._subscribers.tell) for start in self._starts]
        self._tasks = [asyncio.create_task(one.run(), name=f"media on UDP {one.port}") for one in self.workers]
        try:
            for worker in self.workers:
                await worker.started
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End every session in order, and every process at last by force. Safe to call twice."""
        tasks, self._tasks = self._tasks, []
        for worker in self.workers:
            worker.stop()
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=END_S)
        finally:
            for worker in self.workers:
                worker.kill()
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in self.workers:
            if worker.started.done() and not worker.started.cancelled():
                worker.started.exception()  # heard by ``start``, or of no interest any more
            worker.started.cancel()

    # -- sessions

    async def publish(self, channel: str, publisher: str, offer: str) -> Answer:
        """Accept a WHIP offer."""
        leaving = any(one.channel == channel and one.publisher == publisher for _, one in self._sessions())
        return await self._open(
            channel,
            leaving,
            lambda number: messages.Publish(number=number, channel=channel, publisher=publisher, offer=offer),
        )

    async def watch(self, channel: str, offer: str) -> Answer:
        """Accept a WHEP offer."""
        return await self._open(
            channel, False, lambda number: messages.Watch(number=number, channel=channel, offer=offer)
        )

    async def _open(self, channel: str, leaving: bool, make: Callable[[int], messages.Asked]) -> Answer:
        worker = self._place(channel)
        if sum(one.load[0] for one in self.workers) - leaving >= self._max_sessions:
            raise EngineFull("all sessions are taken")
        with worker.opening(channel):
            answer = await worker.ask(messages.Accepted, make)
        return Answer(session_id=answer.session_id, sdp=answer.sdp, etag=answer.etag)

    def _place(self, channel: str) -> Worker:
        found = self._holder(channel) or min(
            (worker for worker in self.workers if worker.up), key=lambda worker: worker.load, default=None
        )
        if found is None:
            raise EngineFull("the media processes are being started; try again")
        return found

    def _holder(self, channel: str) -> Worker | None:
        return next((worker for worker in self.workers if worker.holds(channel)), None)

    def _sessions(self) -> list[tuple[str, Session]]:
        return [item for worker in self.workers for item in worker.sessions.items()]

    def _owner(self, session_id: str) -> Worker:
        for worker in self.workers:
            if session_id in worker.sessions:
                return worker
        raise SessionUnknown("no such session")

    def channel_of(self, session_id: str) -> str:
        """The channel that a session is on."""
        return self._owner(session_id).sessions[session_id].channel

    def etag_of(self, session_id: str) -> str:
        """The session's present ETag."""
        return self._owner(session_id).sessions[session_id].etag

    async def patch(self, session_id: str, fragment: str) -> str | None:
        """Trickle or ICE restart."""
        answer = await self._owner(session_id).ask(
            messages.Patched,
            lambda number: messages.Patch(number=number, session_id=session_id, fragment=fragment),
        )
        return answer.fragment

    async def choose_picture(self, session_id: str, chosen: PictureChoice) -> None:
        """A viewer's own wish."""
        await self._picture(session_id, chosen)

    async def picture_of(self, session_id: str) -> ViewerPicture:
        """What a viewer is sent of the picture."""
        return await self._picture(session_id, None)

    async def _picture(self, session_id: str, chosen: PictureChoice | None) -> ViewerPicture:
        answer = await self._owner(session_id).ask(
            messages.PictureIs,
            lambda number: messages.ChoosePicture(number=number, session_id=session_id, chosen=chosen),
        )
        return ViewerPicture(chosen=answer.chosen, sent=answer.sent)

    async def end(self, session_id: str) -> None:
        """End one session; when this returns, its peer is answered no more."""
        worker = self._owner(session_id)
        worker.forget_session(session_id)
        with suppress(EngineFull):  # its process ended: so has the session
            await worker.ask(messages.Done, lambda number: messages.End(number=number, session_id=session_id))

    # -- channels

    def close_channel(self, channel: str) -> None:
        """End every session on a channel."""
        worker = self._holder(channel)
        if worker is not None:
            for session_id in [key for key, one in worker.sessions.items() if one.channel == channel]:
                worker.forget_session(session_id)
            worker.say(messages.CloseChannel(channel=channel))

    def end_publisher(self, channel: str) -> None:
        """End the publisher's session."""
        worker = self._holder(channel)
        if worker is not None:
            worker.say(messages.EndPublisher(channel=channel))

    def request_key_frame(self, channel: str) -> None:
        """Ask the publisher for a key frame."""
        worker = self._holder(channel)
        if worker is not None:
            worker.say(messages.RequestKeyFrame(channel=channel))

    def delivery(self, channel: str) -> ChannelDelivery:
        """What pupils on this channel get now."""
        worker = self._holder(channel)
        return worker.deliveries.get(channel, NOBODY) if worker is not None else NOBODY

    def subscribe(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """Be told of changes."""
        return self._subscribers.add(changed)

    def counters(self) -> Mapping[str, float]:
        """All processes' figures added up, those that ended included; at most a second old."""
        running = [worker.figures for worker in self.workers]
        names = dict.fromkeys(name for figures in running for name in figures)
        summed: dict[str, float] = {}
        for name in names:
            weight = _MEANS.get(name)
            if weight is None:
                summed[name] = sum(figures.get(name, 0) for figures in running)
                summed[name] += sum(worker.ended_figures[name] for worker in self.workers)
            else:
                of = sum(figures.get(weight, 0) for figures in running)
                total = sum(figures.get(name, 0) * figures.get(weight, 0) for figures in running)
                summed[name] = total / of if of else 0.0
        summed["workers_now"] = sum(worker.up for worker in self.workers)
        summed["worker_restarts"] = sum(max(0, worker.starts - 1) for worker in self.workers)
        return summed


def _counted_up(entry: str, index: int) -> str:
    """``203.0.113.7:18443`` as the process with this number advertises it; what has no port stays."""
    head, colon, port = entry.rpartition(":")
    with_port = colon and port.isdigit() and (head.endswith("]") or ":" not in head)
    return f"{head}:{int(port) + index}" if with_port else entry
