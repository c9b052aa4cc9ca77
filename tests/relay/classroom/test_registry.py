"""The registry: what kits, publishers, the engine and the command line say, and what comes of it."""

from __future__ import annotations

import msgspec
import pytest

from relay.classroom.live import FOREIGN_GONE_S, KIT_SILENT_S, OVER_FOR_S
from relay.classroom.registry import KEY_FRAME_PATIENCE_S, LiveRegistry
from relay.errors import LessonOver
from tests.relay.classroom.school import (
    CLASS,
    KEY,
    KIT,
    LESSON,
    NEXT_LESSON,
    PLACE,
    SECOND_KIT,
    START_MS,
    Clock,
    RecordingLog,
    RecordingStage,
    lesson,
    media,
    register,
    status,
)


class School:
    """A registry with everything around it recorded."""

    def __init__(self) -> None:
        self.clock, self.stage, self.log = Clock(), RecordingStage(), RecordingLog()
        self.live = LiveRegistry(self.stage, self.log, self.clock)
        self.woken = 0
        self.live.restore(register(), [], lambda _: ())
        self.live.followers.follow_class(CLASS.class_id, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def state(self) -> str:
        return self.live.class_state(CLASS.class_id).state

    def measure(self, **measured: object) -> None:
        self.stage.measured[CLASS.class_id] = media(**measured)  # type: ignore[arg-type]
        self.live.media_changed(CLASS.class_id)

    def publish(self, publisher: str = KIT, lesson_id: str | None = LESSON) -> None:
        assert self.live.channel_for(publisher, PLACE, lesson_id) == CLASS.class_id
        self.live.publishes(publisher, PLACE, lesson_id)
        self.measure(publisher=publisher)


@pytest.fixture
def school() -> School:
    return School()


def test_a_kits_status_begins_its_lesson_and_the_next_one_without_it_ends_it(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("starting"))
    assert school.state() == "starting"
    school.publish()
    assert school.state() == "live"
    school.clock.passed_s = 60
    school.live.kit_status(KIT, PLACE, status("idle", None))
    assert school.state() == "over"
    assert ("end_publisher", CLASS.class_id) in school.stage.asked
    begun, ended = school.log.kept
    assert begun == lesson()
    assert (ended.lesson_id, ended.ended_unix_ms, ended.end_reason) == (LESSON, START_MS + 60_000, "kit")


def test_a_session_that_is_about_to_connect_ends_with_its_lesson_and_another_kits_does_not(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("starting"))
    school.live.kit_status(KIT, PLACE, status("idle", None))
    assert school.stage.asked == [("end_publisher", CLASS.class_id)]
    school.measure(publisher=SECOND_KIT)
    school.live.kit_status(KIT, PLACE, status("starting"))
    school.live.kit_status(KIT, PLACE, status("idle", None))
    assert school.stage.asked == [("end_publisher", CLASS.class_id)]


def test_a_status_with_another_lesson_ends_the_one_before(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    school.live.kit_status(KIT, PLACE, status("starting", NEXT_LESSON))
    assert [kept.lesson_id for kept in school.log.kept] == [LESSON, LESSON, NEXT_LESSON]
    running = school.live.running_lesson(KIT)
    assert running is not None
    assert running.lesson_id == NEXT_LESSON


def test_a_repeated_status_changes_and_writes_nothing(school: School) -> None:
    for _ in range(5):
        school.live.kit_status(KIT, PLACE, status("live"))
    assert len(school.log.kept) == 1
    assert school.woken == 1


def test_whip_may_come_before_the_kits_word_which_then_tells_the_true_start(school: School) -> None:
    school.clock.passed_s = 5
    school.publish()
    assert school.log.kept[-1].started_unix_ms == START_MS + 5000
    school.live.kit_status(KIT, PLACE, status("live"))
    assert school.log.kept[-1].started_unix_ms == START_MS
    assert school.state() == "live"


def test_a_kit_without_a_clock_gets_the_relays(school: School) -> None:
    for wrong in (0, START_MS + 3_600_000):
        school.live.kit_status(KIT, PLACE, status("live", f"{wrong:032x}", wrong))
        school.live.kit_status(KIT, PLACE, status("live", f"{wrong:032x}", wrong))
        assert school.log.kept[-1].started_unix_ms == START_MS


def test_a_kit_that_vanishes_keeps_its_lesson_and_takes_it_up_again(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    school.publish()
    school.measure(publisher=None, picture=False, sound=False)
    assert school.state() == "reconnecting"
    school.live.kit_status(KIT, PLACE, status("starting"))
    school.publish()
    assert school.state() == "live"
    assert len(school.log.kept) == 1


def test_a_lesson_that_its_kit_ended_by_mistake_is_opened_again(school: School) -> None:
    """A kit that restarts may report idle before it remembers its lesson: a status is a state."""
    school.live.kit_status(KIT, PLACE, status("live"))
    school.live.kit_status(KIT, PLACE, status("idle", None))
    school.live.kit_status(KIT, PLACE, status("live"))
    assert school.log.kept[-1] == lesson()


def test_lessons_of_a_former_process_are_reconnecting_until_somebody_reports(school: School) -> None:
    school.live.restore(register(), [lesson()], lambda _: (3, 1))
    state = school.live.class_state(CLASS.class_id)
    assert (state.state, state.stills) == ("reconnecting", (1, 3))
    school.live.kit_status(KIT, PLACE, status("live"))
    school.publish()
    assert school.state() == "live"
    assert school.log.kept == []


def test_a_foreign_publishers_lesson_begins_with_whip_and_ends_with_delete(school: School) -> None:
    school.publish(KEY, None)
    assert school.state() == "live"
    assert school.log.kept[0].foreign
    school.live.publisher_left(KEY)
    assert school.state() == "over"


def test_a_foreign_publisher_that_returns_in_time_is_in_the_same_lesson(school: School) -> None:
    school.publish(KEY, None)
    school.measure(publisher=None, picture=False, sound=False)
    school.clock.passed_s = FOREIGN_GONE_S - 1
    school.live.tick()
    school.publish(KEY, None)
    assert len(school.log.kept) == 1


def test_a_foreign_publisher_that_stays_away_has_ended_its_lesson(school: School) -> None:
    school.publish(KEY, None)
    school.measure(publisher=None, picture=False, sound=False)
    school.clock.passed_s = FOREIGN_GONE_S
    school.live.tick()
    assert school.state() == "over"
    assert school.log.kept[-1].end_reason == "gone"


def test_a_kits_delete_does_not_end_its_lesson(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    school.publish()
    school.live.publisher_left(KIT)
    assert school.live.running_lesson(KIT) is not None


def test_a_lesson_ended_by_hand_ends_and_its_kit_is_told_until_it_obeys(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    school.publish()
    woken: list[str] = []
    school.live.followers.follow_kit(KIT, lambda: woken.append(KIT))
    school.live.note_register(register(ended=frozenset({LESSON})))
    assert school.state() == "over"
    assert school.log.kept[-1].end_reason == "hand"
    assert ("end_publisher", CLASS.class_id) in school.stage.asked
    assert woken
    for _ in range(2):
        command = school.live.kit_status(KIT, PLACE, status("degraded"))
        assert command is not None
        assert (command.kind, command.lesson_id) == ("end_lesson", LESSON)
    with pytest.raises(LessonOver):
        school.live.channel_for(KIT, PLACE, LESSON)
    assert school.live.channel_for(KIT, PLACE, NEXT_LESSON) == CLASS.class_id


def test_a_rotated_link_closes_the_channel_and_wakes_the_pages(school: School) -> None:
    before = school.woken
    school.live.note_register(register(link="N" * 22))
    assert school.stage.asked == [("close_channel", CLASS.class_id)]
    assert school.woken == before + 1


def test_a_register_that_says_nothing_new_about_links_closes_nothing(school: School) -> None:
    school.live.note_register(register())
    assert school.stage.asked == []


def test_a_revoked_kit_is_off_the_stage(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    school.publish()
    school.live.note_register(register(revoked=True))
    assert ("end_publisher", CLASS.class_id) in school.stage.asked
    assert school.live.running_lesson(KIT) is None


def test_a_kit_cannot_take_another_kits_lesson(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    assert school.live.kit_status(SECOND_KIT, PLACE, status("live")) is None
    assert school.live.running_lesson(SECOND_KIT) is None
    with pytest.raises(LessonOver):
        school.live.channel_for(SECOND_KIT, PLACE, LESSON)


def test_the_tally_rests_on_the_kits_own_delivery_alone(school: School) -> None:
    assert school.live.kit_delivery(KIT) is None
    school.live.kit_status(KIT, PLACE, status("live"))
    school.publish()
    delivery = school.live.kit_delivery(KIT)
    assert delivery is not None
    assert delivery.on_air
    school.measure(publisher=SECOND_KIT, viewers=3)
    delivery = school.live.kit_delivery(KIT)
    assert delivery is not None
    assert (delivery.on_air, delivery.viewers, delivery.viewers_receiving) == (False, 3, 0)


def test_a_picture_that_stays_away_while_sound_arrives_is_asked_for(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    school.publish()
    school.measure(picture=False)
    assert school.live.kit_status(KIT, PLACE, status("live")) is None
    school.clock.passed_s = KEY_FRAME_PATIENCE_S
    command = school.live.kit_status(KIT, PLACE, status("live"))
    assert command is not None
    assert (command.kind, command.lesson_id) == ("key_frame", LESSON)
    assert ("request_key_frame", CLASS.class_id) in school.stage.asked


def test_viewer_counts_alone_wait_for_the_tick(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    school.publish()
    before = school.woken
    for viewers in range(1, 30):
        school.measure(viewers=viewers)
    assert school.woken == before
    school.live.tick()
    assert school.woken == before + 1
    school.live.tick()
    assert school.woken == before + 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"sound_warning": "silent"}, "silent"),
        ({"sound_warning": "clipping"}, "clipping"),
        ({"microphone_ok": False}, "lost"),
        ({}, None),
    ],
)
def test_pupils_are_told_what_is_wrong_with_the_voice_while_the_lesson_is_live(
    school: School, said: dict[str, object], told: str | None
) -> None:
    trouble = msgspec.structs.replace(status("live"), **said)
    school.live.kit_status(KIT, PLACE, trouble)
    assert school.live.class_state(CLASS.class_id).sound_warning is None  # nothing arrives yet: that is told instead
    school.publish()
    assert school.live.class_state(CLASS.class_id).sound_warning == told
    woken = school.woken
    school.live.kit_status(KIT, PLACE, status("live"))
    assert school.live.class_state(CLASS.class_id).sound_warning is None
    assert school.woken == woken + (told is not None)


def test_a_kit_that_fell_silent_says_nothing_of_its_voice(school: School) -> None:
    school.live.kit_status(KIT, PLACE, msgspec.structs.replace(status("live"), sound_warning="silent"))
    school.publish()
    school.clock.passed_s = KIT_SILENT_S + 1
    assert school.live.class_state(CLASS.class_id).sound_warning is None


def test_stills_are_shown_in_order_and_once(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    for capture_us in (20, 10, 20):
        school.live.still_taken(LESSON, capture_us)
    assert school.live.class_state(CLASS.class_id).stills == (10, 20)


def test_what_is_over_is_forgotten(school: School) -> None:
    school.live.kit_status(KIT, PLACE, status("live"))
    school.live.still_taken(LESSON, 1)
    school.live.kit_status(KIT, PLACE, status("idle", None))
    school.clock.passed_s = OVER_FOR_S + 1
    school.live.tick()
    assert school.state() == "waiting"
    assert not school.live._classes
    assert not school.live._stills
