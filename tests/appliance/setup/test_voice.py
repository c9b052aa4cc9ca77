"""What a person who says something is told about the microphone."""

from __future__ import annotations

from appliance.capture.sound_meter import SoundFigures
from appliance.setup.voice import QUIET_DBFS, REMEMBERED_S, Voice


def test_a_room_where_nobody_speaks_is_too_quiet_and_a_voice_is_good() -> None:
    voice = Voice()
    assert voice.verdict(SoundFigures(-60.0, QUIET_DBFS - 5), 0.0) == "quiet"
    assert voice.verdict(SoundFigures(-30.0, QUIET_DBFS + 5), 0.1) == "good"


def test_what_was_said_a_moment_ago_counts_and_no_longer() -> None:
    voice = Voice()
    voice.verdict(SoundFigures(-30.0, -20.0), 0.0)
    assert voice.verdict(SoundFigures(-60.0, -60.0), REMEMBERED_S - 0.1) == "good"
    assert voice.verdict(SoundFigures(-60.0, -60.0), REMEMBERED_S + 0.1) == "quiet"


def test_what_the_meter_is_sure_of_comes_first() -> None:
    voice = Voice()
    assert voice.verdict(SoundFigures(-5.0, 0.0, "clipping"), 0.0) == "clipping"
    assert voice.verdict(SoundFigures(-96.0, -96.0, "silent"), 0.1) == "silent"
