"""One class, as its pupils are told of it: every state of docs/protocol.md, and how one becomes another."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.classroom.live import (
    CURTAIN_OPENS_S,
    FOREIGN_GONE_S,
    KIT_SILENT_S,
    LOST_AFTER_S,
    OVER_FOR_S,
    LiveClass,
    Moment,
)
from relay.classroom.school import Lesson
from relay.engines.base import NOBODY
from tests.relay.classroom.school import CLASS, KEY, LESSON, NEXT_LESSON, SECOND_KIT, START_MS, Clock, lesson, media
from wire.messages import KitState


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live() -> LiveClass:
    return LiveClass(CLASS.class_id)


def told(live: LiveClass, clock: Clock) -> str:
    return live.state(clock())[0]


def test_a_class_without_a_lesson_waits(live: LiveClass, clock: Clock) -> None:
    assert live.state(clock()) == ("waiting", None)


def test_a_lesson_starts_and_is_live_once_picture_or_sound_arrives(live: LiveClass, clock: Clock) -> None:
    live.begin(lesson(), clock())
    assert told(live, clock) == "starting"
    live.media(media(picture=False, sound=False), clock())
    assert told(live, clock) == "starting"
    live.media(media(picture=False), clock())
    assert told(live, clock) == "live"
    live.media(media(sound=False), clock())
    assert told(live, clock) == "live"


def test_a_lesson_whose_media_stop_is_reconnecting(live: LiveClass, clock: Clock) -> None:
    live.begin(lesson(), clock())
    live.media(media(), clock())
    live.media(NOBODY, clock())
    assert told(live, clock) == "reconnecting"


def test_media_of_somebody_else_do_not_make_a_lesson_live(live: LiveClass, clock: Clock) -> None:
    live.begin(lesson(), clock())
    live.media(media(SECOND_KIT), clock())
    assert told(live, clock) == "starting"


def test_the_curtain_is_believed_at_once_and_stays_until_pictures_come_again(live: LiveClass, clock: Clock) -> None:
    running = live.begin(lesson(), clock())
    live.media(media(), clock())
    running.kit_says("curtain", clock())
    assert told(live, clock) == "curtain"
    live.media(NOBODY, clock())
    running.kit_says("live", clock())
    assert told(live, clock) == "curtain"
    live.media(media(), clock())
    assert told(live, clock) == "live"
    live.media(NOBODY, clock())
    assert told(live, clock) == "reconnecting", "an outage after that is an outage"


def test_a_curtain_that_opens_onto_nothing_is_an_outage(live: LiveClass, clock: Clock) -> None:
    running = live.begin(lesson(), clock())
    live.media(media(), clock())
    running.kit_says("curtain", clock())
    live.media(NOBODY, clock())
    running.kit_says("degraded", clock())
    clock.passed_s += CURTAIN_OPENS_S
    assert told(live, clock) == "reconnecting"


def test_a_kit_that_falls_silent_behind_its_curtain_is_reconnecting(live: LiveClass, clock: Clock) -> None:
    running = live.begin(lesson(), clock(), media_seen=True)
    running.kit_says("curtain", clock())
    clock.passed_s += KIT_SILENT_S
    assert told(live, clock) == "reconnecting"


def test_the_farewell_second_does_not_look_like_an_outage(live: LiveClass, clock: Clock) -> None:
    running = live.begin(lesson(), clock())
    live.media(media(), clock())
    running.kit_says("ending", clock())
    live.media(NOBODY, clock())
    assert told(live, clock) == "live"


def test_a_lesson_is_over_for_a_quarter_of_an_hour(live: LiveClass, clock: Clock) -> None:
    live.begin(lesson(), clock())
    clock.passed_s = 60
    ended = live.end(LESSON, "kit", clock())
    assert (ended.ended_unix_ms, ended.end_reason) == (START_MS + 60_000, "kit")
    assert live.state(clock()) == ("over", ended)
    clock.passed_s += OVER_FOR_S - 1
    live.forget_last(clock())
    assert told(live, clock) == "over"
    clock.passed_s += 1
    assert told(live, clock) == "waiting"
    live.forget_last(clock())
    assert live.last is None


def test_a_new_lesson_takes_the_place_of_one_that_is_over(live: LiveClass, clock: Clock) -> None:
    live.begin(lesson(), clock())
    live.end(LESSON, "kit", clock())
    live.begin(lesson(NEXT_LESSON), clock())
    assert told(live, clock) == "starting"


def test_a_foreign_lesson_ends_when_its_publisher_stays_away_and_is_dated_back(live: LiveClass, clock: Clock) -> None:
    live.begin(lesson(publisher=KEY, foreign=True), clock())
    live.media(media(KEY), clock())
    clock.passed_s = 100
    live.media(media(KEY, picture=False, sound=False), clock())  # connected and silent is still there
    clock.passed_s = 100 + FOREIGN_GONE_S - 1
    live.media(NOBODY, clock())
    assert live.overdue(clock()) == []
    clock.passed_s += 1
    [(gone, reason)] = live.overdue(clock())
    assert live.end(gone.lesson_id, reason, clock()).ended_unix_ms == START_MS + 100_000


def test_a_kits_lesson_outlives_an_outage_of_hours_but_not_for_ever(live: LiveClass, clock: Clock) -> None:
    running = live.begin(lesson(), clock())
    running.kit_says("live", clock())
    clock.passed_s = LOST_AFTER_S - 1
    assert live.overdue(clock()) == []
    clock.passed_s += 1
    assert [reason for _, reason in live.overdue(clock())] == ["lost"]


def test_of_two_kits_in_one_class_the_one_that_publishes_is_on_stage(live: LiveClass, clock: Clock) -> None:
    first, second = live.begin(lesson(), clock()), live.begin(lesson(NEXT_LESSON, SECOND_KIT), clock())
    first.kit_says("degraded", clock())
    second.kit_says("degraded", clock())
    live.media(media(SECOND_KIT), clock())
    assert live.on_stage(clock()) is second
    live.media(media(), clock())
    assert live.on_stage(clock()) is first
    live.media(NOBODY, clock())
    assert live.on_stage(clock()) is first, "whoever was on stage stays there through an outage"


def test_a_kit_that_is_heard_takes_the_stage_from_one_that_went_silent(live: LiveClass, clock: Clock) -> None:
    first, second = live.begin(lesson(), clock()), live.begin(lesson(NEXT_LESSON, SECOND_KIT), clock())
    first.kit_says("live", clock())
    second.kit_says("degraded", clock())
    live.media(media(), clock())
    live.media(NOBODY, clock())
    clock.passed_s += KIT_SILENT_S
    second.kit_says("degraded", clock())
    assert live.on_stage(clock()) is second


KIT_STATES: tuple[KitState, ...] = ("idle", "starting", "live", "degraded", "curtain", "ending", "fault")


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(("begin", "kit", "media", "end", "wait")),
            st.sampled_from(KIT_STATES),
            st.booleans(),
            st.booleans(),
            st.floats(0, 2000),
        ),
        max_size=40,
    )
)
def test_whatever_happens_a_class_is_in_one_state_with_its_lesson(
    steps: list[tuple[str, KitState, bool, bool, float]],
) -> None:
    live, clock = LiveClass(CLASS.class_id), Clock()
    ids = (f"{number:032x}" for number in itertools.count())
    for what, kit_state, picture, sound, passed_s in steps:
        _step(live, clock(), what, kit_state, media(picture=picture, sound=sound), next(ids))
        clock.passed_s += passed_s
        name, shown = live.state(clock())
        assert (shown is None) == (name == "waiting")
        assert (name == "over") == (shown is not None and shown.ended_unix_ms is not None)
        assert not (live.running and name in {"waiting", "over"})


def _step(live: LiveClass, now: Moment, what: str, kit_state: KitState, measured: object, fresh_id: str) -> None:
    running = next(iter(live.running.values()), None)
    if what == "begin" and running is None:
        live.begin(lesson(fresh_id), now)
    elif what == "kit" and running is not None:
        running.kit_says(kit_state, now)
    elif what == "media":
        live.media(measured, now)  # type: ignore[arg-type]
    elif what == "end" and running is not None:
        assert isinstance(live.end(running.lesson.lesson_id, "kit", now), Lesson)
