"""What waits for the network, and what is dropped: pictures whole and up to a key frame, voice from its old end."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from appliance.capture.base import AccessUnit
from appliance.stream.queues import PictureQueue, VoiceQueue
from tests.appliance.stream.media import unit, voice

FRAME_US = 33_333


def _open_queue(limit_us: int = 500_000) -> PictureQueue:
    queue = PictureQueue(limit_us=limit_us)
    queue.open()
    return queue


async def _taken(queue: PictureQueue) -> list[AccessUnit]:
    return [await queue.get() for _ in range(len(queue))]


async def test_a_session_begins_with_a_key_frame() -> None:
    queue = _open_queue()
    before, key, after = unit(0), unit(FRAME_US, key_frame=True), unit(2 * FRAME_US)
    assert all([queue.put(before), queue.put(key), queue.put(after)])
    assert await _taken(queue) == [key, after]
    assert queue.dropped == 1


async def test_without_a_session_nothing_is_kept() -> None:
    queue = PictureQueue()
    assert queue.put(unit(0, key_frame=True))
    assert len(queue) == 0
    queue.open()
    queue.put(unit(0, key_frame=True))
    queue.close()
    assert len(queue) == 0
    queue.open()
    assert queue.needs_key_frame


async def test_a_slow_network_drops_whole_pictures_until_the_next_key_frame_and_asks_for_one_once() -> None:
    queue = _open_queue(limit_us=100_000)
    asked = [not queue.put(unit(n * FRAME_US, key_frame=n == 0)) for n in range(8)]
    assert asked == [False] * 4 + [True] + [False] * 3
    assert len(queue) == 0
    fresh = unit(8 * FRAME_US, key_frame=True)
    queue.put(fresh)
    assert await _taken(queue) == [fresh]


async def test_while_pictures_are_held_none_is_kept_and_the_first_after_that_is_a_key_frame() -> None:
    queue = _open_queue()
    queue.put(unit(0, key_frame=True))
    queue.hold()
    assert len(queue) == 0
    assert all([queue.put(unit(FRAME_US)), queue.put(unit(2 * FRAME_US, key_frame=True))]), "nobody is to ask for one"
    queue.release()
    late, key = unit(3 * FRAME_US), unit(4 * FRAME_US, key_frame=True)
    assert all([queue.put(late), queue.put(key)])
    assert await _taken(queue) == [key]
    queue.hold()
    queue.open()
    assert queue.put(key)
    assert len(queue) == 1, "another session begins unheld"


async def test_a_key_frame_that_finds_old_pictures_waiting_takes_their_place() -> None:
    queue = _open_queue(limit_us=100_000)
    for number in range(4):
        queue.put(unit(number * FRAME_US, key_frame=number == 0))
    fresh = unit(4 * FRAME_US, key_frame=True)
    assert queue.put(fresh)
    assert await _taken(queue) == [fresh]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["put", "get"])), max_size=200))
def test_what_comes_out_never_has_a_hole_before_a_key_frame(steps: list[tuple[bool, str]]) -> None:
    async def play() -> None:
        queue, number, last = _open_queue(limit_us=5 * FRAME_US), 0, -1
        for key_frame, step in steps:
            if step == "put":
                queue.put(unit(number * FRAME_US, key_frame=key_frame, size=1))
                number += 1
            elif len(queue):
                out = await queue.get()
                index = out.capture_us // FRAME_US
                assert out.key_frame or index == last + 1
                last = index
            assert len(queue) <= 6

    asyncio.run(play())


async def test_old_voice_goes_first() -> None:
    queue = VoiceQueue(limit_frames=3)
    queue.open()
    frames = [voice(n * 20_000) for n in range(5)]
    for frame in frames:
        queue.put(frame)
    assert [await queue.get() for _ in range(3)] == frames[2:]
    assert queue.dropped == 2


async def test_a_reader_that_gives_up_loses_nothing() -> None:
    queue = VoiceQueue()
    queue.open()
    reader = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put(voice(0))
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert await queue.get() == voice(0)
