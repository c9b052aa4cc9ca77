"""A bad network for TCP: a proxy in front of one port that can be cut, and that can share a narrow link with UDP.

While it is cut, nothing passes and nothing closes, as when a cable is pulled: connections hang, and what is dialled
gets no answer. Afterwards, what was on its way arrives, as TCP would have sent it again.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from tests.lossy_link import Bottleneck, Narrow

CHUNK = 4096
FULL_S = 0.01  # how soon a sender whose packet found the queue full tries again
STOP_S = 2.0


class TcpLink:
    """The link to ``target``. ``narrow``: what leaves the clients takes its turn in this queue."""

    def __init__(self, target: tuple[str, int] | None = None) -> None:
        self.target = target
        self.narrow: tuple[Narrow, Bottleneck] | None = None
        self.carried = 0
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where clients reach the target."""
        assert self._server is not None, "the link is not open"
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def cut(self) -> None:
        """Nothing passes any more."""
        self._whole.clear()

    def restore(self) -> None:
        """The network is back."""
        self._whole.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(reader, writer), name="tcp-link-client")
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._whole.wait()
            assert self.target is not None
            there, back = await asyncio.open_connection(*self.target)
            try:
                async with asyncio.TaskGroup() as ways:
                    out = ways.create_task(self._pass(reader, back, out=True))
                    home = ways.create_task(self._pass(there, writer, out=False))
                    await asyncio.wait({out, home}, return_when=asyncio.FIRST_COMPLETED)
                    if home.done():
                        out.cancel()  # the target has closed: nobody takes what else is sent
            finally:
                back.close()
        except (OSError, ExceptionGroup):
            pass  # a target that is dead refuses, and one that dies resets: so does the link
        finally:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, out: bool) -> None:
        while data := await reader.read(CHUNK):
            await self._whole.wait()
            if out and self.narrow is not None:
                await self._take_turn(len(data))
            self.carried += len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _take_turn(self, octets: int) -> None:
        assert self.narrow is not None
        loop = asyncio.get_running_loop()
        while (leaves_s := self.narrow[1].leaves_s(self.narrow[0], octets, loop.time())) is None:  # noqa: ASYNC110 - a queue tells nobody that it has room
            await asyncio.sleep(FULL_S)
        await asyncio.sleep(leaves_s - loop.time())
