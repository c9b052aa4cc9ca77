"""What is fuzzed: each target takes any bytes, and raises only when something is wrong with the relay.

Used by the fuzzer (``__main__.py``) and by ``test_corpus.py``, which replays what was kept.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

from relay.engines.base import PictureChoice
from relay.engines.embedded import EmbeddedEngine, agreement, ice, rtcp, rtp
from relay.engines.embedded import sdp as descriptions
from relay.engines.embedded.agreement import Candidate, Local
from relay.engines.embedded.h264 import starts_key_frame
from relay.errors import FragmentRejected, OfferRejected, RelayError
from relay.web.sessions import text_of
from tests.fuzz.stage import ADDRESSES, PEER, RELAY, Doorstep, Lesson
from tests.relay.engines.raw_peer import endpoint

MOST_PARTS = 64
MOST_AMPLIFIED = 3  # RFC 9000's bound for unverified peers; ours is one, for what is no DTLS handshake
LOCAL = Local(
    session_number=1,
    credentials=RELAY,
    fingerprint=endpoint().fingerprint,
    candidates=(Candidate("192.0.2.9", 8189, 1),),
)


def parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """``data`` as a sequence of tagged pieces: a tag, a length of two bytes, so many bytes."""
    position = 0
    for _ in range(MOST_PARTS):
        if position + 3 > len(data):
            return
        tag, length = struct.unpack_from("!BH", data, position)
        yield tag, data[position + 3 : position + 3 + length]
        position += 3 + length


def signed(attributes: bytes, password: str) -> bytes:
    """A STUN message of these attributes (and the header's first two bytes), signed as its owner would."""
    head, body = attributes[:2].ljust(2, b"\0"), attributes[2:1200]
    body += bytes(-len(body) % 4)

    def message(length: int) -> bytes:
        return head + struct.pack("!HI", length, 0x2112A442) + bytes(12) + body

    mac = hmac.new(password.encode(), message(len(body) + 24), hashlib.sha1).digest()
    body += struct.pack("!HH", 0x0008, 20) + mac
    body += struct.pack("!HHI", 0x8028, 4, zlib.crc32(message(len(body) + 8)) ^ 0x5354554E)
    return message(len(body))


def told(refused: RelayError) -> None:
    """A refusal is one line, and its sender's or the moment's fault."""
    assert 400 <= refused.status <= 503
    assert refused.status != 500
    assert len(str(refused).splitlines()) == 1


def demultiplexer(data: bytes) -> None:
    """Datagrams from a few addresses, some of them signed with the session's own password."""
    door, came = Doorstep(), dict.fromkeys(ADDRESSES, 0)
    for tag, piece in parts(data):
        address = ADDRESSES[tag & 7]
        datagram = signed(piece, RELAY.password) if tag & 0x80 else piece[:1500]
        before = door.counters.stun_requests
        door.receive(datagram, address)
        came[address] += len(datagram)
        if door.counters.stun_requests == before and not door.transport.addresses:
            assert door.wire.octets == {}, "a stranger was answered"
    users, addresses = door.demux.sizes
    assert users <= 1
    assert addresses <= len(ADDRESSES)
    for address, octets in door.wire.octets.items():
        if address not in door.transport.addresses:
            assert octets <= MOST_AMPLIFIED * came[address], "somebody who proved nothing was sent more than they sent"


def stun(data: bytes) -> None:
    """One binding request or response, as it is and signed."""
    for datagram in (data[:1500], signed(data, RELAY.password), signed(data, PEER.password)):
        ice.user_of(datagram)
        ice.answered(datagram)
        ice.proves(datagram, PEER)
        request = ice.read_request(datagram, RELAY.password)
        if request is not None:
            assert len(ice.success(request, ADDRESSES[0], RELAY.password)) <= 100


def sdp(data: bytes) -> None:
    """An offer and a fragment. What was taken can be answered."""
    text = data.decode("utf-8", "replace")
    for take, outgoing in (
        (agreement.agree_to_publish, None),
        (agreement.agree_to_watch, agreement.Outgoing(1, 2, "c")),
    ):
        try:
            taken = take(descriptions.read_offer(text))
        except OfferRejected as refused:
            told(refused)
            continue
        sources = {line.kind: outgoing for line in taken.lines} if outgoing is not None else None
        answer = agreement.write_answer(taken, LOCAL, sources)
        assert answer.count("\r\nm=") == len(taken.lines)
        assert all(line[1:2] == "=" for line in answer.split("\r\n")[:-1]), "an offer's line got into the answer"
    try:
        descriptions.read_fragment(text)
    except FragmentRejected as refused:
        told(refused)


def rtp_packets(data: bytes) -> None:
    """A publisher's packets (already authenticated), while time passes and viewers change their minds. No number is
    ever sealed with two contents (``stage.Ledger``)."""
    lesson = Lesson()
    choices: tuple[PictureChoice, ...] = ("auto", "full", "slow", "voice")
    for tag, piece in parts(data):
        with suppress(rtp.RtpError):
            starts_key_frame(rtp.read(piece)[5])
        lesson.publisher.on_rtp(piece, lesson.now_s)
        if tag & 0x40:
            lesson.pass_time((tag & 0x0F) / 20)
        if tag & 0x80:
            lesson.viewers[tag & 1].choose_picture(choices[tag >> 1 & 3], lesson.now_s)
    lesson.pass_time(3.0)
    for viewer in lesson.viewers:
        for outlet in viewer.outlets.values():
            assert outlet.packets <= 4 * MOST_PARTS


def rtcp_packets(data: bytes) -> None:
    """Compounds of the publisher and of viewers (already authenticated), in a running lesson."""
    lesson = Lesson()
    for number in range(40):
        head = b"\x67\x42\xe0\x1f" if number % 20 == 0 else b"\x41\x9a\0\1"
        packet = struct.pack("!BBHII", 0x80, 0x80 | 106, number, 3000 * number, 7) + head + bytes(100)
        lesson.publisher.on_rtp(packet, lesson.now_s)
        lesson.pass_time(0.02)
    ours = [outlet.outgoing.ssrc for viewer in lesson.viewers for outlet in viewer.outlets.values()]
    takers = [lesson.publisher.on_rtcp, *(viewer.on_rtcp for viewer in lesson.viewers)]
    sent = sum(lesson.wire.octets.values())
    for tag, piece in parts(data):
        compound = piece
        for place, ssrc in enumerate(ours):  # the fuzzer cannot guess a source: 00 00 0f 0n stands for ours
            compound = compound.replace(struct.pack("!HBB", 0, 15, place), ssrc.to_bytes(4, "big"))
        with suppress(rtcp.RtcpError):
            rtcp.read(compound)
        takers[(tag & 3) % 3](compound, lesson.now_s)
        if tag & 0x40:
            lesson.pass_time((tag & 0x0F) / 20)
    assert sum(lesson.wire.octets.values()) - sent < 1_000_000, "feedback made the relay flood"


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def whip_body(data: bytes) -> None:
    """Bodies of POST and PATCH, through the engine: what is refused leaves nothing behind, what is taken can be
    ended."""
    _loop().run_until_complete(_whip(data))


async def _whip(data: bytes) -> None:
    engine = EmbeddedEngine(port=0, advertise=("127.0.0.1",))
    await engine.start()
    try:
        sessions: list[str] = []
        for tag, piece in parts(data):
            try:
                text = text_of(piece)
                if tag & 1:
                    sessions.append(engine.publish("7B", f"kit{tag >> 4}", text).session_id)
                elif tag & 2 and sessions:
                    engine.patch(sessions[-1], text)
                else:
                    sessions.append(engine.watch("7B", text).session_id)
            except RelayError as refused:
                told(refused)
        open_now = engine.counters()["sessions_now"]
        assert open_now <= len(sessions)
        engine.close_channel("7B")
        assert engine.counters()["sessions_now"] == 0
        assert engine.counters()["channels_now"] == 0
    finally:
        await engine.close()


#: By the name under which ``make fuzz`` and the corpus know them.
TARGETS: dict[str, Callable[[bytes], None]] = {
    "demultiplexer": demultiplexer,
    "stun": stun,
    "sdp": sdp,
    "rtp": rtp_packets,
    "rtcp": rtcp_packets,
    "whip": whip_body,
}
