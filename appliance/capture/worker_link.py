"""The line between the kit and its camera worker: messages over a socket pair, and one end of it on an event loop.

Used by ``worker.py`` (the kit's end) and ``worker_process.py`` (the worker's). Not here: what a message does. A message
is a header (kind, length, one number) and its payload. The payload is received into a buffer of its own size and
copied once, into the ``bytes`` that everybody shares from there on.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum, auto
from typing import cast

HEADER = struct.Struct("<B3xIq")
MAX_PAYLOAD_BYTES = 64 << 20  # a still of any sensor fits; a torn header must not ask for gigabytes
SEND_AHEAD_BYTES = 256 << 10  # a key frame of 1080p; beyond it the sender waits, and its camera drops before it encodes


class Kind(IntEnum):
    """What a message says. ``value`` and payload, where they mean anything, are told beside it."""

    # The kit's:
    OPEN = auto()  # payload: a lesson clock as JSON
    FORCE_KEY_FRAME = auto()
    SET_BITRATE = auto()  # value: bit/s
    SET_FRAME_RATE = auto()  # value: pictures a second
    TAKE_STILL = auto()  # value: the still's number
    # The worker's:
    LOADED = auto()  # its libraries are there, and it waits to be told to open
    PICTURE = auto()  # value: capture time, payload: the access unit
    KEY_PICTURE = auto()
    STILL = auto()  # value: the still's number, payload: JPEG
    NO_STILL = auto()  # value: the still's number, payload: why
    VIEW = auto()  # value: all that the sensor can see, width << 16 | height
    LOST = auto()  # payload: why
    ENDED = auto()


Received = Callable[[Kind, int, bytes], None]


class Link(asyncio.BufferedProtocol):
    """One end. ``received`` is called for each message, ``closed`` once, when the other end is gone."""

    def __init__(self, received: Received, closed: Callable[[], None]) -> None:
        self._received = received
        self._closed = closed
        self._head = bytearray(HEADER.size)
        self._kind, self._value = Kind.OPEN, 0
        self._payload: bytearray | None = None
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self._free = asyncio.Event()
        self._free.set()
        self.gone = asyncio.Event()

    def send(self, kind: Kind, value: int = 0, payload: bytes = b"") -> None:
        """Say it; without effect once the other end is gone."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(HEADER.pack(kind, len(payload), value))
        if payload:
            self._transport.write(payload)

    async def drained(self) -> None:
        """Wait until the other end keeps up."""
        await self._free.wait()

    def hold(self, held: bool) -> None:
        """Read no more (``held``), or go on."""
        if self._transport is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """Hang up, once everything is said."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=SEND_AHEAD_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes belong: never beyond the message that they are of."""
        target = self._head if self._payload is None else self._payload
        return memoryview(target)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        self._filled += nbytes
        if self._payload is None:
            if self._filled == HEADER.size:
                self._begin()
        elif self._filled == len(self._payload):
            self._finish(bytes(self._payload))

    def pause_writing(self) -> None:
        """The other end is slow."""
        self._free.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._free.set()

    def eof_received(self) -> bool:
        """The other end says no more, and hears no more either."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The other end is gone."""
        self._free.set()
        self.gone.set()
        self._closed()

    def _begin(self) -> None:
        kind, length, self._value = HEADER.unpack(self._head)
        if kind not in Kind.__members__.values() or length > MAX_PAYLOAD_BYTES:
            self.abort()  # only a worker whose memory is broken says such a thing: its end is noticed, and healed
            self._filled = 0
            return
        self._kind, self._filled = Kind(kind), 0
        if length:
            self._payload = bytearray(length)
        else:
            self._finish(b"")

    def _finish(self, payload: bytes) -> None:
        self._payload, self._filled = None, 0
        self._received(self._kind, self._value, payload)
