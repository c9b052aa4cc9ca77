"""What the engine counted since it started, for ``/metrics`` and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Totals of the whole engine. Plain integers, so that counting costs no more than an addition."""

    datagrams_received: int = 0
    datagrams_oversized: int = 0
    datagrams_unknown: int = 0  # RFC 7983: no protocol of ours
    datagrams_from_strangers: int = 0  # DTLS or SRTP from an address that proved nothing
    socket_errors: int = 0

    stun_requests: int = 0  # verified
    stun_malformed: int = 0
    stun_unknown_user: int = 0
    stun_bad_integrity: int = 0
    stun_probes: int = 0  # asked to prove a new address

    dtls_established: int = 0
    dtls_failed: int = 0
    dtls_wrong_fingerprint: int = 0

    srtp_rejected: int = 0  # wrong key, replay, or too many sources
    rtp_malformed: int = 0
    rtp_unexpected: int = 0  # from a viewer, or of a payload type that was not agreed
    rtp_late: int = 0  # older than what can still be forwarded
    rtcp_malformed: int = 0

    packets_received: int = 0
    bytes_received: int = 0
    packets_recovered: int = 0  # lost on the publisher's leg, and sent again in time
    packets_lost: int = 0  # given up
    packets_sent: int = 0
    bytes_sent: int = 0
    packets_resent: int = 0
    send_blocked: int = 0  # the socket's buffer was full
    send_failed: int = 0  # the network refused

    nacks_sent: int = 0
    nacks_received: int = 0
    nacks_unanswered: int = 0  # no longer in the history, asked again too soon, or over the viewer's budget
    plis_sent: int = 0
    plis_received: int = 0

    sessions_opened: int = 0
    sessions_ended: int = 0
    sessions_expired: int = 0

    @property
    def send_dropped(self) -> int:
        """Packets that did not leave."""
        return self.send_blocked + self.send_failed

    def as_mapping(self) -> Mapping[str, int]:
        """A snapshot by name."""
        return asdict(self)
