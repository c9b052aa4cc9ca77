"""Segments and inits are read as they are, and hostile bytes are refused by name, never by accident."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.archive.boxes import InitFacts, NotFit, fragment_facts, init_facts
from tests.relay.archive.footage import FPS, SIZE, footage

FOOTAGE = footage()
INIT, SEGMENT = FOOTAGE.inits[0], FOOTAGE.pieces[2].body


def test_an_init_says_what_a_playlist_needs() -> None:
    assert init_facts(INIT) == InitFacts(codecs="avc1.42c00a,mp4a.40.2", width=SIZE[0], height=SIZE[1])


def test_a_segment_says_when_it_begins_and_what_is_in_it() -> None:
    facts = fragment_facts(SEGMENT)
    assert (facts.video.decode_time, facts.video.end) == (4 * 90_000, 6 * 90_000)
    assert len(facts.video.sizes) == 2 * FPS
    assert facts.audio is not None
    assert abs(facts.audio.decode_time - 4 * 48_000) < 1024
    assert abs(facts.audio.end - 6 * 48_000) < 1024


def test_what_may_stand_before_a_fragment_is_passed_over() -> None:
    styp = (16).to_bytes(4) + b"styp" + b"msdh" + bytes(4)
    with_styp, without = fragment_facts(styp + SEGMENT), fragment_facts(SEGMENT)
    assert with_styp.video.sizes == without.video.sizes
    assert with_styp.moof.start == without.moof.start + len(styp)


def test_a_segment_that_does_not_begin_with_a_key_frame_is_none() -> None:
    at = SEGMENT.index(b"trun") + 16
    assert SEGMENT[at : at + 4] == b"\x02\x00\x00\x00", "the flags of the first picture"
    with pytest.raises(NotFit, match="key frame"):
        fragment_facts(SEGMENT[:at] + b"\x01\x01\x00\x00" + SEGMENT[at + 4 :])


def test_a_segment_before_the_lesson_is_none() -> None:
    at = SEGMENT.index(b"tfdt")
    with pytest.raises(NotFit, match="negative"):
        fragment_facts(SEGMENT[: at + 8] + b"\xff" * 8 + SEGMENT[at + 16 :])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ((b"avc1", b"hvc1"), "avc1"),
        ((b"mp4a", b"Opus"), "mp4a"),
        ((b"mvex", b"free"), "mvex"),
        ((b"avcC", b"free"), "avcC"),
        ((b"esds", b"free"), "esds"),
        (((90_000).to_bytes(4), (12_800).to_bytes(4)), "timescale of track 1"),
    ],
    ids=lambda value: str(value),
)
def test_an_init_of_something_else_is_none(change: tuple[bytes, bytes], why: str) -> None:
    with pytest.raises(NotFit, match=why):
        init_facts(INIT.replace(*change))


@given(st.integers(0, len(SEGMENT) - 1))
def test_a_segment_that_is_cut_off_anywhere_is_none(length: int) -> None:
    with pytest.raises(NotFit):
        fragment_facts(SEGMENT[:length])


@given(st.integers(0, len(INIT) - 1))
def test_an_init_that_is_cut_off_anywhere_is_none(length: int) -> None:
    with pytest.raises(NotFit):
        init_facts(INIT[:length])


@settings(max_examples=300)
@given(st.integers(0, 1400), st.binary(min_size=1, max_size=8))
def test_changed_bytes_are_read_or_refused(at: int, other: bytes) -> None:
    for read, whole in ((init_facts, INIT), (fragment_facts, SEGMENT)):
        changed = whole[:at] + other + whole[at + len(other) :]
        with suppress(NotFit):
            read(changed)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    for read in (init_facts, fragment_facts):
        with pytest.raises(NotFit):
            read(data)
