"""The packet codecs: RTP, RTCP, H.264 key frames, STUN, SRTP, DTLS datagrams."""

from __future__ import annotations

import os
import platform
import struct
import subprocess
import sys
import zlib
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pylibsrtp
import pytest
from aioice import stun
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.engines.embedded import dtls, h264, ice, rtcp, rtp, sodium, srtp
from relay.engines.embedded.burst import Burst

BLOCKS = st.builds(
    rtcp.ReportBlock,
    ssrc=st.integers(0, 2**32 - 1),
    fraction_lost=st.integers(0, 255),
    lost=st.integers(-(2**23), 2**23 - 1),
    highest=st.integers(0, 2**32 - 1),
    jitter=st.integers(0, 2**32 - 1),
    lsr=st.integers(0, 2**32 - 1),
    dlsr=st.integers(0, 2**32 - 1),
)


def test_the_relay_loads_no_decoder() -> None:
    code = "import sys, relay.engines.embedded; sys.exit(len({'av', 'aiortc', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(max_examples=500)
@given(st.binary(max_size=100))
def test_rtp_is_read_or_rejected(data: bytes) -> None:
    for packet in (data, b"\x80" + data, b"\xbf" + data):
        try:
            payload_type, marker, *_, payload = rtp.read(packet)
        except rtp.RtpError:
            continue
        assert payload_type < 128
        assert marker in (0, rtp.MARKER)
        assert len(payload) <= len(packet) - 12


@given(st.lists(st.integers(-500, 500), max_size=200), st.integers(0, 0xFFFF))
def test_sequence_numbers_unwrap_through_reordering(steps: list[int], first: int) -> None:
    unwrapper = rtp.Unwrapper(first)
    number = first
    for step in steps:
        number = max(0, number + step)
        assert unwrapper.unwrap(number & 0xFFFF) == number


@settings(max_examples=500)
@given(st.binary(max_size=120), st.sampled_from([200, 201, 202, 203, 205, 206]), st.integers(0, 31))
def test_rtcp_is_read_or_rejected(body: bytes, kind: int, count: int) -> None:
    whole = body[: len(body) // 4 * 4]
    for packet in (body, struct.pack("!BBH", 0x80 | count, kind, len(whole) // 4) + whole):
        try:
            rtcp.read(packet)
        except rtcp.RtcpError:
            continue


@given(st.lists(BLOCKS, max_size=31))
def test_a_receiver_report_reads_as_written(blocks: list[rtcp.ReportBlock]) -> None:
    assert rtcp.read(rtcp.receiver_report(7, blocks)) == [rtcp.ReceiverReport(7, tuple(blocks))]


def test_a_sender_report_reads_as_written() -> None:
    compound = rtcp.sender_report(7, 2**63 + 5, 2**32 - 1, 3, 4) + rtcp.cname(7, "name")
    assert rtcp.read(compound) == [rtcp.SenderReport(7, 2**63 + 5, 2**32 - 1, 3, 4, ())]


@given(st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=60), st.integers(0, 0xFFFF))
def test_a_nack_asks_for_exactly_what_was_given(sequences: set[int], first: int) -> None:
    in_order = sorted(sequences, key=lambda number: (number - first) & 0xFFFF)
    (item,) = rtcp.read(rtcp.nack(1, 2, in_order))
    assert isinstance(item, rtcp.Nack)
    assert set(item.sequences) == sequences
    assert len(item.sequences) == len(sequences)


def test_key_frame_requests_and_estimates_are_read() -> None:
    fir = struct.pack("!BBHIIIB3x", 0x84, 206, 4, 1, 0, 99, 1)
    remb = struct.pack("!BBHII4sB3sI", 0x8F, 206, 5, 1, 0, b"REMB", 1, (3 << 18 | 1000).to_bytes(3, "big"), 9)
    assert rtcp.read(rtcp.pli(1, 98) + fir + remb) == [
        rtcp.KeyFrameRequest(98),
        rtcp.KeyFrameRequest(99),
        rtcp.Remb(8000),
    ]


def test_transport_wide_feedback_is_not_taken_for_a_nack() -> None:
    assert rtcp.read(struct.pack("!BBHII", 0x8F, 205, 3, 1, 2) + bytes(4)) == []


@pytest.mark.parametrize("length", range(12))
def test_the_name_is_padded_to_whole_words(length: int) -> None:
    packet = rtcp.cname(1, "n" * length)
    assert len(packet) % 4 == 0
    assert packet.endswith(b"\0")
    assert rtcp.read(packet) == []


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        pytest.param(b"\x67\x42\xe0\x1f", True, id="parameter set"),
        pytest.param(b"\x65\x88", True, id="IDR in one packet"),
        pytest.param(b"\x7c\x85\x88", True, id="first fragment of an IDR"),
        pytest.param(b"\x7c\x05\x88", False, id="middle fragment of an IDR"),
        pytest.param(b"\x7c\x45\x88", False, id="last fragment of an IDR"),
        pytest.param(b"\x7c\x81\x88", False, id="first fragment of another picture"),
        pytest.param(b"\x78\x00\x02\x67\x42\x00\x02\x68\xce", True, id="aggregate with a parameter set"),
        pytest.param(b"\x78\x00\x02\x09\xf0\x00\x02\x67\x42", True, id="aggregate with a delimiter first"),
        pytest.param(b"\x78\x00\x02\x41\x9a", False, id="aggregate of another picture"),
        pytest.param(b"\x41\x9a", False, id="another picture"),
        pytest.param(b"\x78\xff\xff", False, id="aggregate cut off"),
        pytest.param(b"\x78\x00\x00", False, id="aggregate of nothing"),
        pytest.param(b"\x67", False, id="one byte"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_a_key_frame_is_told_by_its_first_packet(payload: bytes, starts: bool) -> None:
    assert h264.starts_key_frame(payload) == starts


@given(st.binary(max_size=60))
def test_any_payload_is_a_key_frame_or_is_not(payload: bytes) -> None:
    assert h264.starts_key_frame(payload) in (True, False)
    assert h264.starts_key_frame(b"\x78" + payload) in (True, False)


@settings(max_examples=500)
@given(st.binary(max_size=120))
def test_any_datagram_is_a_check_or_is_not(data: bytes) -> None:
    framed = b"\x00\x01" + len(data).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + data
    for datagram in (data, framed):
        assert ice.user_of(datagram) is None or datagram is framed
        assert ice.read_request(datagram, "p" * 22) is None


_PASSWORD = "p" * 22
_checks = st.fixed_dictionaries(
    {"USERNAME": st.just("house+local:remote"), "PRIORITY": st.integers(0, 0xFFFFFFFF)},
    optional={
        "USE-CANDIDATE": st.none(),
        "ICE-CONTROLLING": st.integers(0, 2**64 - 1),
        "SOFTWARE": st.text(max_size=9),
    },
)


def _check(attributes: dict[str, object], password: str) -> bytes:
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=dict(attributes))
    request.add_message_integrity(password.encode())
    return bytes(request)


@given(attributes=_checks)
def test_a_check_is_read_as_another_implementation_writes_it(attributes: dict[str, object]) -> None:
    data = _check(attributes, _PASSWORD)
    expected = ice.BindingRequest(data[8:20], nominated="USE-CANDIDATE" in attributes)
    assert ice.read_request(data, _PASSWORD) == expected
    assert ice.read_request(_check(attributes, "another's"), _PASSWORD) is None


@given(attributes=_checks, at=st.integers(0), bits=st.integers(1, 255))
def test_a_check_with_one_byte_changed_is_none(attributes: dict[str, object], at: int, bits: int) -> None:
    data = bytearray(_check(attributes, _PASSWORD))
    data[at % len(data)] ^= bits
    assert ice.read_request(bytes(data), _PASSWORD) is None


@given(attributes=_checks, kind=st.integers(0, 0xFFFF), value=st.binary(max_size=20), fingerprint=st.booleans())
def test_what_follows_the_signature_of_a_check_is_not_read(
    attributes: dict[str, object], kind: int, value: bytes, fingerprint: bool
) -> None:
    """Whoever is on the way can add an attribute there, and a fingerprint that holds, but no signature."""
    signed = _check(attributes, _PASSWORD)[:-8]
    added = struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)
    longer = signed[:2] + (len(signed) - 20 + len(added) + 8 * fingerprint).to_bytes(2, "big") + signed[4:] + added
    if fingerprint:
        longer += struct.pack("!HHI", 0x8028, 4, zlib.crc32(longer) ^ 0x5354554E)
    found = ice.read_request(longer, _PASSWORD)
    assert found is None or (fingerprint and found.nominated == ("USE-CANDIDATE" in attributes))


@given(
    transaction_id=st.binary(min_size=12, max_size=12),
    address=st.ip_addresses(),
    port=st.integers(0, 0xFFFF),
    password=st.text(alphabet="aB3+/", min_size=22, max_size=24),
)
def test_the_answer_to_a_check_is_what_another_implementation_writes(
    transaction_id: bytes, address: IPv4Address | IPv6Address, port: int, password: str
) -> None:
    written = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.RESPONSE,
        transaction_id=transaction_id,
        attributes={"XOR-MAPPED-ADDRESS": (str(address), port)},
    )
    written.add_message_integrity(password.encode())
    request = ice.BindingRequest(transaction_id, nominated=False)
    assert ice.success(request, (str(address), port), password) == bytes(written)


@given(st.lists(st.binary(min_size=0, max_size=400), min_size=1, max_size=12))
def test_a_flight_is_cut_between_records(bodies: list[bytes]) -> None:
    records = [b"\x16\xfe\xfd" + bytes(8) + len(body).to_bytes(2, "big") + body for body in bodies]
    cut = dtls.datagrams(b"".join(records), 600)
    assert b"".join(cut) == b"".join(records)
    assert all(len(datagram) <= 600 for datagram in cut)
    starts = {sum(map(len, records[:place])) for place in range(len(records))}
    assert {sum(map(len, cut[:place])) for place in range(len(cut))} <= starts


def keys(profile: dtls.Profile) -> dtls.SrtpKeys:
    key, salt = os.urandom(profile.key_bytes), os.urandom(profile.salt_bytes)
    return dtls.SrtpKeys(profile, key, salt, key, salt)


def header(index: int, ssrc: int = 0xDECAFBAD) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, index & 0xFFFF, 1234, ssrc)


@pytest.mark.parametrize("profile", dtls.PROFILES)
def test_libsrtp_opens_what_is_sealed_here_across_a_rollover(profile: dtls.Profile) -> None:
    agreed = keys(profile)
    stream, opener = srtp.sealer(agreed).stream(0xDECAFBAD), srtp.Opener(agreed)
    for index in range(30_000, 140_000, 10_000):
        assert opener.open_rtp(stream.seal(header(index), b"payload", index)) == header(index) + b"payload"


GCM = {
    dtls.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    dtls.AEAD_AES_256_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


def libsrtp(agreed: dtls.SrtpKeys) -> pylibsrtp.Session:
    """Another implementation that seals by these keys."""
    key, profile = agreed.local_key + agreed.local_salt, GCM[agreed.profile]
    policy = pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
    return pylibsrtp.Session(policy)


@pytest.mark.parametrize("profile", GCM)
def test_gcm_seals_byte_for_byte_what_libsrtp_seals(profile: dtls.Profile) -> None:
    agreed = keys(profile)
    reference, mine = libsrtp(agreed), srtp.sealer(agreed)
    stream = mine.stream(0xDECAFBAD)
    for index in (7, 8, 40_000, 65_535, 65_536, 65_600):
        assert stream.seal(header(index), b"board", index) == reference.protect(header(index) + b"board")
    for compound in (rtcp.receiver_report(5), rtcp.sender_report(5, 1, 2, 3, 4) + rtcp.cname(5, "name")):
        assert mine.seal_rtcp(compound) == reference.protect_rtcp(compound)


@pytest.mark.parametrize("without_sodium", [False, True])
@pytest.mark.parametrize("timed", [0, 3])
@pytest.mark.parametrize("profile", GCM)
def test_a_burst_is_byte_for_byte_what_libsrtp_seals(
    monkeypatch: pytest.MonkeyPatch, profile: dtls.Profile, timed: int, without_sodium: bool
) -> None:
    if without_sodium:
        monkeypatch.setattr(srtp, "SODIUM", None)
    agreed = keys(profile)
    reference, sealer, shift = libsrtp(agreed), srtp.sealer(agreed), 65_530
    pictures = [rtp.Packet(number, 90, 0, os.urandom(40 + number % 3)) for number in range(9)]
    voice = [rtp.Packet(number, 48, 0, os.urandom(20)) for number in (3, 4)]
    burst = Burst(pictures, 1.0, Burst(voice, 1.0))
    layout = burst.layout(sealer.tag_bytes, timed, 0)
    for number in range(2):  # the second time over what the first left there
        layout = burst.layout(sealer.tag_bytes, timed, 0, number=number)
        sealer.stream(0xDECAFBAD).seal_burst(layout, 96, shift)
        sealer.stream(0xFACADE).seal_burst(layout, 111, 0, riding=True)
    sealed = [bytes(part) for run in layout.runs for part in run.parts]
    clear = []
    for packet, payload_type, ssrc, added in [
        *((packet, 96, 0xDECAFBAD, shift) for packet in pictures),
        *((packet, 111, 0xFACADE, 0) for packet in voice),
    ]:
        extension = rtp.send_time(timed, 1.0) if timed and ssrc == 0xDECAFBAD else b""
        first = rtp.VERSION | (rtp.EXTENDED if extension else 0) | (rtp.PADDED if packet.padding else 0)
        index = packet.sequence + added & 0xFFFF
        clear.append(rtp.HEADER.pack(first, payload_type, index, packet.timestamp, ssrc) + extension + packet.padded)
    assert sealed == [reference.protect(packet) for packet in clear]


def test_libsodium_is_used_where_the_processor_has_instructions_for_it() -> None:
    """PyNaCl's private name has moved, or it is built otherwise, if this fails: bursts then cost twice as much."""
    processor = Path("/proc/cpuinfo").read_text()
    if not {"aes", "pclmulqdq"} <= set(processor.split()) or platform.machine() != "x86_64":
        pytest.skip("a processor without AES instructions, or one of which this test knows nothing")
    assert sodium.SODIUM is not None
    assert srtp.preferred()[0] == dtls.AEAD_AES_256_GCM


def test_without_libsodium_the_shorter_key_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srtp, "SODIUM", None)
    assert srtp.preferred() == dtls.PROFILES
    assert dtls.PROFILES[0] == dtls.AEAD_AES_128_GCM


@pytest.mark.parametrize("profile", dtls.PROFILES)
def test_an_old_packet_sealed_again_is_the_same(profile: dtls.Profile) -> None:
    stream = srtp.sealer(keys(profile)).stream(0xDECAFBAD)
    first = {index: stream.seal(header(index), b"x", index) for index in range(65_000, 66_000)}
    assert stream.seal(header(65_100), b"x", 65_100) == first[65_100]


@pytest.mark.parametrize("profile", dtls.PROFILES)
def test_a_packet_that_was_changed_seen_or_is_nonsense_is_refused(profile: dtls.Profile) -> None:
    agreed = keys(profile)
    opener = srtp.Opener(agreed)
    sealed = srtp.sealer(agreed).stream(0xDECAFBAD).seal(header(9), b"payload", 9)
    opener.open_rtp(sealed)
    for bad in (sealed, sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:12], b"\x80" * 12, b"\x80" * 2000):
        with pytest.raises(srtp.SrtpError):
            opener.open_rtp(bad)
    for bad in (b"\x80\xc9\0\1" + bytes(8), b"\x80" * 12, b"\x80\xc8" * 1000):
        with pytest.raises(srtp.SrtpError):
            opener.open_rtcp(bad)
