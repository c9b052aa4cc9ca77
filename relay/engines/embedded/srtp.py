"""SRTP and SRTCP (RFC 3711, RFC 7714): opening what peers send, and sealing what they get.

The only module that knows libsrtp. AES-GCM, which nearly every viewer negotiates, is sealed directly: half the time per
packet, and the packet index is given rather than guessed, so that old packets can be sealed again. With keys of 256
bits by libsodium, where that is to be had: its call is the cheapest (``sodium.py``), so these are preferred then. Else
by ``cryptography``. libsrtp opens everything, and seals for the peers that know only AES-CM with HMAC-SHA1.
"""

from __future__ import annotations

from typing import Protocol

import pylibsrtp
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.engines.embedded.burst import Layout
from relay.engines.embedded.dtls import AEAD_AES_128_GCM, AEAD_AES_256_GCM, PROFILES, Profile, SrtpKeys
from relay.engines.embedded.rtp import HEADER, SEQUENCE_MASK
from relay.engines.embedded.sodium import SODIUM, Sodium

REPLAY_WINDOW = 1024  # packets: a retransmission may come a second late
MAX_SOURCES = 16  # per peer: voice, picture, their retransmissions, a few restarts

_RTP_KEY, _RTP_SALT, _RTCP_KEY, _RTCP_SALT = 0, 2, 3, 5  # labels of RFC 3711 §4.3.1
_SRTCP_ENCRYPTED = 0x80000000
_GCM_TAG_BYTES, _SHA1_TAG_BYTES = 16, 10
_pack_into = HEADER.pack_into
_GCM = (AEAD_AES_128_GCM, AEAD_AES_256_GCM)
_LIBSRTP = {
    AEAD_AES_256_GCM.name: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    AEAD_AES_128_GCM.name: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    b"SRTP_AES128_CM_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class SrtpError(ValueError):
    """A packet that does not authenticate, was seen before, or cannot be sealed."""


class StreamSealer(Protocol):
    """Seals RTP of one source."""

    def seal(self, header: bytes, payload: bytes, index: int) -> bytes:
        """The SRTP packet. ``index`` is the 48-bit packet index, whose low half the header holds. The same index
        must never be used with other content. Raises ``SrtpError``."""
        ...

    def seal_burst(self, layout: Layout, payload_type: int, shift: int, *, riding: bool = False) -> None:
        """Write a burst's packets, or the voice that is ``riding`` along, into its buffer, sealed; packet ``n`` gets
        index ``n + shift``, of which the same is true. Raises ``SrtpError``."""
        ...


class Sealer(Protocol):
    """Seals everything that one peer gets. ``tag_bytes``: how much longer a packet becomes."""

    tag_bytes: int

    def stream(self, ssrc: int) -> StreamSealer:
        """The sealer for one source."""
        ...

    def seal_rtcp(self, packet: bytes) -> bytes:
        """The SRTCP packet of a compound one. Raises ``SrtpError``."""
        ...


def sealer(keys: SrtpKeys) -> Sealer:
    """What seals for the peer with whom ``keys`` were agreed."""
    return _GcmSealer(keys) if keys.profile in _GCM else _LibSealer(keys)


def preferred() -> tuple[Profile, ...]:
    """The profiles in the order of what they cost this machine."""
    return PROFILES if SODIUM is None else tuple(sorted(PROFILES, key=lambda profile: profile != AEAD_AES_256_GCM))


def derive(key: bytes, salt: bytes, label: int, size: int) -> bytes:
    """A session key or salt (RFC 3711 §4.3.3, key derivation rate 0; RFC 7714 §11): AES-CM over the label."""
    x = bytearray(salt.ljust(16, b"\0"))  # a 96-bit salt is extended on the right (RFC 7714 §11)
    x[7] ^= label
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(x))).encryptor()
    return encryptor.update(bytes(size))


class _GcmStream:
    __slots__ = ("_encrypt", "_encrypt_into", "_iv", "_ssrc")

    def __init__(self, aead: AESGCM, salt: int, ssrc: int) -> None:
        self._encrypt = aead.encrypt
        self._encrypt_into = aead.encrypt_into
        self._ssrc = ssrc
        self._iv = salt ^ ssrc << 48  # RFC 7714 §8.1: 00 00 | SSRC | ROC | SEQ, exclusive-or the salt

    def seal(self, header: bytes, payload: bytes, index: int) -> bytes:
        return header + self._encrypt((self._iv ^ index).to_bytes(12, "big"), payload, header)

    def seal_burst(self, layout: Layout, payload_type: int, shift: int, *, riding: bool = False) -> None:
        """The engine's innermost loop: every packet to every viewer passes here, or through the one below."""
        encrypt_into, iv, ssrc, buffer = self._encrypt_into, self._iv, self._ssrc, layout.buffer
        for first, sequence, timestamp, marker, payload, at, header, body in layout.of(riding=riding):
            index = sequence + shift
            _pack_into(buffer, at, first, marker | payload_type, index & SEQUENCE_MASK, timestamp, ssrc)
            encrypt_into((iv ^ index).to_bytes(12, "big"), payload, header, body)


class _SodiumStream(_GcmStream):
    """With keys of 256 bits."""

    __slots__ = ("_key", "_sodium")

    def __init__(self, sodium: Sodium, key: bytes, aead: AESGCM, salt: int, ssrc: int) -> None:
        super().__init__(aead, salt, ssrc)
        self._sodium = sodium
        self._key = key

    def seal_burst(self, layout: Layout, payload_type: int, shift: int, *, riding: bool = False) -> None:
        sodium, key, iv, ssrc, buffer = self._sodium, self._key, self._iv, self._ssrc, layout.buffer
        encrypt, null = sodium.encrypt, sodium.null
        places = layout.places.get(riding)
        if places is None:
            places = layout.places[riding] = sodium.places(buffer, layout.of(riding=riding))
        for first, sequence, timestamp, marker, at, payload, size, clear, clear_size, body in places:
            index = sequence + shift
            _pack_into(buffer, at, first, marker | payload_type, index & SEQUENCE_MASK, timestamp, ssrc)
            encrypt(body, null, payload, size, clear, clear_size, null, (iv ^ index).to_bytes(12, "big"), key)


class _GcmSealer:
    tag_bytes = _GCM_TAG_BYTES

    def __init__(self, keys: SrtpKeys) -> None:
        key, salt = keys.local_key, keys.local_salt
        self._rtp_key = derive(key, salt, _RTP_KEY, len(key))
        self._rtp = AESGCM(self._rtp_key)
        self._rtp_salt = int.from_bytes(derive(key, salt, _RTP_SALT, 12), "big")
        self._rtcp = AESGCM(derive(key, salt, _RTCP_KEY, len(key)))
        self._rtcp_salt = int.from_bytes(derive(key, salt, _RTCP_SALT, 12), "big")
        self._rtcp_index = 0

    def stream(self, ssrc: int) -> StreamSealer:
        if SODIUM is not None and len(self._rtp_key) == AEAD_AES_256_GCM.key_bytes:
            return _SodiumStream(SODIUM, self._rtp_key, self._rtp, self._rtp_salt, ssrc)
        return _GcmStream(self._rtp, self._rtp_salt, ssrc)

    def seal_rtcp(self, packet: bytes) -> bytes:
        self._rtcp_index += 1
        iv = self._rtcp_salt ^ int.from_bytes(packet[4:8], "big") << 48 ^ self._rtcp_index  # RFC 7714 §9.1
        trailer = (_SRTCP_ENCRYPTED | self._rtcp_index).to_bytes(4, "big")
        header = packet[:8]
        return header + self._rtcp.encrypt(iv.to_bytes(12, "big"), packet[8:], header + trailer) + trailer


class _LibStream:
    __slots__ = ("_session", "_ssrc")

    def __init__(self, session: pylibsrtp.Session, ssrc: int) -> None:
        self._session = session
        self._ssrc = ssrc

    def seal(self, header: bytes, payload: bytes, index: int) -> bytes:
        try:
            return bytes(self._session.protect(header + payload))
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(f"packet {index} cannot be sealed: {error}") from error

    def seal_burst(self, layout: Layout, payload_type: int, shift: int, *, riding: bool = False) -> None:
        buffer = layout.buffer
        for first, sequence, timestamp, marker, payload, at, header, body in layout.of(riding=riding):
            index = sequence + shift
            _pack_into(buffer, at, first, marker | payload_type, index & SEQUENCE_MASK, timestamp, self._ssrc)
            buffer[at : at + len(header) + len(body)] = self.seal(bytes(header), payload, index)


class _LibSealer:
    tag_bytes = _SHA1_TAG_BYTES

    def __init__(self, keys: SrtpKeys) -> None:
        policy = _policy(keys.profile, keys.local_key + keys.local_salt, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        policy.allow_repeat_tx = True  # plain retransmission, where RTX was not agreed
        self._session = pylibsrtp.Session(policy)

    def stream(self, ssrc: int) -> StreamSealer:
        return _LibStream(self._session, ssrc)

    def seal_rtcp(self, packet: bytes) -> bytes:
        try:
            return bytes(self._session.protect_rtcp(packet))
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(f"RTCP cannot be sealed: {error}") from error


class Opener:
    """Opens what one peer sends."""

    def __init__(self, keys: SrtpKeys) -> None:
        policy = _policy(keys.profile, keys.remote_key + keys.remote_salt, pylibsrtp.Policy.SSRC_ANY_INBOUND)
        self._session = pylibsrtp.Session(policy)
        self._sources: set[bytes] = set()

    def open_rtp(self, packet: bytes) -> bytes:
        """The RTP packet. Raises ``SrtpError``."""
        source = packet[8:12]
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            raise SrtpError("too many sources")
        try:
            opened = bytes(self._session.unprotect(packet))
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(str(error)) from error
        self._sources.add(source)
        return opened

    def open_rtcp(self, packet: bytes) -> bytes:
        """The RTCP compound packet. Raises ``SrtpError``."""
        source = packet[4:8]
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            raise SrtpError("too many sources")
        try:
            opened = bytes(self._session.unprotect_rtcp(packet))
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(str(error)) from error
        self._sources.add(source)
        return opened


def _policy(profile: Profile, key: bytes, ssrc_type: int) -> pylibsrtp.Policy:
    policy = pylibsrtp.Policy(key=key, ssrc_type=ssrc_type, srtp_profile=_LIBSRTP[profile.name])
    policy.window_size = REPLAY_WINDOW
    return policy
