"""What it costs the kit to publish what is encoded already: 1080p30 at 4 Mb/s, and a voice to encode.

So measured, the main process does what it does on a Pi, where the camera's worker or the hardware has encoded: it takes
access units, encodes the voice, packs, paces, encrypts, sends. The file's pictures pass through untouched. Once without
a recording, which is what the promise is about (``recording.py`` measures what one adds), and once with it. Beside it
the same is published by FFmpeg (``ffmpeg_publisher.py``): what a core is worth differs by more than our changes do.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import wave
from pathlib import Path

import psutil

from appliance.capture.base import SAMPLE_RATE_HZ
from appliance.capture.simulated.voice import BLOCKS_PER_S, Voice
from bench.cost import cpu_shares
from bench.figures import Figure
from tests.appliance.capture.media import Recipe, make_video
from tests.running import FoundedSchool, RunningKit, running_relay, running_school

PICTURE = Recipe(
    seconds=10, width=1920, height=1080, fps=30, key_every=60, bits_per_s=4_000_000, capped=True, sound=False
)
SETTLE_S = 5.0  # the first seconds hold the dial, the handshake and the first key frames
RATE_EVERY_S = 1.0


async def encoded(folder: Path, founded: FoundedSchool, length_s: float) -> list[Figure]:
    """CPU and memory of the kit's main process in such a lesson, published to a relay that nobody watches."""
    video, voice = await asyncio.to_thread(_write_sources, folder)
    published = await _published(folder / "published", founded, video, voice, length_s, recording=False)
    recorded = await _published(folder / "recorded", founded, video, voice, length_s, recording=True)
    ffmpeg = await _by_ffmpeg(folder / "ffmpeg", founded, video, voice, length_s)
    ratio = published[1].median / ffmpeg.median
    return [*published, *recorded, ffmpeg, Figure("encoded 1080p30: CPU of the kit / FFmpeg's", "ratio", (ratio,))]


async def _published(
    folder: Path, founded: FoundedSchool, video: Path, voice: Path, length_s: float, *, recording: bool
) -> list[Figure]:
    what = f"encoded 1080p30{', recorded' if recording else ''}"
    async with running_school(
        folder,
        founded,
        camera=f'kind = "file"\nfile = "{video}"\nwidth = 1920\nheight = 1080\nbitrate_kbps = 4000',
        microphone=f'kind = "file"\nfile = "{voice}"',
        recording=f"enabled = {str(recording).lower()}",
    ) as school:
        kit = school.kit.program.pid
        await school.kit.press("start")
        await school.kit.until_state("live")
        await asyncio.sleep(SETTLE_S)
        sent_kbps, cpu = await asyncio.gather(_sent_kbps(school.kit, length_s), cpu_shares([kit], length_s))
        return [
            Figure(f"{what}: picture and voice sent, mean", "kb/s", (statistics.mean(sent_kbps),)),
            Figure(f"{what}: kit, CPU", "% of a core", tuple(cpu[kit]), median_at_most=None if recording else 6),
            Figure(f"{what}: kit, memory", "MB", (_memory_mb(kit),), median_at_most=120),
        ]


async def _by_ffmpeg(folder: Path, founded: FoundedSchool, video: Path, voice: Path, length_s: float) -> Figure:
    async with running_relay(folder, founded) as relay:
        publisher = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.ffmpeg_publisher",
            f"{relay.url}/whip",
            founded.stream_key,
            str(video),
            str(voice),
        )
        try:
            await asyncio.sleep(SETTLE_S)
            cpu = await cpu_shares([publisher.pid], length_s)
            assert publisher.returncode is None, "FFmpeg's publisher ended by itself"
        finally:
            if publisher.returncode is None:
                publisher.kill()
            await publisher.wait()
    return Figure("encoded 1080p30: FFmpeg, CPU", "% of a core", tuple(cpu[publisher.pid]))


async def _sent_kbps(kit: RunningKit, length_s: float) -> list[float]:
    """What the kit says of its rate, once a second: of one second each, so that those with a key frame are higher."""
    loop, told = asyncio.get_running_loop(), []
    until_s = loop.time() + length_s
    while loop.time() < until_s:
        told.append(float((await kit.status())["link"]["bitrate_kbps"]))
        await asyncio.sleep(RATE_EVERY_S)
    return told


def _memory_mb(pid: int) -> float:
    """What is resident (RSS), shared libraries counted whole."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def _write_sources(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return make_video(folder / "encoded.mp4", PICTURE), _write_voice(folder / "voice.wav")


def _write_voice(path: Path) -> Path:
    """The simulated teacher's voice as 48 kHz samples, which is what a sound card gives: nothing is left to decode."""
    voice = Voice()
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE_HZ)
        for number in range(round(PICTURE.seconds * BLOCKS_PER_S)):
            sound.writeframes(voice.block(number).tobytes())
    return path
