"""Picture-loss requests from a crowd become as few key frames as heal them."""

from __future__ import annotations

import asyncio

from appliance.stream.key_frames import KeyFrameRequests

DEBOUNCE_S = 0.05


class _Encoder:
    def __init__(self) -> None:
        self.asked_s: list[float] = []
        self.asked = asyncio.Event()

    def want(self) -> None:
        self.asked_s.append(asyncio.get_running_loop().time())
        self.asked.set()

    async def asked_again(self) -> None:
        self.asked.clear()
        await self.asked.wait()


async def test_ten_requests_that_one_key_frame_answers_ask_once() -> None:
    encoder = _Encoder()
    requests = KeyFrameRequests(encoder.want, debounce_s=DEBOUNCE_S)
    for _ in range(10):
        requests.request()
    requests.key_frame_left(0.0)
    assert len(encoder.asked_s) == 1
    assert not _timers_of(requests)


async def test_a_request_that_no_key_frame_answered_is_asked_again_after_the_debounce() -> None:
    encoder = _Encoder()
    requests = KeyFrameRequests(encoder.want, debounce_s=DEBOUNCE_S)
    requests.request()
    requests.request()
    async with asyncio.timeout(5):
        await encoder.asked_again()
    first_s, second_s = encoder.asked_s
    assert second_s - first_s >= DEBOUNCE_S * 0.99


async def test_a_request_that_crosses_the_key_frame_on_its_way_has_its_answer() -> None:
    encoder = _Encoder()
    requests = KeyFrameRequests(encoder.want, debounce_s=DEBOUNCE_S)
    requests.request()
    requests.key_frame_left(10.0)
    requests.request()
    assert len(encoder.asked_s) == 1
    assert not _timers_of(requests)


async def test_while_none_may_leave_none_is_made_and_then_one_is_at_once() -> None:
    encoder = _Encoder()
    requests = KeyFrameRequests(encoder.want, debounce_s=10.0)
    requests.demand()
    requests.demand()
    requests.hold()
    assert not _timers_of(requests)
    requests.demand()
    requests.request()
    assert len(encoder.asked_s) == 1
    requests.release()
    requests.release()
    assert len(encoder.asked_s) == 2, "whatever the debounce says: nothing was sent since"


async def test_a_hole_of_our_own_needs_another_key_frame_whatever_is_on_its_way() -> None:
    encoder = _Encoder()
    requests = KeyFrameRequests(encoder.want, debounce_s=DEBOUNCE_S)
    requests.demand()
    requests.key_frame_left(10.0)
    requests.demand()
    async with asyncio.timeout(5):
        await encoder.asked_again()
    assert len(encoder.asked_s) == 2


async def test_a_new_session_owes_nothing_to_the_one_before() -> None:
    encoder = _Encoder()
    requests = KeyFrameRequests(encoder.want, debounce_s=0.0)
    requests.key_frame_left(10.0)
    requests.close()
    requests.request()
    assert len(encoder.asked_s) == 1


async def test_a_request_after_the_key_frame_left_means_that_it_was_lost_too() -> None:
    encoder = _Encoder()
    requests = KeyFrameRequests(encoder.want, debounce_s=DEBOUNCE_S)
    requests.request()
    requests.key_frame_left(0.0)
    requests.request()
    async with asyncio.timeout(5):
        await encoder.asked_again()
    assert len(encoder.asked_s) == 2


async def test_nothing_is_asked_after_the_end() -> None:
    encoder = _Encoder()
    requests = KeyFrameRequests(encoder.want, debounce_s=DEBOUNCE_S)
    requests.request()
    requests.request()
    requests.close()
    assert not _timers_of(requests)


def _timers_of(requests: KeyFrameRequests) -> bool:
    return requests._again is not None
