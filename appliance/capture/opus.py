"""Voice as Opus: 20 ms, mono, in-band FEC, encoded once for everybody. Not here: RTP, the recording's AAC (``aac.py``).

libopus looks 6.5 ms ahead: what a decoder plays for a packet was captured that much before the block that went in.
``OpusFrame.capture_us`` says so, which keeps voice and picture together (a sink needs no pre-skip arithmetic).
"""

from __future__ import annotations

from fractions import Fraction

import av

from appliance.capture.base import BLOCK_SAMPLES, SAMPLE_RATE_HZ, OpusFrame, PcmBlock

LOOK_AHEAD_SAMPLES = 312  # libopus at 48 kHz, application voip: 2.5 ms of delay compensation and 4 ms of look-ahead
LOOK_AHEAD_US = LOOK_AHEAD_SAMPLES * 1_000_000 // SAMPLE_RATE_HZ
EXPECTED_LOSS_PERCENT = 10  # makes libopus spend bits on FEC; the loss that a weak mobile link has in a bad minute
COMPLEXITY = 5  # of 10: the lowest with all of SILK's tools on, and what WebRTC takes on phones; 30 % less CPU than 10


def libopus_options(expected_loss_percent: int = EXPECTED_LOSS_PERCENT) -> dict[str, str]:
    """What FFmpeg's libopus is told (ffmpeg-codecs, "libopus")."""
    return {
        "application": "voip",
        "frame_duration": "20",
        "fec": "1",
        "packet_loss": str(expected_loss_percent),
        "compression_level": str(COMPLEXITY),
    }


class OpusEncoder:
    """One block in, one packet out. Owned by one task; an encode takes well under a millisecond."""

    def __init__(self, bitrate_bps: int = 24_000, expected_loss_percent: int = EXPECTED_LOSS_PERCENT) -> None:
        context = av.AudioCodecContext.create("libopus", "w")
        context.sample_rate, context.layout, context.format = SAMPLE_RATE_HZ, "mono", "s16"
        context.time_base = Fraction(1, SAMPLE_RATE_HZ)
        context.bit_rate = bitrate_bps
        context.options = libopus_options(expected_loss_percent)
        context.open()
        self._context = context
        self._samples_in = 0

    def encode(self, block: PcmBlock) -> OpusFrame:
        """The block as one Opus packet."""
        frame = av.AudioFrame.from_ndarray(block.samples.reshape(1, BLOCK_SAMPLES), format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, self._samples_in
        self._samples_in += BLOCK_SAMPLES
        (packet,) = self._context.encode(frame)
        return OpusFrame(data=bytes(packet), capture_us=block.capture_us - LOOK_AHEAD_US)
