"""Playlists keep Apple's rules through a lesson's life, in whatever order its segments come; holes close in place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.archive import playlist
from relay.archive.recording import Init, Recording, Segment
from tests.relay.archive.hls_rules import MediaPlaylist, read_multivariant
from wire.recording import RecordingEnd

STARTED_US = 1_788_249_600_123_456
CURTAIN_US = 600_000_000


@dataclass(frozen=True)
class Lesson:
    """What a kit made, and the order in which it arrives."""

    inits: tuple[Init, ...]
    segments: tuple[Segment, ...]
    order: tuple[int, ...]
    end_after: int

    @property
    def end(self) -> RecordingEnd:
        return RecordingEnd(segments=len(self.segments), duration_us=self.segments[-1].end_us)


def _init(number: int, codecs: str = "avc1.42c01f,mp4a.40.2", size: tuple[int, int] = (1280, 720)) -> Init:
    return Init(number=number, size_bytes=900, sha256=bytes(32), codecs=codecs, width=size[0], height=size[1])


@st.composite
def lessons(draw: st.DrawFn) -> Lesson:
    """Up to a minute of lesson: curtains, restarts of the encoder, late key frames; any order of arrival."""
    at_us, init, segments = draw(st.sampled_from([0, 0, 40_000])), 0, list[Segment]()
    count = draw(st.integers(1, 25))
    for number in range(count):
        event = draw(st.sampled_from(["", "", "", "", "", "curtain", "kit was dead", "encoder"])) if number else ""
        at_us += {"curtain": CURTAIN_US, "kit was dead": 7_000_000}.get(event, 0)
        init += event == "encoder"
        duration_us = draw(st.sampled_from([2_000_000, 2_000_000, 2_033_333, 2_000_001, 3_999_000, 150_000]))
        segments.append(_segment(number, init, at_us, duration_us, discontinuity=event != ""))
        at_us += duration_us
    order = draw(st.permutations(range(count)) | st.just(list(range(count))))
    return Lesson(tuple(_init(k) for k in range(init + 1)), tuple(segments), tuple(order), draw(st.integers(0, count)))


def _segment(
    number: int, init: int, start_us: int, duration_us: int = 2_000_000, *, discontinuity: bool = False
) -> Segment:
    return Segment(
        number=number,
        init=init,
        start_us=start_us,
        duration_us=duration_us,
        discontinuity=discontinuity,
        size_bytes=400_000 + number,
        sha256=bytes(32),
    )


def _empty() -> Recording:
    return Recording(lesson_id="1e" * 16, class_id="c", publisher="k", started_unix_us=STARTED_US)


def _read(recording: Recording) -> MediaPlaylist:
    return MediaPlaylist.read(playlist.media(recording, closed=recording.complete))


@settings(max_examples=120)
@given(lessons())
def test_every_playlist_of_a_lessons_life_keeps_the_rules(lesson: Lesson) -> None:
    recording = _empty()
    for init in lesson.inits:
        recording = recording.with_init(init)
    shown = _read(recording)
    for index, number in enumerate(lesson.order):
        if index == lesson.end_after:
            recording = recording.with_end(lesson.end)
        recording = recording.with_segment(lesson.segments[number])
        newer = _read(recording)
        newer.follows(shown)
        assert len(newer.held) == index + 1
        shown = newer
    if not recording.complete:
        recording = recording.with_end(lesson.end)
    whole = _read(recording)
    if not shown.ended:
        whole.follows(shown)
    assert whole.ended
    _agrees(whole, lesson)


def _agrees(whole: MediaPlaylist, lesson: Lesson) -> None:
    """A whole playlist says of every segment what the kit said of it."""
    assert whole.held == [f"{number}.m4s" for number in range(len(lesson.segments))]
    for shown, made in zip(whole.segments, lesson.segments, strict=True):
        assert shown.duration_s == pytest.approx(made.duration_us / 1e6, abs=1e-6)
        assert shown.map_uri == f"init-{made.init}.mp4"
        date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=STARTED_US + made.start_us)
        assert abs(shown.date - date) < timedelta(milliseconds=2)
    for (before, made), (after, next_made) in zip(
        zip(whole.segments, lesson.segments, strict=True),
        list(zip(whole.segments, lesson.segments, strict=True))[1:],
        strict=False,
    ):
        anew = next_made.discontinuity or made.init != next_made.init
        assert (after.discontinuity > before.discontinuity) == anew


@settings(max_examples=60)
@given(lessons())
def test_what_a_list_of_lessons_says_is_the_playlists_time(lesson: Lesson) -> None:
    recording = _empty().with_init(_init(0))
    for init in lesson.inits:
        recording = recording.with_init(init)
    for number in lesson.order[: lesson.end_after]:
        recording = recording.with_segment(lesson.segments[number])
    shown = _read(recording)
    assert recording.duration_us == pytest.approx(sum(item.duration_s for item in shown.segments) * 1e6, abs=30)
    gap_us = sum(end - begin for begin, end in recording.gaps_us)
    assert gap_us == pytest.approx(sum(item.duration_s for item in shown.segments if item.gap) * 1e6, abs=30)
    assert list(recording.gaps_us) == sorted(recording.gaps_us)


def _lesson_of(*numbers: int, of: int = 10) -> Recording:
    recording = _empty().with_init(_init(0))
    for number in range(of):
        if number in numbers:
            recording = recording.with_segment(_segment(number, 0, number * 2_000_000))
    return recording


def test_a_hole_has_the_time_between_its_neighbours_and_goes_when_it_is_filled() -> None:
    recording = _lesson_of(0, 1, 4, 5)
    shown = _read(recording)
    assert [item.gap for item in shown.segments] == [False, False, True, True, False, False]
    assert [item.duration_s for item in shown.segments] == [2.0] * 6
    assert recording.gaps_us == ((4_000_000, 8_000_000),)
    closed = recording.with_segment(_segment(2, 0, 4_000_000)).with_segment(_segment(3, 0, 6_000_000))
    assert closed.gaps_us == ()
    assert "GAP" not in playlist.media(closed, closed=False)
    assert closed.duration_us == recording.duration_us


def test_what_was_never_captured_takes_no_time_in_the_playlist() -> None:
    recording = _lesson_of(0, 1).with_segment(_segment(2, 0, CURTAIN_US, discontinuity=True))
    shown = _read(recording)
    assert recording.duration_us == 6_000_000
    assert [item.discontinuity for item in shown.segments] == [0, 0, 1]
    assert shown.segments[2].date - shown.segments[1].date == timedelta(seconds=CURTAIN_US / 1e6 - 2)


def test_a_hole_with_a_curtain_in_it_is_not_longer_than_a_segment_may_be() -> None:
    recording = _lesson_of(0).with_segment(_segment(3, 0, CURTAIN_US))
    shown = _read(recording)
    assert [item.duration_s for item in shown.segments] == [2.0] * 4
    assert shown.segments[3].discontinuity > shown.segments[2].discontinuity, "its media time is somewhere else"


def test_what_is_lacking_at_the_beginning_is_shown_and_at_the_end_only_when_it_is_known() -> None:
    recording = _lesson_of(2, 3)
    assert recording.gaps_us == ((0, 4_000_000),)
    ended = recording.with_end(RecordingEnd(segments=6, duration_us=12_000_000))
    assert ended.gaps_us == ((0, 4_000_000), (8_000_000, 12_000_000))
    assert not ended.complete
    assert not _read(ended).ended


def test_a_recording_whose_kit_lost_some_is_complete_without_them() -> None:
    recording = _lesson_of(0, 3, 4, of=5)
    assert not recording.with_end(RecordingEnd(segments=5, duration_us=10_000_000, lost=((1, 1),))).complete
    lost = recording.with_end(RecordingEnd(segments=5, duration_us=10_000_000, lost=((1, 2),)))
    assert lost.complete
    shown = _read(lost)
    assert shown.ended
    assert [item.gap for item in shown.segments] == [False, True, True, False, False]


def test_a_segment_longer_than_promised_raises_the_target_rather_than_breaking_it() -> None:
    long = _lesson_of(0).with_segment(_segment(1, 0, 2_000_000, 6_700_000))
    assert _read(long).target_duration_s == 7
    assert _read(long.with_segment(_segment(2, 0, 8_700_000))).target_duration_s == 7


def test_the_index_says_what_is_in_it() -> None:
    recording = _lesson_of(0, 1)
    attributes, uri = read_multivariant(playlist.multivariant(recording))
    assert uri == "main.m3u8"
    assert attributes["CODECS"] == "avc1.42c01f,mp4a.40.2"
    assert attributes["RESOLUTION"] == "1280x720"
    assert int(attributes["BANDWIDTH"]) >= playlist.LEAST_BANDWIDTH


def test_of_several_inits_the_index_says_the_most_that_a_player_must_be_able_to() -> None:
    recording = _lesson_of(0).with_init(_init(1, "avc1.42c028,mp4a.40.2", (1920, 1080)))
    recording = recording.with_segment(_segment(1, 1, 2_000_000, discontinuity=True))
    recording = recording.with_init(_init(2)).with_segment(_segment(2, 2, 4_000_000, discontinuity=True))
    attributes, _ = read_multivariant(playlist.multivariant(recording))
    assert (attributes["CODECS"], attributes["RESOLUTION"]) == ("avc1.42c028,mp4a.40.2", "1920x1080")


def test_the_bandwidth_of_a_whole_lesson_is_its_widest_segments() -> None:
    whole = _lesson_of(0, 1).with_end(RecordingEnd(segments=2, duration_us=4_000_000))
    attributes, _ = read_multivariant(playlist.multivariant(whole))
    assert int(attributes["BANDWIDTH"]) == 8 * 400_001 * 1_000_000 // 2_000_000
