"""Datagrams for several peers that leave in one system call (Linux's ``sendmmsg``), where that is to be had.

A system call for each peer costs more than the call: after it, the caches and what the processor knows of the page
tables are the kernel's. Python has no ``sendmmsg``, so this module calls the C library's. It knows neither RTP nor
viewers; ``outlet.py`` fills a batch, ``fanout.py`` owns it and says when it leaves.

64-bit Linux alone, whose structures are written here by hand (sendmmsg(2), cmsg(3), ip(7), ipv6(7); glibc and musl
agree); anywhere else, and for a path that needs its own address named, ``udp.py`` sends singly.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from functools import cache

from relay.engines.embedded.burst import SOL_UDP, UDP_SEGMENT, Run
from relay.engines.embedded.memory import InMemory, address_of
from relay.engines.embedded.udp import Address, Path

MOST_PEERS = 8  # beyond, their bytes leave the fastest cache, and system calls are no longer what a peer costs
MOST_MESSAGES = 256  # a picture that no padding evens out takes several
#: struct mmsghdr: name, vectors, control message, each with its length, flags; what the kernel writes: the length sent.
_MESSAGE = struct.Struct("@PIPNPNi4xI4x")
_VECTOR = struct.Struct("@PN")  # struct iovec
_CONTROL = struct.Struct("@NiiH6x")  # struct cmsghdr with 16 bits of data, up to where another would begin
_CONTROL_BYTES = 18  # without the gap
_NAME = struct.Struct("=H2s4s8x")  # struct sockaddr_in
_NAME_6 = struct.Struct("=H2sI16sI")  # struct sockaddr_in6

SendMany = Callable[[int, int, int, int], int]


@cache
def send_many() -> SendMany | None:
    """The C library's ``sendmmsg``, if this is a system whose structures are the ones above."""
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), "sendmmsg", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    found: SendMany = function
    return found


class Batch:
    """What leaves next: at most ``MOST_MESSAGES`` through one socket; what exceeds that has it leave at once.

    ``many``: the call; ``None``: there is none, and everything is sent singly.
    """

    def __init__(self, many: SendMany | None) -> None:
        self._many = many
        self._memory = InMemory(bytes(_MESSAGE.size * MOST_MESSAGES))
        self._socket: socket.socket | None = None
        self._added: list[tuple[Path, Run]] = []
        self.peers = 0  # that have something in it; their bytes must stay as they are until it has left

    def add(self, path: Path, runs: Sequence[Run]) -> None:
        """Runs for one peer."""
        if self._many is None or not path.is_plain or len(runs) > MOST_MESSAGES:
            path.send_runs(runs)
            return
        if path.socket is not self._socket or len(self._added) + len(runs) > MOST_MESSAGES:
            number = self.peers
            self.send()
            self._socket, self.peers = path.socket, number  # as many places are taken: this peer's is behind them
        name, view, added = path.name or _named(path), self._memory.view, self._added
        for run in runs:
            placed = run.placed or _placed(run)
            control, length = (placed.address + _VECTOR.size, _CONTROL.size) if run.ancillary is not None else (0, 0)
            at = _MESSAGE.size * len(added)
            _MESSAGE.pack_into(view, at, name.address, name.size, placed.address, 1, control, length, 0, 0)
            added.append((path, run))
        self.peers += 1

    def send(self) -> None:
        """All of it, now. What the kernel refuses, its path sends singly, and knows why and what then."""
        added, sent = self._added, 0
        while sent < len(added) and self._many is not None and self._socket is not None:
            at = self._memory.address + _MESSAGE.size * sent
            count = self._many(self._socket.fileno(), at, len(added) - sent, 0)
            if count > 0:
                sent += count
            elif ctypes.get_errno() != errno.EINTR:
                path, run = added[sent]
                path.send_runs((run,))
                sent += 1
        added.clear()
        self.peers = 0


def _placed(run: Run) -> InMemory:
    """Its vector and, behind it, the control message that has the kernel cut it."""
    vector, control = _VECTOR.pack(address_of(run.view), len(run.view)), b""
    if run.ancillary is not None:
        control = _CONTROL.pack(_CONTROL_BYTES, SOL_UDP, UDP_SEGMENT, run.size)
    run.placed = placed = InMemory(vector + control)
    return placed


def _named(path: Path) -> InMemory:
    path.name = name = InMemory(name_of(path.address))
    return name


def name_of(address: Address) -> bytes:
    """As the kernel takes it."""
    port = address[1].to_bytes(2, "big")
    if len(address) == 2:
        return _NAME.pack(socket.AF_INET, port, socket.inet_pton(socket.AF_INET, address[0]))
    host, _, flow, scope = address
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return _NAME_6.pack(socket.AF_INET6, port, socket.htonl(flow), packed, scope)
