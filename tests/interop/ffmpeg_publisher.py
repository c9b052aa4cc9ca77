"""FFmpeg's WHIP muxer, which nobody here wrote: ``python -m tests.interop.ffmpeg_publisher URL TOKEN [high]``.

A process of its own, because the muxer blocks and can abort. It shows the time code on grey, says a tone, and ends
cleanly (the muxer's DELETE) when its input ends. With ``high`` the picture is H.264 of High profile. LIBRARIES'
finding: its own P-224 certificate is refused by OpenSSL, so a P-256 pair is made here.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
import threading
import time
from pathlib import Path

import av
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.capture.simulated import timecode

WIDTH, HEIGHT, FPS = 640, 360, 25
RATE_HZ, BLOCK = 48_000, 960


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed P-256 certificate and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ffmpeg")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pair = folder / "cert.pem", folder / "key.pem"
    pair[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pair[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return pair


def picture(capture_us: int) -> av.VideoFrame:
    """Grey, with the time code."""
    planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    luma = planes[:HEIGHT]
    blue = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    timecode.draw(luma, blue, blue.copy(), capture_us)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def tone(first_sample: int) -> av.AudioFrame:
    """20 ms of 440 Hz, stereo, as the muxer insists on Opus in stereo."""
    phase = 2 * np.pi * 440 * (first_sample + np.arange(BLOCK)) / RATE_HZ
    samples = (8000 * np.sin(phase)).astype(np.int16).repeat(2).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
    frame.sample_rate = RATE_HZ
    return frame


def publish(url: str, token: str, ended: threading.Event, *, high: bool) -> None:
    """Publish until ``ended``."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(Path(folder))
        options = {"authorization": token, "cert_file": str(cert), "key_file": str(key), "handshake_timeout": "10000"}
        with av.open(url, "w", format="whip", options=options) as output:
            # A faster preset leaves out all that makes a stream more than Baseline.
            preset = "veryfast" if high else "ultrafast"
            video = output.add_stream("libx264", rate=FPS, options={"tune": "zerolatency", "preset": preset})
            video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", 600_000
            video.codec_context.profile = "High" if high else "Constrained Baseline"
            video.codec_context.gop_size = FPS
            audio = output.add_stream("libopus", rate=RATE_HZ, options={"frame_duration": "20"})
            audio.layout = "stereo"
            begun_s, pictures, blocks = time.monotonic(), 0, 0
            while not ended.is_set():
                while blocks * BLOCK / RATE_HZ <= pictures / FPS:
                    sound = tone(blocks * BLOCK)
                    sound.pts = blocks * BLOCK
                    output.mux(audio.encode(sound))
                    blocks += 1
                shown = picture(pictures * 1_000_000 // FPS)
                shown.pts = pictures
                output.mux(video.encode(shown))
                pictures += 1
                ended.wait(max(0.0, begun_s + pictures / FPS - time.monotonic()))


def main() -> None:
    """Publish until the input ends."""
    ended = threading.Event()

    def follow_input() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=follow_input, daemon=True).start()
    publish(sys.argv[1], sys.argv[2], ended, high=sys.argv[3:] == ["high"])
    print("ended", flush=True)


if __name__ == "__main__":
    main()
