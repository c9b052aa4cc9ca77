"""What runs in an engine process: an embedded engine that does what it is told over a socket pair, and tells what is.

It ends with the connection, so that it never outlives the relay. Signals to the whole group (a terminal's Ctrl-C, the
service manager's SIGTERM) are left to the relay, which ends its processes in order.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import suppress

from relay.engines.base import ViewerPicture
from relay.engines.embedded import EmbeddedEngine
from relay.engines.workers import messages
from relay.engines.workers.messages import FromWorker, ToWorker
from relay.errors import RelayError, SessionUnknown

COUNT_EVERY_S = 1.0


def main(descriptor: int) -> None:
    """Serve the relay at the other end of an inherited socket until it says stop, or ends."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    asyncio.run(_serve(socket.socket(fileno=descriptor)))


async def _serve(sock: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        with suppress(EOFError, ConnectionError):  # the relay is gone: so is this
            start = await messages.read_to_worker(reader)
            if isinstance(start, messages.Start):
                await _Served(start, writer).run(reader)
        with suppress(ConnectionError):
            await writer.drain()
    finally:
        writer.close()


class _Served:
    """The engine, and the way back to the relay."""

    def __init__(self, start: messages.Start, writer: asyncio.StreamWriter) -> None:
        self._engine = EmbeddedEngine(
            port=start.port, host=start.host, advertise=start.advertise, max_sessions=start.max_sessions
        )
        self._writer = writer

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Until told to stop. Raises ``EOFError``, ``ConnectionError``."""
        try:
            await self._engine.start()
        except OSError as error:
            self._say(messages.StartFailed(code=error.errno or 0, reason=error.strerror or str(error)))
            return
        self._engine.on_ended = lambda session_id: self._say(messages.Ended(session_id=session_id))
        self._engine.subscribe(self._changed)
        self._say(messages.Started(port=self._engine.port))
        counting = asyncio.create_task(self._count(), name="counters")
        try:
            while not isinstance(message := await messages.read_to_worker(reader), messages.Stop):
                self._do(message)
        finally:
            counting.cancel()
            await self._engine.close()

    def _say(self, message: FromWorker) -> None:
        self._writer.write(messages.framed(message))

    def _changed(self, channel: str) -> None:
        self._say(messages.Changed(channel=channel, delivery=self._engine.delivery(channel)))

    async def _count(self) -> None:
        while True:
            self._say(messages.Counted(figures=dict(self._engine.counters())))
            await asyncio.sleep(COUNT_EVERY_S)

    def _do(self, message: ToWorker) -> None:
        engine = self._engine
        match message:
            case messages.CloseChannel(channel=channel):
                engine.close_channel(channel)
            case messages.EndPublisher(channel=channel):
                engine.end_publisher(channel)
            case messages.RequestKeyFrame(channel=channel):
                engine.request_key_frame(channel)
            case messages.Publish() | messages.Watch() | messages.Patch() | messages.ChoosePicture() | messages.End():
                try:
                    answer = self._answer(message)
                except RelayError as error:
                    answer = messages.refusal(message.number, error)
                self._say(answer)

    def _answer(self, asked: messages.Asked) -> messages.Answered:
        engine, number = self._engine, asked.number
        if isinstance(asked, messages.End):
            with suppress(SessionUnknown):
                engine.end(asked.session_id)
            return messages.Done(number=number)
        if isinstance(asked, messages.Patch):
            fragment = engine.patch(asked.session_id, asked.fragment)
            etag = engine.etag_of(asked.session_id)
            return messages.Patched(number=number, session_id=asked.session_id, fragment=fragment, etag=etag)
        if isinstance(asked, messages.ChoosePicture):
            if asked.chosen is not None:
                engine.choose_picture(asked.session_id, asked.chosen)
            seen: ViewerPicture = engine.picture_of(asked.session_id)
            return messages.PictureIs(number=number, chosen=seen.chosen, sent=seen.sent)
        publisher = asked.publisher if isinstance(asked, messages.Publish) else None
        if publisher is None:
            opened = engine.watch(asked.channel, asked.offer)
        else:
            opened = engine.publish(asked.channel, publisher, asked.offer)
        return messages.Accepted(
            number=number,
            channel=asked.channel,
            publisher=publisher,
            session_id=opened.session_id,
            sdp=opened.sdp,
            etag=opened.etag,
        )
