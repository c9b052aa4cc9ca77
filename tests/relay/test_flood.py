"""A running lesson while strangers flood the relay's two ports: nothing of it is lost, or late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.relay.flooded_lesson import flood, flooded_lesson
from tests.running import FoundedSchool

STUN_PER_S, POSTS_PER_S = 50_000, 200
STRETCH_S = 2.0
MOST_LATER_MS = 50.0


async def test_a_flood_of_checks_and_posts_costs_the_lesson_no_packet_and_no_time(
    tmp_path: Path, founded_school: FoundedSchool, record_property: Callable[[str, object], None]
) -> None:
    async with flooded_lesson(tmp_path / "relay", founded_school) as lesson:
        before = await lesson.heard(STRETCH_S)
        async with (
            flood("stun", f"127.0.0.1:{lesson.relay.media_port}", STUN_PER_S) as checks,
            flood("post", lesson.whep_url, POSTS_PER_S) as posts,
        ):
            flooded = await lesson.heard(STRETCH_S)
        after = await lesson.heard(STRETCH_S)
        assert await lesson.turned_away() >= checks.sent
    reached = f"{checks.per_s:.0f} checks and {posts.per_s:.0f} posts a second"
    record_property("reached", reached)
    assert posts.sent > 0
    assert flooded.missing == 0, f"{flooded.missing} of {flooded.sent} packets in a flood of {reached}"
    quiet_ms = max(before.p95_ms, after.p95_ms)  # the machine's own noise is no flood's
    assert flooded.p95_ms <= quiet_ms + MOST_LATER_MS, reached
