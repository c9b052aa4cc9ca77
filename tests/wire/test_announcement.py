"""Announcements: what is said fits into DNS, and what a stranger says is safe to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.announcement import MAX_VALUE_OCTETS, KitAnnouncement, RelayAnnouncement, printable

KIT = KitAnnouncement(kit_id="ab" * 16, room="Кабинет 12", version="0.1.0", state="lesson")


def test_a_kits_announcement_is_read_as_it_was_said() -> None:
    assert KitAnnouncement.read(KIT.txt()) == KIT


def test_a_relays_announcement_is_read_as_it_was_said() -> None:
    said = RelayAnnouncement(url="https://parta.school.example", version="0.1.0")
    assert RelayAnnouncement.read(said.txt()) == said


def test_a_newer_kits_state_and_keys_are_no_reason_to_lose_it() -> None:
    read = KitAnnouncement.read({**KIT.txt(), "state": "dreaming", "mood": "good"})
    assert (read.state, read.room) == ("new", KIT.room)


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "file:///etc/passwd", "http://a b", "\x1b[2Jhttp:/"])
def test_what_is_no_address_is_none(url: str) -> None:
    assert RelayAnnouncement.read({"url": url}).url == ""


def test_a_terminal_cannot_be_commanded_by_a_rooms_name() -> None:
    assert printable("12\x1b]0;owned\x07\r\n\u202e\u0000") == "12]0;owned"


@given(st.text(max_size=400))
def test_every_value_fits_into_a_text_record_and_stays_text(room: str) -> None:
    txt = KitAnnouncement(kit_id="", room=room, version="", state="new").txt()
    assert len(txt["room"].encode()) <= MAX_VALUE_OCTETS
    assert KitAnnouncement.read(txt).room.isprintable()
