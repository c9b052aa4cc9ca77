"""The yardstick of ``encoded.py``: FFmpeg's WHIP muxer publishes a file as it is, and a voice that it encodes as we do.

``python -m bench.ffmpeg_publisher URL TOKEN VIDEO VOICE``, until it is killed. A process of its own, because its CPU is
what is asked for. It is C but for the loop that paces it: what it costs is about what this machine asks of anybody who
does this. Opus is stereo, as the muxer insists.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from appliance.capture.base import BLOCK_SAMPLES, SAMPLE_RATE_HZ
from appliance.capture.opus import libopus_options
from tests.interop.ffmpeg_publisher import certificate

BLOCK_S = BLOCK_SAMPLES / SAMPLE_RATE_HZ


def publish(url: str, token: str, video: str, voice: str) -> None:
    """Publish for ever."""
    with tempfile.TemporaryDirectory() as folder, av.open(video) as film:
        cert, key = certificate(Path(folder))
        options = {"authorization": token, "cert_file": str(cert), "key_file": str(key)}
        with av.open(url, "w", format="whip", options=options) as output:
            picture = output.add_stream_from_template(film.streams.video[0])
            sound = output.add_stream("libopus", rate=SAMPLE_RATE_HZ, options=libopus_options())
            sound.layout, sound.bit_rate = "stereo", 24_000
            blocks, begun_s, played = _blocks(voice), time.monotonic(), 0
            for packet, media_s in _pictures(film):
                while played * BLOCK_S <= media_s:
                    _wait_until(begun_s + played * BLOCK_S)
                    block = next(blocks)
                    block.pts, played = played * BLOCK_SAMPLES, played + 1
                    output.mux(sound.encode(block))
                _wait_until(begun_s + media_s)
                packet.stream = picture
                output.mux(packet)


def _pictures(film: av.container.InputContainer) -> Iterator[tuple[av.Packet[av.VideoStream], float]]:
    """The film's packets, again and again, and when each is due."""
    stream, begun_s = film.streams.video[0], 0.0
    frame_s = 1 / float(stream.average_rate or 30)
    while True:
        media_s = begun_s
        for packet in film.demux(stream):
            if packet.pts is not None and packet.time_base is not None:
                media_s = begun_s + float(packet.pts * packet.time_base)
                packet.pts = packet.dts = round(media_s / packet.time_base)
                yield packet, media_s
        begun_s = media_s + frame_s
        film.seek(0)


def _blocks(voice: str) -> Iterator[av.AudioFrame]:
    """The voice in 20 ms of stereo, again and again."""
    with av.open(voice) as file:
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]).repeat(2)
    pieces = samples[: len(samples) // (2 * BLOCK_SAMPLES) * 2 * BLOCK_SAMPLES].reshape(-1, 1, 2 * BLOCK_SAMPLES)
    while True:
        for piece in pieces:
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="stereo")
            frame.sample_rate = SAMPLE_RATE_HZ
            yield frame


def _wait_until(due_s: float) -> None:
    time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    publish(*sys.argv[1:5])
