"""The lesson of the duel as RTP payloads: 720p30 H.264 at 1.7 Mb/s and a voice, to be played round and round."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from aiortc.codecs.h264 import H264Encoder

from appliance.capture.base import PcmBlock
from appliance.capture.media_file import access_units
from appliance.capture.opus import OpusEncoder
from appliance.capture.simulated.voice import BLOCKS_PER_S, Voice
from appliance.stream.pacer import BURST_PACKETS, SMALL_PACKETS, SPREAD, TICK_S
from tests.appliance.capture.media import Recipe, make_video

Kind = Literal["picture", "voice"]
SECONDS = 10
FPS = 30
PICTURE_HZ, VOICE_HZ = 90_000, 48_000
PICTURE_TIME_BASE = Fraction(1, FPS)
ONE_SLICE = 1  # as the kit encodes this size (appliance/capture/h264.py)
PICTURE = Recipe(
    seconds=SECONDS,
    width=1280,
    height=720,
    fps=FPS,
    key_every=2 * FPS,
    bits_per_s=1_700_000,
    capped=True,
    threads=ONE_SLICE,
    sound=False,
)


@dataclass(frozen=True, slots=True)
class Timed:
    """One packet of the lesson: when it leaves (s from the round's start), and what is in it."""

    at_s: float
    kind: Kind
    ticks: int
    marker: bool
    payload: bytes


def lesson(folder: Path) -> list[Timed]:
    """One round of ``SECONDS``, in the order in which it leaves."""
    return sorted([*_pictures(folder), *_voice()], key=lambda packet: packet.at_s)


def kbps(packets: list[Timed]) -> float:
    """What the payloads come to."""
    return sum(len(packet.payload) for packet in packets) * 8 / 1000 / SECONDS


def _pictures(folder: Path) -> list[Timed]:
    found: list[Timed] = []
    packetizer = H264Encoder()
    with av.open(str(make_video(folder / "fanout.mp4", PICTURE))) as container:
        for number, unit in enumerate(access_units(container, container.streams.video[0])):
            packet = av.Packet(unit.data)
            packet.pts, packet.time_base = number, PICTURE_TIME_BASE
            payloads, _ = packetizer.pack(packet)
            for index, payload in enumerate(payloads):
                at_s = number / FPS + _paced_s(index, len(payloads))
                found.append(Timed(at_s, "picture", number * PICTURE_HZ // FPS, index == len(payloads) - 1, payload))
    return found


def _paced_s(index: int, packets: int) -> float:
    """How long after its picture's first packet one leaves, as the kit paces them."""
    if packets <= SMALL_PACKETS:
        return index // BURST_PACKETS * TICK_S
    return SPREAD / FPS * index / packets


def _voice() -> list[Timed]:
    encoder, voice = OpusEncoder(), Voice()
    found = []
    for number in range(SECONDS * BLOCKS_PER_S):
        frame = encoder.encode(PcmBlock(voice.block(number), number * 1_000_000 // BLOCKS_PER_S))
        found.append(Timed(number / BLOCKS_PER_S, "voice", number * VOICE_HZ // BLOCKS_PER_S, False, frame.data))
    return found
