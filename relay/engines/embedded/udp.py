"""The one UDP port: an IPv4 and an IPv6 socket with the same number, drained in batches, and the way back to a peer.

A publisher gets a socket to itself on the same port: the kernel puts what comes from its address into that socket's own
buffer, so that no flood of strangers, whatever they send, pushes a lesson's packets out.

Knows nothing of what travels, apart from what ``doorkeeper.py`` has the kernel turn away. A reply leaves from the very
address that the peer wrote to, or its ICE agent would not know it: where the kernel would choose another one, the
packet carries it along (RFC 3542's PKTINFO).
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import struct
from collections.abc import Callable, Sequence
from copy import copy

from relay.engines.embedded.burst import SOL_UDP, UDP_SEGMENT, Run
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.doorkeeper import keep_door, turned_away
from relay.engines.embedded.memory import InMemory

Address = tuple[str, int] | tuple[str, int, int, int]
Ancillary = Sequence[tuple[int, int, bytes]]
Receive = Callable[[bytes, Address, Ancillary, socket.socket], None]

MAX_DATAGRAM = 1500  # larger ones cannot have come over Ethernet unfragmented, and none of ours is
BUFFER_BYTES = 4 * 1024 * 1024  # a second of a busy relay; the kernel caps it at net.core.[rw]mem_max
BATCH = 64  # datagrams per wake-up, so that a flood leaves time for timers
MAX_OWN = 256  # publishers with a socket to themselves; further ones share, as viewers do
PORT_TRIES = 16  # port 0: the number that IPv4 gave may be taken on IPv6

_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50  # linux/in6.h; not in Python's socket module on every platform
_IP_PKTINFO = 8  # linux/in.h
_ANCILLARY_BYTES = 64
_CUT_OFF = int(socket.MSG_TRUNC)  # the enumeration's own "&" costs as much as the rest of a datagram's way
#: No checksum offload on the way out; packets larger than the path takes, which only a plain send cuts by IP.
_NO_SEGMENTS = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP})
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


class Path:
    """The way to one peer: which socket, which remote address, and which local address if it must be named."""

    __slots__ = ("_ancillary", "_counters", "_segments", "address", "give_back", "local", "name", "socket")

    def __init__(self, sock: socket.socket, address: Address, ancillary: Ancillary, counters: Counters) -> None:
        self.socket = sock
        self.address = address
        self.local = _local_address(ancillary)
        self.name: InMemory | None = None  # the address, as ``batch.py`` has the kernel read it
        self.give_back: Callable[[], None] = lambda: None
        self._counters = counters
        self._ancillary = _source_to_name(address, ancillary)
        self._segments = knows_segments(sock)

    @property
    def is_plain(self) -> bool:
        """Whether a datagram's address is all that the kernel must be told, and it cuts what is to be cut."""
        return self._segments and self._ancillary is None

    def is_of(self, sock: socket.socket, address: Address, ancillary: Ancillary) -> bool:
        """Whether a datagram that came so came along this way. Cheap, where making another one is not."""
        return address == self.address and sock is self.socket and _local_address(ancillary) == self.local

    def through(self, sock: socket.socket, give_back: Callable[[], None]) -> Path:
        """The same way by another socket of this port; ``give_back`` closes that."""
        path = copy(self)
        path.socket, path.give_back = sock, give_back
        return path

    def send(self, data: bytes | memoryview) -> None:
        """Send now or drop: a full buffer is loss like any other, and must delay nobody else."""
        try:
            if self._ancillary is None:
                self.socket.sendto(data, self.address)
            else:
                self.socket.sendmsg([data], self._ancillary, 0, self.address)
        except BlockingIOError:
            self._counters.send_blocked += 1
        except OSError:
            self._counters.send_failed += 1

    def send_runs(self, runs: Sequence[Run]) -> None:
        """Send a burst as ``send`` would its packets, with one system call for each run where the kernel cuts it."""
        for run in runs:
            if run.ancillary is None:
                self.send(run.view)
            elif not self._segments or not self._send_segments(run.view, run.ancillary, run.count):
                for part in run.parts:
                    self.send(part)

    def _send_segments(self, view: memoryview, ancillary: Ancillary, count: int) -> bool:
        """``False``: not to be had on this path, and nothing was sent."""
        if self._ancillary is not None:
            ancillary = [*self._ancillary, *ancillary]
        try:
            self.socket.sendmsg([view], ancillary, 0, self.address)
        except BlockingIOError:
            self._counters.send_blocked += count
        except OSError as error:
            if error.errno in _NO_SEGMENTS:
                self._segments = False
                return False
            self._counters.send_failed += count
        return True


def knows_segments(sock: socket.socket) -> bool:
    """Whether the kernel cuts one buffer into datagrams (UDP_SEGMENT). A path may still refuse it."""
    try:
        sock.getsockopt(SOL_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return True


def _source_to_name(address: Address, ancillary: Ancillary) -> Ancillary | None:
    """The PKTINFO to send with; ``None`` where the kernel picks the same source address by itself."""
    for level, kind, data in ancillary:
        local = _local_of(level, kind, data)
        if local is not None:
            info = struct.pack("@i4s4s", 0, local, bytes(4)) if len(local) == 4 else local + bytes(4)
            return None if _default_source(address) == local else [(level, kind, info)]
    return None


def _local_of(level: int, kind: int, data: bytes) -> bytes | None:
    """Our own address, packed, that a datagram was sent to."""
    if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(data) >= 8:
        return data[4:8]
    if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO and len(data) >= 16:
        return data[:16]
    return None


def _local_address(ancillary: Ancillary) -> bytes | None:
    """The same, of all that came with a datagram."""
    return next((found for item in ancillary if (found := _local_of(*item)) is not None), None)


def _default_source(address: Address) -> bytes | None:
    """The source address that routing gives towards ``address``; connecting a UDP socket sends nothing."""
    family = socket.AF_INET if len(address) == 2 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]).packed
    except OSError:
        return None


class UdpPort:
    """Both sockets, and those of publishers.

    ``house``: what every user fragment that is known here begins with.
    """

    def __init__(self, counters: Counters, house: str) -> None:
        self._receive: Receive = lambda *_: None
        self._counters = counters
        self._house = house
        self._sockets: list[socket.socket] = []
        self._own: set[socket.socket] = set()  # of one peer each
        self._turned_away = 0  # at sockets that are closed
        self.port = 0

    def open(self, host: str, port: int, receive: Receive) -> None:
        """Bind ``port`` (0: any that is free on both families) and read: ``receive`` is called for every datagram on
        the event loop. ``host`` empty: all addresses of both families. Raises ``OSError``."""
        self._receive = receive
        self._sockets = _bind(host, port)
        self.port = self._sockets[0].getsockname()[1]
        for sock in self._sockets:
            self._read(sock, sock, None)

    def close(self) -> None:
        """Release the port."""
        for sock in [*self._own, *self._sockets]:
            self._close(sock)
        self._own.clear()
        self._sockets.clear()

    @property
    def families(self) -> frozenset[int]:
        """The address families that are bound."""
        return frozenset(sock.family for sock in self._sockets)

    @property
    def turned_away(self) -> int:
        """How many datagrams the kernel kept from us: strangers' checks, and what found a buffer full."""
        return self._turned_away + sum(turned_away(sock) for sock in [*self._own, *self._sockets])

    def own(self, path: Path) -> Path:
        """The same way through a socket that hears this peer alone, which its owner gives back; ``path`` itself if it
        has one, or none is to be had."""
        shared = path.socket
        if shared in self._own or shared.fileno() < 0 or path.local is None or len(self._own) >= MAX_OWN:
            return path
        try:
            sock = _connected(shared, str(ipaddress.ip_address(path.local)), self.port, path.address)
        except OSError:  # out of descriptors, or the address went: the shared one serves as before
            return path
        self._own.add(sock)
        self._read(sock, shared, path.address)
        return path.through(sock, lambda: self._give_back(sock))

    def _give_back(self, sock: socket.socket) -> None:
        if sock in self._own:  # from here on the peer is heard on the shared one
            self._own.discard(sock)
            self._close(sock)

    def _read(self, sock: socket.socket, shared: socket.socket, peer: Address | None) -> None:
        keep_door(sock, self._house)
        asyncio.get_running_loop().add_reader(sock, self._drain, sock, shared, peer)

    def _close(self, sock: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(sock)
        self._turned_away += turned_away(sock)
        sock.close()

    def _drain(self, sock: socket.socket, shared: socket.socket, peer: Address | None) -> None:
        counters, receive = self._counters, self._receive
        for _ in range(BATCH):
            try:
                data, ancillary, flags, address = sock.recvmsg(MAX_DATAGRAM, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error that the kernel reports on the socket concerns some peer, not us
                counters.socket_errors += 1
                return
            counters.datagrams_received += 1
            if flags & _CUT_OFF:
                counters.datagrams_oversized += 1
            else:
                # Others got in between bind and connect: they are answered by the socket that stays.
                receive(data, address, ancillary, sock if address == peer else shared)
            if sock.fileno() < 0:  # closed by what it received
                return


def _connected(shared: socket.socket, local: str, port: int, address: Address) -> socket.socket:
    """A socket on a port that another one has.

    That one shares it for this moment only, so that a second relay still finds the port taken.
    """
    sock = socket.socket(shared.family, socket.SOCK_DGRAM)
    try:
        _prepare(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            scope = (0, address[3]) if len(address) == 4 else ()
            sock.bind((local, port, *scope))
            sock.connect(address)
        finally:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    except OSError:
        sock.close()
        raise
    return sock


def _bind(host: str, port: int) -> list[socket.socket]:
    for attempt in range(PORT_TRIES):
        try:
            return _bind_once(host, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or attempt == PORT_TRIES - 1:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _bind_once(host: str, port: int) -> list[socket.socket]:
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return [_socket(family, host, port)]
    first = _socket(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - the relay serves all of its addresses
    try:
        second = _socket(socket.AF_INET6, "::", first.getsockname()[1])
    except OSError as error:
        if error.errno in _NO_IPV6:
            return [first]
        first.close()
        raise
    return [first, second]


def _socket(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        _prepare(sock)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
