"""DTLS 1.2 for one session (RFC 5763, RFC 5764), over memory: datagrams in, datagrams out, SRTP keys when done.

The only module that knows pyOpenSSL. Owns no socket and no timer: ``transport.py`` feeds it from addresses that passed
ICE, sends what ``take_outgoing`` gives, and calls ``resend`` while the handshake hangs.
"""

from __future__ import annotations

import datetime as dt
import hmac
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

MTU = 1200  # fits every path that WebRTC's media fits
_DTLS_1_2 = 0xFEFD
_RECORD_HEADER = 13
_READ_BYTES = 16 * 1024
_CERTIFICATE_DAYS = 30  # made anew at each start of the relay
_EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA"
)
_DIGESTS: dict[str, type[hashes.SHA256] | type[hashes.SHA384] | type[hashes.SHA512]] = {
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}

Role = Literal["client", "server"]
State = Literal["handshake", "established", "closed", "failed"]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``a=fingerprint``: algorithm in lower case, value as upper-case hex pairs with colons."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class Profile:
    """An SRTP protection profile by its OpenSSL name (RFC 5764 §4.1.2, RFC 7714 §14.2)."""

    name: bytes
    key_bytes: int
    salt_bytes: int


AEAD_AES_256_GCM = Profile(b"SRTP_AEAD_AES_256_GCM", 32, 12)
AEAD_AES_128_GCM = Profile(b"SRTP_AEAD_AES_128_GCM", 16, 12)
AES128_CM_SHA1_80 = Profile(b"SRTP_AES128_CM_SHA1_80", 16, 14)
PROFILES = (AEAD_AES_128_GCM, AEAD_AES_256_GCM, AES128_CM_SHA1_80)  # in order of preference, if nothing else decides


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """What the handshake agreed on: master key and salt for each direction."""

    profile: Profile
    local_key: bytes
    local_salt: bytes
    remote_key: bytes
    remote_salt: bytes


def knows_digest(algorithm: str) -> bool:
    """Whether a fingerprint of this algorithm can be checked."""
    return algorithm in _DIGESTS


class Endpoint:
    """The engine's certificate, made once at its start, and the OpenSSL context that all sessions share."""

    def __init__(self, profiles: tuple[Profile, ...] = PROFILES) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(key)
        self.fingerprint = _fingerprint(certificate, "sha-256")
        self.profiles = profiles
        self.context = SSL.Context(SSL.DTLS_METHOD)
        self.context.set_min_proto_version(_DTLS_1_2)
        self.context.set_max_proto_version(_DTLS_1_2)
        self.context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
        # No peer resumes: each joins with a new certificate. OpenSSL would keep every session, and that, for minutes.
        self.context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # Trust comes from the fingerprint in the SDP, checked after the handshake; any certificate passes until then.
        self.context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        self.context.use_certificate(certificate)
        self.context.use_privatekey(key)
        self.context.set_cipher_list(_CIPHERS)
        self.context.set_tlsext_use_srtp(b":".join(profile.name for profile in profiles))


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # a peer's clock may be behind
        .not_valid_after(now + dt.timedelta(days=_CERTIFICATE_DAYS))
        .sign(key, hashes.SHA256())
    )


def _fingerprint(certificate: x509.Certificate, algorithm: str) -> Fingerprint:
    digest = certificate.fingerprint(_DIGESTS[algorithm]())
    return Fingerprint(algorithm, digest.hex(":").upper())


class Session:
    """One DTLS association. ``keys`` is set when ``state`` turns ``established``."""

    def __init__(self, endpoint: Endpoint, role: Role, fingerprints: tuple[Fingerprint, ...]) -> None:
        self._profiles = endpoint.profiles
        self._role = role
        self._fingerprints = fingerprints
        self._connection = SSL.Connection(endpoint.context, None)
        self._connection.set_ciphertext_mtu(MTU)
        self._flight: list[bytes] = []
        self._fresh: list[bytes] = []
        self.state: State = "handshake"
        self.wrong_fingerprint = False
        self.keys: SrtpKeys | None = None
        if role == "client":
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def start(self) -> None:
        """Make the first flight, if this side is the client."""
        if self._role == "client" and self.state == "handshake":
            self._advance()

    def receive(self, datagram: bytes) -> None:
        """Take a datagram from the peer. What does not authenticate is dropped inside OpenSSL."""
        if self.state in ("closed", "failed"):
            return
        self._connection.bio_write(datagram)
        if self.state == "handshake":
            self._advance()
        else:
            self._read()

    def take_outgoing(self) -> list[bytes]:
        """The datagrams to send now; each is handed out once."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def resend(self) -> list[bytes]:
        """The newest flight again. OpenSSL's own timer starts at a whole second, which a joining pupil would feel;
        before it fires, the same records are repeated, which a peer that has them drops as replays. What OpenSSL makes
        anew then has fresh record numbers, and so draws a lost last flight from the peer."""
        if self.state != "handshake":
            return []
        if self._connection.DTLSv1_get_timeout() != 0:
            return self._flight
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error:  # it has given up; the session's own limit ends it
            return []
        self._collect()
        return self.take_outgoing()

    def close(self) -> list[bytes]:
        """The close_notify, if there is somebody to hear it. Safe to call twice."""
        if self.state != "established":
            self.state = "closed"
            return []
        self.state = "closed"
        try:
            self._connection.shutdown()
        except SSL.Error:
            return []
        self._collect()
        return self.take_outgoing()

    def _advance(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            self._collect()
            return
        except SSL.Error:
            self._collect()  # the alert that says why
            self.state = "failed"
            return
        self._collect()
        if not self._peer_is_who_signalled():
            self.wrong_fingerprint = True
            self.state = "failed"
            return
        self.keys = self._export()
        self.state = "failed" if self.keys is None else "established"

    def _read(self) -> None:
        try:
            while True:  # no data channel: whatever is said is read away and not listened to
                self._connection.recv(_READ_BYTES)
        except SSL.ZeroReturnError:
            self.state = "closed"
        except SSL.Error:
            if self._connection.get_shutdown() & SSL.RECEIVED_SHUTDOWN:  # a fatal alert of the authenticated peer
                self.state = "closed"
        self._collect()

    def _collect(self) -> None:
        data = b""
        while True:
            try:
                data += self._connection.bio_read(_READ_BYTES)
            except SSL.Error:  # WantReadError: no more
                break
        if data:
            self._flight = datagrams(data)
            self._fresh += self._flight

    def _peer_is_who_signalled(self) -> bool:
        try:
            certificate = self._connection.get_peer_certificate(as_cryptography=True)
        except ValueError:  # OpenSSL took what cryptography cannot read
            return False
        checkable = [item for item in self._fingerprints if item.algorithm in _DIGESTS]
        return (
            certificate is not None
            and bool(checkable)
            and all(
                hmac.compare_digest(item.value, _fingerprint(certificate, item.algorithm).value) for item in checkable
            )
        )

    def _export(self) -> SrtpKeys | None:
        chosen = self._connection.get_selected_srtp_profile()
        profile = next((item for item in self._profiles if item.name == chosen), None)
        if profile is None:
            return None
        size = profile.key_bytes + profile.salt_bytes
        material = self._connection.export_keying_material(_EXPORTER_LABEL, 2 * size)
        keys = material[: profile.key_bytes], material[profile.key_bytes : 2 * profile.key_bytes]
        rest = material[2 * profile.key_bytes :]
        salts = rest[: profile.salt_bytes], rest[profile.salt_bytes :]
        local, remote = (0, 1) if self._role == "client" else (1, 0)  # RFC 5764 §4.2: the client's comes first
        return SrtpKeys(profile, keys[local], salts[local], keys[remote], salts[remote])


def datagrams(flight: bytes, limit: int = MTU) -> list[bytes]:
    """Cut a flight at record borders into datagrams of at most ``limit`` bytes: a memory BIO forgets the borders."""
    found: list[bytes] = []
    position = 0
    while position < len(flight):
        length = _RECORD_HEADER + int.from_bytes(flight[position + 11 : position + 13], "big")
        record = flight[position : position + length]
        if found and len(found[-1]) + len(record) <= limit:
            found[-1] += record
        else:
            found.append(record)
        position += length
    return found
