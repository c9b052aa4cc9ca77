"""A face as the JSON of ``GET /status``. The shape is docs/protocol.md's."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from appliance.hw.base import Face, LessonFace


def status(face: Face) -> dict[str, Any]:
    """What scripts, tests and the page read; the lesson's age is as of now."""
    pattern = face.pattern
    return {
        "state": face.state,
        "tally": face.tally,
        "lamp": {
            "colours": list(pattern.colours),
            "rhythm": pattern.rhythm,
            "beats": [[beat.colour, beat.ms] for beat in pattern.beats],
        },
        "hold": round(face.hold, 3),
        "hold_for": face.hold_for,
        "lesson": None if face.lesson is None else _lesson(face.lesson),
        "notice": None if face.notice is None else asdict(face.notice),
        "fault": None if face.fault is None else asdict(face.fault),
        "voiceless": face.voiceless,
        "recording": face.recording,
        "health": asdict(face.health) | {"warnings": face.health.warnings},
        "sound": None if face.sound is None else asdict(face.sound),
        "link": asdict(face.link),
    }


def _lesson(lesson: LessonFace) -> dict[str, Any]:
    return {
        "id": lesson.lesson_id,
        "started_unix_us": lesson.clock.started_unix_us,
        "elapsed_s": round(lesson.clock.now_us() / 1e6, 1),
    }
