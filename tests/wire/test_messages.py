"""The control channel's codec: what it writes stays as it is, and what it reads may be newer, or hostile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hw.health import HealthWarning
from wire import messages
from wire.messages import (
    Command,
    Delivery,
    FromKit,
    FromRelay,
    Hello,
    KitHealth,
    KitStatus,
    LessonRef,
    Welcome,
    WireError,
)

GOLDEN = Path(__file__).parent / "golden"
LESSON_ID = "0123456789abcdef0123456789abcdef"

#: What each golden frame says. The files never change: kits in the field speak them.
FROM_KIT: dict[str, FromKit] = {
    "hello": Hello(versions=(1,), software="parta-kit 0.1.0"),
    "kit_status_idle": KitStatus(state="idle", tally="off"),
    "kit_status_lesson": KitStatus(
        state="degraded",
        tally="not_live",
        lesson=LessonRef(lesson_id=LESSON_ID, started_unix_ms=1788249600123),
        microphone_ok=False,
    ),
    "kit_status_health": KitStatus(
        state="live",
        tally="on_air",
        lesson=LessonRef(lesson_id=LESSON_ID, started_unix_ms=1788249600123),
        health=KitHealth(
            temperature_c=81, free_mb=512, clock_synchronised=True, wifi_dbm=None, warnings=("too_hot", "disk_low")
        ),
    ),
    "kit_status_recorded": KitStatus(
        state="live",
        tally="on_air",
        lesson=LessonRef(lesson_id=LESSON_ID, started_unix_ms=1788249600123),
        recorded=False,
    ),
    "kit_status_sound_warning": KitStatus(state="idle", tally="off", sound_warning="silent"),
}
FROM_RELAY: dict[str, FromRelay] = {
    "welcome": Welcome(
        version=1,
        school="Средняя школа № 5",
        room="Кабинет 12",
        class_name="7Б",
        class_path="/c/AAAAAAAAAAAAAAAAAAAAAA",
    ),
    "delivery": Delivery(
        lesson_id=LESSON_ID, on_air=True, picture_fresh=True, sound_fresh=True, viewers=23, viewers_receiving=22
    ),
    "command_end_lesson": Command(kind="end_lesson", lesson_id=LESSON_ID, reason="ended from the relay's console"),
    "command_key_frame": Command(kind="key_frame", lesson_id=LESSON_ID),
}

from_kit = st.from_type(Hello) | st.from_type(KitStatus)
from_relay = st.from_type(Welcome) | st.from_type(Delivery) | st.from_type(Command)


def _golden(name: str) -> str:
    return (GOLDEN / f"{name}.json").read_text(encoding="utf-8").rstrip("\n")


@pytest.mark.parametrize("name", FROM_KIT)
def test_a_golden_frame_from_a_kit_is_read_and_written_as_ever(name: str) -> None:
    assert messages.decode_from_kit(_golden(name)) == FROM_KIT[name]
    assert messages.encode(FROM_KIT[name]) == _golden(name)


@pytest.mark.parametrize("name", FROM_RELAY)
def test_a_golden_frame_from_a_relay_is_read_and_written_as_ever(name: str) -> None:
    assert messages.decode_from_relay(_golden(name)) == FROM_RELAY[name]
    assert messages.encode(FROM_RELAY[name]) == _golden(name)


def test_every_golden_file_is_held() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == FROM_KIT.keys() | FROM_RELAY.keys()


@given(from_kit)
def test_what_a_kit_writes_the_relay_reads(message: FromKit) -> None:
    assert messages.decode_from_kit(messages.encode(message)) == message


@given(from_relay)
def test_what_a_relay_writes_the_kit_reads(message: FromRelay) -> None:
    assert messages.decode_from_relay(messages.encode(message)) == message


@given(from_kit, st.dictionaries(st.text(min_size=20), st.integers() | st.text() | st.lists(st.booleans()), max_size=4))
def test_fields_of_a_newer_version_are_ignored(message: FromKit, extra: dict[str, object]) -> None:
    frame = json.loads(messages.encode(message)) | extra
    assert messages.decode_from_kit(json.dumps(frame)) == message


def test_types_of_a_newer_version_are_skipped() -> None:
    frame = '{"type": "raised_hand", "pupil": 3}'
    assert messages.decode_from_kit(frame) is None
    assert messages.decode_from_relay(frame) is None


def test_each_end_skips_what_only_the_other_may_say() -> None:
    assert messages.decode_from_kit(_golden("delivery")) is None
    assert messages.decode_from_relay(_golden("kit_status_idle")) is None


@given(st.text())
def test_any_text_is_a_message_a_newer_type_or_a_wire_error(text: str) -> None:
    for decode in (messages.decode_from_kit, messages.decode_from_relay):
        try:
            decode(text)
        except WireError:
            continue


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[]",
        "null",
        '{"state": "idle", "tally": "off"}',
        '{"type": 5}',
        '{"type": "kit_status", "state": "idle"}',
        '{"type": "kit_status", "state": "asleep", "tally": "off"}',
        '{"type": "kit_status", "state": "idle", "tally": "off", "camera_ok": 1}',
        '{"type": "hello", "versions": ["1"], "software": "x"}',
        '{"type": "hello", "versions": [1], "software": "\ud800"}',
        '{"type": "hello", "versions": [1], "software": "x"} {}',
        '{"type": "hello", "x": ' + "[" * 8000 + "]" * 8000 + "}",
        '{"type": "hello", "versions": [1], "software": "' + "x" * messages.MAX_MESSAGE_BYTES + '"}',
    ],
    ids=lambda frame: frame[:40],
)
def test_a_broken_frame_is_a_wire_error(frame: str) -> None:
    with pytest.raises(WireError):
        messages.decode_from_kit(frame)


@given(from_kit)
def test_no_message_is_too_large_for_the_other_end_unless_its_text_is(message: FromKit) -> None:
    assert len(messages.encode(message)) <= messages.MAX_MESSAGE_BYTES


def test_messages_cannot_be_changed_after_they_are_made() -> None:
    with pytest.raises(AttributeError):
        FROM_KIT["hello"].software = "other"  # type: ignore[misc,union-attr]
    assert all(type(message).__struct_config__.frozen for message in (*FROM_KIT.values(), *FROM_RELAY.values()))
    assert issubclass(Hello, msgspec.Struct)


@pytest.mark.parametrize(
    ("offered", "chosen"), [((1,), 1), ((3, 2, 1), 1), ((2,), None), ((), None), ((1, 1), 1), ((-1, 0), None)]
)
def test_the_newest_shared_version_is_chosen(offered: tuple[int, ...], chosen: int | None) -> None:
    assert messages.choose_version(offered) == chosen


def test_the_kits_warnings_are_the_wires() -> None:
    assert get_args(HealthWarning) == messages.HEALTH_WARNINGS
