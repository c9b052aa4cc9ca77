"""One engine process as the relay sees it: kept running, and what it holds mirrored, so that most is known at once.

A process that ends or hangs takes its sessions with it: they are forgotten here, whoever follows their channels is
told, and another is started. Their peers notice by their own watchdogs and come again. Not here: which channel is
where (``pool.py``).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import relay
from relay.engines.base import NOBODY, ChannelDelivery
from relay.engines.workers import messages
from relay.engines.workers.messages import FromWorker, ToWorker
from relay.errors import EngineFull

START_S = 30.0  # a cold interpreter on a busy machine
SILENT_S = 8.0  # it counts every second: a process that says nothing for so long hangs
ANSWER_S = 5.0
END_S = 0.7  # with what follows less than relay/app.py's STOP_ENGINE_S
AGAIN_FIRST_S, AGAIN_MOST_S = 0.2, 10.0
STEADY_S = 30.0  # who ran for so long is started again as if for the first time

A = TypeVar("A", messages.Accepted, messages.Patched, messages.PictureIs, messages.Done)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """What is known here of a session; ``publisher`` is ``None`` for a viewer."""

    channel: str
    etag: str
    publisher: str | None


class CannotStart(OSError):
    """A process could not bind ``port``."""

    def __init__(self, code: int, reason: str, port: int) -> None:
        super().__init__(code, reason)
        self.port = port


class Worker:
    """See the module. ``changed`` is called with a channel's name; ``run`` is its owner's task."""

    def __init__(self, start: messages.Start, changed: Callable[[str], None]) -> None:
        self._start = start
        self._changed = changed
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[messages.Answered]] = {}
        self._opening: Counter[str] = Counter()  # offers on their way, by channel
        self._open: Counter[str] = Counter()  # sessions, by channel
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.over = False
        self.started = asyncio.get_running_loop().create_future()  # of its port; once, for the first process
        self.port = start.port
        self.up = False
        self.starts = 0
        self.sessions: dict[str, Session] = {}
        self.deliveries: dict[str, ChannelDelivery] = {}
        self.figures: Mapping[str, float] = {}
        self.ended_figures: Counter[str] = Counter()  # totals of processes that are gone: no counter runs backwards

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process is not None else None

    @property
    def load(self) -> tuple[int, int]:
        """How many sessions, and channels, it has or is being asked for."""
        return len(self.sessions) + self._opening.total(), len(self._open + self._opening)

    def holds(self, channel: str) -> bool:
        """Whether a session on this channel is, or is about to be, there."""
        return self._opening[channel] > 0 or self._open[channel] > 0

    # -- asking

    @contextmanager
    def opening(self, channel: str) -> Iterator[None]:
        """An offer for this channel is on its way to this process: it stays here meanwhile."""
        self._opening[channel] += 1
        try:
            yield
        finally:
            _less(self._opening, channel)

    def say(self, message: ToWorker) -> None:
        """Tell it, if it runs."""
        if self.up and self._writer is not None:
            self._writer.write(messages.framed(message))

    async def ask(self, kind: type[A], make: Callable[[int], messages.Asked]) -> A:
        """Ask it, and the answer, which is of this kind. Raises what ``Engine`` says, and ``EngineFull`` when it ends
        before it answers."""
        if not self.up:
            raise EngineFull("the media process is being started; try again")
        number = next(self._numbers)
        answered: asyncio.Future[messages.Answered] = asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        self.say(make(number))
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await answered
        except TimeoutError:
            raise EngineFull("the media process does not answer; try again") from None
        finally:
            self._asked.pop(number, None)
        if isinstance(answer, messages.Refused):
            raise messages.error_of(answer)
        if not isinstance(answer, kind):
            raise EngineFull("the media process answers something else; try again")
        return answer

    # -- life

    async def run(self) -> None:
        """Keep a process running until ``stop``, or until the first one cannot start (``started`` says why)."""
        again_s = AGAIN_FIRST_S
        while True:
            begun_s = time.monotonic()
            await self._live()
            if self.over:
                return
            if time.monotonic() - begun_s > STEADY_S:
                again_s = AGAIN_FIRST_S
            _log.error("the media process on UDP %d ended; its lessons begin anew in %.1f s", self.port, again_s)
            await asyncio.sleep(again_s)
            again_s = min(2 * again_s, AGAIN_MOST_S)

    def stop(self) -> None:
        """End it in order; ``run`` returns when it did."""
        self.say(messages.Stop())
        self.over = True

    def kill(self) -> None:
        """End it at once."""
        self.over = True
        self._kill_this()

    async def _live(self) -> None:
        """One process, from its start to its end."""
        try:
            reader, self._writer = await self._spawn()
        except OSError as error:  # no memory, or too many processes: perhaps there are fewer later
            _log.error("the media process on UDP %d cannot be started: %s", self.port, error.strerror or error)
            self._never_started(error.errno or 0, f"its process cannot be started ({error.strerror or error})")
            return
        self.starts += 1
        try:
            self._writer.write(messages.framed(self._start))
            limit_s = START_S
            while True:
                async with asyncio.timeout(limit_s):
                    self._take(await messages.read_from_worker(reader))
                limit_s = SILENT_S
        except (EOFError, ConnectionError):
            pass  # it is gone, or going
        except TimeoutError:
            _log.error("the media process on UDP %d said nothing for too long; it is killed", self.port)
            self._kill_this()
        finally:
            self._forget()
            self._never_started(0, "its process ended as it started; the log says why")
            await self._reap()

    async def _spawn(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ours, theirs = socket.socketpair()
        # The same files as ours, whatever the working directory holds.
        paths = [str(Path(relay.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "relay.engines.workers", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return await asyncio.open_connection(sock=ours)

    def _kill_this(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _reap(self) -> None:
        """The connection is over: the process ends by itself, or is made to."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()

    def _forget(self) -> None:
        """What it held is over."""
        self.up = False
        for name, value in self.figures.items():
            if not name.endswith("_now"):
                self.ended_figures[name] += int(value)
        self.ended_figures["sessions_ended"] += len(self.sessions)
        self.figures = {}
        for future in self._asked.values():
            if not future.done():
                future.set_exception(EngineFull("the media process ended; try again"))
        channels = set(self._open) | set(self.deliveries)
        self.sessions.clear()
        self._open.clear()
        self.deliveries.clear()
        for channel in channels:
            self._changed(channel)

    # -- hearing

    def _take(self, message: FromWorker) -> None:
        match message:
            case messages.Counted():
                self.figures = message.figures
            case messages.Changed():
                if self.holds(message.channel) and message.delivery != NOBODY:
                    self.deliveries[message.channel] = message.delivery
                else:
                    self.deliveries.pop(message.channel, None)
                self._changed(message.channel)
            case messages.Ended():
                self.forget_session(message.session_id)
            case messages.Started():
                self.port, self.up = message.port, True
                if not self.started.done():
                    self.started.set_result(None)
            case messages.StartFailed():
                _log.error("the media process cannot bind UDP %d: %s", self.port, message.reason)
                self._never_started(message.code, message.reason)
            case _:
                self._answered(message)

    def _never_started(self, code: int, reason: str) -> None:
        """The first process is not going to: that is for a person to mend. Later ones are tried again."""
        if not self.started.done():
            self.over = True
            self.started.set_exception(CannotStart(code, reason, self.port))

    def _answered(self, answer: messages.Answered) -> None:
        # Mirrored here, in the order in which the process did it, and whether or not somebody still waits.
        if isinstance(answer, messages.Accepted):
            self.sessions[answer.session_id] = Session(answer.channel, answer.etag, answer.publisher)
            self._open[answer.channel] += 1
        elif isinstance(answer, messages.Patched) and answer.session_id in self.sessions:
            known = self.sessions[answer.session_id]
            self.sessions[answer.session_id] = replace(known, etag=answer.etag)
        waiting = self._asked.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        elif isinstance(answer, messages.Accepted):  # who asked went away: nobody will ever use it
            self.say(messages.End(number=next(self._numbers), session_id=answer.session_id))

    def forget_session(self, session_id: str) -> None:
        """It ended, or was told to."""
        session = self.sessions.pop(session_id, None)
        if session is not None:
            _less(self._open, session.channel)


def _less(counted: Counter[str], name: str) -> None:
    counted[name] -= 1
    if counted[name] <= 0:
        del counted[name]
