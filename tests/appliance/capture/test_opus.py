"""Voice as Opus: 20 ms a packet, with FEC in the bits, at the right time."""

from __future__ import annotations

import time

import av
import numpy as np

from appliance.capture.base import BLOCK_SAMPLES, OpusFrame, PcmBlock, Samples
from appliance.capture.opus import LOOK_AHEAD_US, OpusEncoder
from appliance.capture.simulated.voice import Voice

BLOCK_US = 20_000


def encoded(encoder: OpusEncoder, blocks: int = 150) -> list[OpusFrame]:
    voice = Voice()
    return [encoder.encode(PcmBlock(voice.block(n), n * BLOCK_US)) for n in range(blocks)]


def decoded(frames: list[OpusFrame]) -> Samples:
    decoder = av.AudioCodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 48_000, "mono"
    pieces = [piece.to_ndarray()[0] for frame in frames for piece in decoder.decode(av.Packet(frame.data))]
    return np.concatenate(pieces)


def test_each_packet_is_20_ms_of_mono() -> None:
    for frame in encoded(OpusEncoder()):
        toc = frame.data[0]  # RFC 6716 §3.1
        config, stereo, code = toc >> 3, toc >> 2 & 1, toc & 3
        assert not stereo
        assert code == 0  # one frame
        length_ms = [10, 20, 40, 60][config & 3] if config < 12 else [10, 20][config & 1]
        assert length_ms == 20


def test_speech_carries_fec_for_the_packet_before() -> None:
    frames = encoded(OpusEncoder())
    speech = [frame.data for frame in frames if frame.data[0] >> 3 < 16 and frame.data[1] & 0x80]  # SILK with VAD set
    with_fec = [data for data in speech if data[1] & 0x40]  # LBRR flag, RFC 6716 §4.2.3
    assert len(speech) > 40
    assert len(with_fec) > 0.7 * len(speech)


def test_without_expected_loss_there_is_no_fec() -> None:
    frames = encoded(OpusEncoder(expected_loss_percent=0))
    assert not any(frame.data[1] & 0x40 for frame in frames if frame.data[0] >> 3 < 16)


def test_the_bitrate_is_about_what_was_asked() -> None:
    for bitrate in (16_000, 24_000, 48_000):
        frames = encoded(OpusEncoder(bitrate), 300)
        assert 0.5 * bitrate < sum(len(frame.data) for frame in frames) * 8 / 6 < 1.15 * bitrate


def test_a_decoded_packet_sounds_at_its_capture_time() -> None:
    frames = encoded(OpusEncoder())
    sound = decoded(frames)
    assert len(sound) == len(frames) * BLOCK_SAMPLES
    assert [frame.capture_us for frame in frames] == [n * BLOCK_US - LOOK_AHEAD_US for n in range(len(frames))]
    for second in (1, 2):
        expected = (second * 1_000_000 - frames[0].capture_us) * 48 // 1000
        window = np.abs(sound[expected - 4_000 : expected + 4_000].astype(int))
        assert abs(int(np.argmax(window > 2_000)) - 4_000) < 150  # 3 ms


def test_encoding_costs_little() -> None:
    encoder = OpusEncoder()
    began_s = time.process_time()
    frames = encoded(encoder, 250)
    share = (time.process_time() - began_s) / (len(frames) / 50)
    print(f"encoding voice takes {share:.1%} of a core")
    assert share < 0.06
