"""Who has advanced since when: what is stuck, what is not, and what nothing is expected of."""

from __future__ import annotations

from collections.abc import Hashable

from service.vitals import Vital, Vitals


class Part:
    """Shows whatever sign it is given."""

    def __init__(self, name: str, within_s: float = 10, sign: Hashable = 0) -> None:
        self.sign = sign
        self.vital = Vital(name, within_s, lambda: self.sign)


def test_what_advances_in_time_is_never_stuck() -> None:
    camera = Part("camera")
    vitals = Vitals(camera.vital)
    for now_s in range(0, 100, 10):
        camera.sign = now_s
        assert vitals.stuck(now_s) == ()


def test_what_shows_the_same_sign_for_longer_than_it_may_is_stuck_until_it_advances() -> None:
    camera = Part("camera")
    vitals = Vitals(camera.vital)
    assert [vitals.stuck(now_s) for now_s in (100, 110, 111)] == [(), (), ("camera",)]
    camera.sign = 1
    assert [vitals.stuck(now_s) for now_s in (112, 122, 123)] == [(), (), ("camera",)]


def test_of_a_closed_camera_nothing_is_expected_and_its_time_begins_when_it_opens() -> None:
    camera = Part("camera", sign=None)
    vitals = Vitals(camera.vital)
    assert vitals.stuck(0) == vitals.stuck(1000) == ()
    camera.sign = 7
    assert vitals.stuck(1000) == ()
    assert vitals.stuck(1010) == ()
    camera.sign = None
    assert vitals.stuck(1020) == ()
    camera.sign = 7  # the same sign as before it was closed
    assert vitals.stuck(2000) == ()


def test_each_is_judged_by_its_own_time() -> None:
    camera, voice = Part("camera", within_s=5), Part("microphone", within_s=20)
    vitals = Vitals(camera.vital, voice.vital)
    vitals.stuck(0)
    assert vitals.stuck(6) == ("camera",)
    assert vitals.stuck(21) == ("camera", "microphone")


def test_a_task_that_has_ended_is_stuck_at_the_second_look() -> None:
    ended = Part("relay link", within_s=0, sign="ended")
    vitals = Vitals(ended.vital)
    assert [vitals.stuck(now_s) for now_s in (0, 1)] == [(), ("relay link",)]
