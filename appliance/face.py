"""What the panel shows and what the relay is told of a lesson: pure functions of the state. Used by ``director.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from msgspec import UNSET

from appliance.crew import RunningLesson
from appliance.errors import KitError
from appliance.hw import gestures
from appliance.hw.base import Face, Fault, LessonFace, LinkFace
from appliance.hw.gestures import Hands
from appliance.hw.health import Health
from appliance.lesson import Lesson
from wire.messages import Delivery, KitHealth, KitStatus, LessonRef


def face_of(
    lesson: Lesson,
    running: RunningLesson | None,
    *,
    hands: Hands,
    now_s: float,
    troubles: Sequence[KitError],
    link: LinkFace,
) -> Face:
    """All that a panel can tell at ``now_s`` on the clock of the edges."""
    progress = gestures.progress(hands, now_s)
    return Face(
        state="preview" if lesson.signal == "preview" else lesson.phase,
        tally=lesson.signal,
        hold=progress,
        hold_for=hands.hold.purpose if hands.hold is not None and progress > 0 else None,
        lesson=None if running is None else LessonFace(running.lesson_id, running.clock),
        fault=_fault(troubles) if lesson.capture == "open" else None,
        recording=lesson.recording if running is not None else None,
        link=link,
    )


def _fault(troubles: Sequence[KitError]) -> Fault | None:
    if not troubles:
        return None
    return Fault(troubles[0].key, "; ".join(str(trouble) for trouble in troubles))


def with_pupils(link: LinkFace, delivery: Delivery | None) -> LinkFace:
    """The link with what the relay says of the pupils."""
    if delivery is None:
        return link
    return replace(link, viewers=delivery.viewers, viewers_receiving=delivery.viewers_receiving)


def status_of(
    lesson: Lesson, running: RunningLesson | None, health: Health, sound_warning: str | None = None
) -> KitStatus:
    """What the relay is told."""
    ref = None
    if running is not None:
        ref = LessonRef(lesson_id=running.lesson_id, started_unix_ms=running.clock.started_unix_us // 1000)
    return KitStatus(
        state=lesson.phase,
        tally=lesson.tally,
        lesson=ref,
        camera_ok=lesson.camera != "lost",
        microphone_ok=lesson.microphone != "lost",
        sound_warning=sound_warning or UNSET,
        recorded=lesson.recording == "on" if running is not None else UNSET,
        health=_told(health) if health != Health() else UNSET,
    )


def _told(health: Health) -> KitHealth:
    """The reading as the relay gets it: whole numbers, so that not every breath of a fan is news."""
    return KitHealth(
        temperature_c=None if health.temperature_c is None else round(health.temperature_c),
        free_mb=health.free_mb,
        clock_synchronised=health.clock_synchronised,
        wifi_dbm=health.wifi_dbm,
        warnings=health.warnings,
    )
