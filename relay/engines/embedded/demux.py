"""Whose datagram is this? RFC 7983's first byte, then one dictionary look-up; never a scan over sessions.

A binding request is found by its user fragment and must prove its password; only then is its address known, and only
known addresses may speak DTLS and SRTP. A connected session that appears at a new address must answer a probe there
before anything is sent to it. Everything else is counted and dropped without a reply.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from relay.engines.embedded import ice
from relay.engines.embedded.counters import Counters
from relay.engines.embedded.transport import MAX_ADDRESSES, Generation, Transport
from relay.engines.embedded.udp import Address, Ancillary, Path

MAX_CLAIMS = 1024  # outstanding proofs; the oldest is forgotten


@dataclass(frozen=True, slots=True)
class _Claim:
    """A verified binding request that came along a path which its session has yet to prove."""

    transport: Transport
    generation: Generation
    path: Path
    nominated: bool
    answer: bytes


class Demux:
    """The directory of transports by user fragment and by address."""

    def __init__(
        self, counters: Counters, clock: Callable[[], float], own: Callable[[Path], Path] = lambda path: path
    ) -> None:
        """``own``: makes a way that a publisher shares with nobody."""
        self._counters = counters
        self._clock = clock
        self._own = own
        self._by_ufrag: dict[str, tuple[Transport, Generation]] = {}
        self._by_address: dict[Address, Transport] = {}
        self._claims: dict[bytes, _Claim] = {}  # by the transaction id of the probe

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
        self._claims = {key: claim for key, claim in self._claims.items() if claim.transport is not transport}

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
            self._on_proof(data, address)
            return
        found = self._by_ufrag.get(user[0])
        if found is None or found[1].remote.ufrag != user[1]:
            self._counters.stun_unknown_user += 1
            return
        transport, generation = found
        request = ice.read_request(data, generation.local.password)
        if request is None:
            self._counters.stun_bad_integrity += 1
            return
        self._counters.stun_requests += 1
        path = transport.path
        if path is None or not path.is_of(sock, address, ancillary):
            path = Path(sock, address, ancillary, self._counters)
        answer = ice.success(request, (address[0], address[1]), generation.local.password)
        claim = _Claim(transport, generation, path, request.nominated, answer)
        owner = self._by_address.get(address)
        if owner is transport or (owner is None and not transport.connected):
            self._take(claim)  # a new session proves its address by its DTLS handshake
        else:
            self._ask_for_proof(claim)

    def _ask_for_proof(self, claim: _Claim) -> None:
        """A session moves, or takes an address that another one spoke from. Its credentials are right, but it may have
        forged the address, to send media to a third party or to cut off the other session. The probe is all it gets."""
        transaction_id, datagram = ice.probe(claim.generation.local.ufrag, claim.generation.remote)
        while len(self._claims) >= MAX_CLAIMS:
            del self._claims[next(iter(self._claims))]
        self._claims[transaction_id] = claim
        self._counters.stun_probes += 1
        claim.path.send(datagram)

    def _on_proof(self, data: bytes, address: Address) -> None:
        claim = self._claims.get(ice.answered(data) or b"")
        if claim is None or claim.path.address != address or not ice.proves(data, claim.generation.remote):
            self._counters.stun_malformed += 1
            return
        self._claims = {key: other for key, other in self._claims.items() if other.path.address != address}
        if not claim.transport.closed:
            self._take(claim)

    def _take(self, claim: _Claim) -> None:
        transport = claim.transport
        claim.path.send(claim.answer)
        self._learn(transport, claim.path.address)
        transport.take_path(claim.path, self._clock(), chosen=claim.nominated)
        if transport.connected and transport.user.accepts_rtp:
            transport.leave_shared(self._own)
        if claim.nominated and claim.generation is transport.generations[-1]:
            self._retire_older(transport)

    def _learn(self, transport: Transport, address: Address) -> None:
        """Tie an address to a transport."""
        owner = self._by_address.get(address)
        if owner is transport:
            return
        if owner is not None:  # it left without a goodbye
            owner.leave(address)
        if len(transport.addresses) >= MAX_ADDRESSES:
            current = transport.path.address if transport.path is not None else None
            oldest = next(known for known in transport.addresses if known != current)
            transport.addresses.remove(oldest)
            del self._by_address[oldest]
        transport.addresses.append(address)
        self._by_address[address] = transport

    def _retire_older(self, transport: Transport) -> None:
        for generation in transport.generations[:-1]:
            self._by_ufrag.pop(generation.local.ufrag, None)
        del transport.generations[:-1]
