"""The recording's documents: what they say stays as it is, and what breaks a bound is refused by name."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import recording
from wire.messages import WireError
from wire.recording import (
    MAX_DOCUMENT_BYTES,
    MAX_LESSON_US,
    MAX_SEGMENT_HEAD,
    MAX_SEGMENTS,
    RecordingEnd,
    RecordingHead,
    RecordingState,
    Said,
    SegmentHead,
    content_digest_of,
    decode,
    encode,
    numbers_in,
    ranges_of,
    read_content_digest,
)

GOLDEN = Path(__file__).parent / "golden" / "recording"

#: What each golden file says. The files never change: kits in the field speak them.
SAID: dict[str, Said] = {
    "recording_head": RecordingHead(started_unix_us=1788249600123456),
    "segment_head": SegmentHead(init=0, start_us=1998000, duration_us=2000000),
    "segment_head_discontinuity": SegmentHead(init=1, start_us=90000000, duration_us=3966667, discontinuity=True),
    "recording_state": RecordingState(segments=((0, 17), (19, 19), (21, 40)), inits=((0, 1),)),
    "recording_state_nothing": RecordingState(),
    "recording_end": RecordingEnd(segments=1350, duration_us=2700041667, lost=((7, 7), (11, 12))),
}

number_sets = st.sets(st.integers(0, 60) | st.integers(0, MAX_SEGMENTS - 1), max_size=40)
heads = st.builds(
    SegmentHead,
    init=st.integers(0, recording.MAX_INITS - 1),
    start_us=st.integers(0, MAX_LESSON_US),
    duration_us=st.integers(1, recording.MAX_SEGMENT_US),
    discontinuity=st.booleans(),
)


@pytest.mark.parametrize("name", SAID)
def test_a_golden_document_is_read_and_written_as_ever(name: str) -> None:
    text = (GOLDEN / f"{name}.json").read_text(encoding="ascii").rstrip("\n")
    assert decode(text, type(SAID[name])) == SAID[name]
    assert encode(SAID[name]) == text


def test_every_golden_file_is_held() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == SAID.keys()


@given(heads)
def test_a_segments_head_travels_in_a_header(head: SegmentHead) -> None:
    text = encode(head)
    assert decode(text, SegmentHead) == head
    assert text.isprintable()
    assert text.isascii()
    assert len(text) <= MAX_SEGMENT_HEAD


@given(number_sets)
def test_ranges_hold_the_numbers_and_no_others(numbers: set[int]) -> None:
    ranges = ranges_of(numbers)
    assert list(numbers_in(ranges)) == sorted(numbers)
    assert all(after[0] > before[1] + 1 for before, after in pairwise(ranges)), "they are merged"
    assert decode(encode(RecordingState(segments=ranges)), RecordingState).segments == ranges


def test_the_worst_state_that_there_is_fits() -> None:
    worst = RecordingState(segments=ranges_of(range(0, MAX_SEGMENTS, 2)))
    assert decode(encode(worst), RecordingState) == worst


def test_fields_of_a_newer_version_are_ignored() -> None:
    newer = json.loads(encode(SAID["segment_head"])) | {"board": [0, 0, 1, 1]}
    assert decode(json.dumps(newer), SegmentHead) == SAID["segment_head"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (RecordingHead, "[]"),
        (RecordingHead, '{"v": 2, "started_unix_us": 0}'),
        (RecordingHead, '{"v": 1, "started_unix_us": -1}'),
        (RecordingHead, '{"v": 1, "started_unix_us": 9007199254740993}'),
        (RecordingHead, b'{"v": 1, "\xff": 0}'),
        (SegmentHead, ""),
        (SegmentHead, '{"init": 0, "start_us": 0}'),
        (SegmentHead, '{"init": 0, "start_us": 0, "duration_us": 0}'),
        (SegmentHead, '{"init": 0, "start_us": 0, "duration_us": 10000001}'),
        (SegmentHead, '{"init": 0, "start_us": -1, "duration_us": 1}'),
        (SegmentHead, '{"init": 10000, "start_us": 0, "duration_us": 1}'),
        (SegmentHead, '{"init": 0, "start_us": 0.5, "duration_us": 1}'),
        (SegmentHead, '{"init": 0, "start_us": 0, "duration_us": 1, "x": "' + "x" * MAX_SEGMENT_HEAD + '"}'),
        (RecordingState, '{"segments": [[3, 2]]}'),
        (RecordingState, '{"segments": [[0, 4], [4, 5]]}'),
        (RecordingState, '{"segments": [[5, 6], [0, 1]]}'),
        (RecordingState, '{"segments": [[0, 1, 2]]}'),
        (RecordingState, '{"segments": [[0, 100000]]}'),
        (RecordingState, '{"x": ' + "[" * 5000 + "]" * 5000 + "}"),
        (RecordingEnd, '{"segments": 3, "duration_us": 1, "lost": [[3, 3]]}'),
        (RecordingEnd, '{"segments": 100001, "duration_us": 1}'),
        (RecordingEnd, '{"segments": 1, "duration_us": 86400000001}'),
        (RecordingEnd, b" " * (MAX_DOCUMENT_BYTES + 1)),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str | bytes) else value.__name__,
)
def test_what_breaks_a_bound_is_a_wire_error(kind: type[RecordingHead], text: str | bytes) -> None:
    with pytest.raises(WireError):
        decode(text, kind)


@given(st.binary(max_size=100))
def test_a_digest_is_read_as_it_was_written_beside_others_too(body: bytes) -> None:
    value = content_digest_of(body)
    assert read_content_digest(value) == read_content_digest(f"sha-512=:AAAA:, {value}")
    assert value.isascii()


def test_the_digest_is_that_of_the_standards_example() -> None:
    """RFC 9530, appendix B.1."""
    body = b'{"hello": "world"}\n'
    assert content_digest_of(body) == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha-256",
        "sha-256=",
        "sha-256=:",
        "sha-256=::",
        "sha-256=:AAAA:",
        "sha-256=:?:",
        "md5=:AAAA:",
        "sha-256=\u0661",
    ],
)
def test_a_broken_digest_is_a_wire_error(value: str) -> None:
    with pytest.raises(WireError):
        read_content_digest(value)
