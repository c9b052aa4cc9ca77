"""Whose datagram is this? RFC 7983's first byte, then one dictionary look-up; never a scan over sessions.

A binding request is found by its user fragment and must prove its password; only then is its address known, and only
known addresses may speak DTLS and SRTP. Everything else is counted and dropped without a reply.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from relay.engines.embedded import ice
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.transport import MAX_ADDRESSES, Generation, Transport
from relay.engines.embedded.udp import Address, Ancillary, Path


class Demux:
    """The directory of transports by user fragment and by address."""

    def __init__(self, counters: Counters, clock: Callable[[], float]) -> None:
        self._counters = counters
        self._clock = clock
        self._by_ufrag: dict[str, tuple[Transport, Generation]] = {}
        self._by_address: dict[Address, Transport] = {}

    def add(self, transport: Transport, generation: Generation) -> None:
        """Take binding requests for these credentials."""
        self._by_ufrag[generation.local.ufrag] = (transport, generation)

    def remove(self, transport: Transport) -> None:
        """Forget a transport wholly."""
        for generation in transport.generations:
            self._by_ufrag.pop(generation.local.ufrag, None)
        for address in transport.addresses:
            self._by_address.pop(address, None)
        transport.addresses.clear()

    def forget_generation(self, transport: Transport, generation: Generation) -> None:
        """Stop taking binding requests for these credentials."""
        self._by_ufrag.pop(generation.local.ufrag, None)
        transport.generations.remove(generation)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many user fragments and addresses are known."""
        return len(self._by_ufrag), len(self._by_address)

    def receive(self, data: bytes, address: Address, ancillary: Ancillary, sock: socket.socket) -> None:
        """Dispatch one datagram."""
        first = data[0] if len(data) >= 12 else 255  # nothing shorter is any of the three
        if 128 <= first <= 191 or 20 <= first <= 63:
            transport = self._by_address.get(address)
            if transport is None:
                self._counters.datagrams_from_strangers += 1
            elif first >= 128:
                transport.on_srtp(data, self._clock())
            else:
                transport.on_dtls(data, self._clock())
        elif first <= 3:
            self._on_stun(data, address, ancillary, sock)
        else:
            self._counters.datagrams_unknown += 1

    def _on_stun(self, data: bytes, address: Address, ancillary: Ancillary, sock: socket.socket) -> None:
        user = ice.user_of(data)
        if user is None:
            self._counters.stun_malformed += 1
            return
        found = self._by_ufrag.get(user[0])
        if found is None or found[1].remote_ufrag != user[1]:
            self._counters.stun_unknown_user += 1
            return
        transport, generation = found
        request = ice.read_request(data, generation.local.password)
        if request is None:
            self._counters.stun_bad_integrity += 1
            return
        if not self._learn(transport, address):
            self._counters.stun_address_taken += 1
            return
        self._counters.stun_requests += 1
        path = transport.path
        if path is None or path.address != address or request.nominated:
            path = Path(sock, address, ancillary, self._counters)
        path.send(ice.success(request, (address[0], address[1]), generation.local.password))
        transport.take_path(path, self._clock(), chosen=request.nominated)
        if request.nominated and generation is transport.generations[-1]:
            self._retire_older(transport)

    def _learn(self, transport: Transport, address: Address) -> bool:
        """Tie an address to a transport. One that a living session speaks from stays that session's: nobody can take
        another's place by forging its address."""
        owner = self._by_address.get(address)
        if owner is transport:
            return True
        if owner is not None:
            return False
        if len(transport.addresses) >= MAX_ADDRESSES:
            current = transport.path.address if transport.path is not None else None
            oldest = next(known for known in transport.addresses if known != current)
            transport.addresses.remove(oldest)
            del self._by_address[oldest]
        transport.addresses.append(address)
        self._by_address[address] = transport
        return True

    def _retire_older(self, transport: Transport) -> None:
        for generation in transport.generations[:-1]:
            self._by_ufrag.pop(generation.local.ufrag, None)
        del transport.generations[:-1]
