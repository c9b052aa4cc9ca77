"""A lesson in quiet and in floods: what 50,000 checks and 200 posts a second of strangers cost those who are in it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from bench.figures import Figure
from tests.relay.flooded_lesson import (
    CHECKS_PER_S,
    MOST_LATER_MS,
    POSTS_PER_S,
    FloodedLesson,
    flood,
    flooded_lesson,
)
from tests.running import FoundedSchool, cpu_seconds


async def flooded(folder: Path, founded: FoundedSchool, seconds: float) -> list[Figure]:
    """Quiet; then checks for unknown users, and posts; then checks that the kernel's filter lets through."""
    async with flooded_lesson(folder, founded) as lesson:
        port = f"127.0.0.1:{lesson.relay.media_port}"
        figures, quiet_ms = await _stretch(lesson, "quiet", {}, seconds, None)
        posts = {"post": (lesson.whep_url, POSTS_PER_S)}
        most_ms = quiet_ms + MOST_LATER_MS
        for name, floods in (
            ("flood", {"stun": (port, CHECKS_PER_S), **posts}),
            ("flood of who knows the house", {"stun": (f"{port}#{lesson.house}", CHECKS_PER_S)}),
        ):
            found, _ = await _stretch(lesson, name, floods, seconds, most_ms)
            figures += found
        return figures


async def _stretch(
    lesson: FloodedLesson, name: str, floods: dict[str, tuple[str, int]], seconds: float, most_ms: float | None
) -> tuple[list[Figure], float]:
    """The figures, and the p95 of the latency."""
    async with AsyncExitStack() as stack:
        reached = {kind: await stack.enter_async_context(flood(kind, *told)) for kind, told in floods.items()}
        before_s = cpu_seconds(lesson.relay.program.pid)
        heard = await lesson.heard(seconds)
        used = (cpu_seconds(lesson.relay.program.pid) - before_s) / seconds
    lost_percent = 100 * heard.missing / heard.sent
    return [
        *(Figure(f"{name}: {kind} reached", "/s", (found.per_s,)) for kind, found in reached.items()),
        Figure(f"{name}: lost", "%", (lost_percent,), 0 if floods else None),
        Figure(f"{name}: publisher → viewer", "ms", tuple(heard.latencies_ms), None, most_ms),
        Figure(f"{name}: the relay's CPU", "% of a core", (100 * used,)),
    ], heard.p95_ms
