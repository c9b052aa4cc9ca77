"""A recorded lesson on the disk: what is finished stays, what was torn is as if it had never begun."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.recordings.lesson_folder import (
    INDEX,
    Confirmed,
    Head,
    IndexEntry,
    LessonFolder,
    SegmentDamaged,
    missing,
    read_confirmed,
    read_end,
    read_head,
    read_segment,
    write_confirmed,
)

KILLS = 210
HEAD = Head(lesson_id="b" * 32, started_unix_us=1_700_000_000_000_000, started_boot_us=5, boot_id="one")


def _recorded(path: Path, segments: int) -> LessonFolder:
    folder = LessonFolder(path)
    folder.begin(HEAD)
    for _ in range(segments):
        _add(folder)
    return folder


def _add(folder: LessonFolder) -> IndexEntry:
    start_us = folder.end_us
    content = b"segment %d" % folder.next_number * 100
    init = folder.init_for(b"the same init")
    return folder.add(content, init=init, start_us=start_us, end_us=start_us + 2_000_000, discontinuity=False)


def test_a_kit_killed_at_any_moment_loses_nothing_finished_and_keeps_nothing_torn(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.appliance.recordings.dying_writer", str(tmp_path), str(KILLS), "5"]
    output = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    told = [json.loads(line) for line in output.splitlines()]
    assert len(told) == KILLS
    assert [line for line in told if line["wrong"]] == []
    assert len({line["segments"] for line in told}) > 10  # the kills fell at many different places


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    written = _recorded(tmp_path / "lesson", 3)
    written.end(7_000_000)
    folder = LessonFolder(tmp_path / "lesson")
    assert folder.entries == written.entries
    assert [read_segment(folder.path, entry)[:9] for entry in folder.entries.values()] == [
        b"segment 0",
        b"segment 1",
        b"segment 2",
    ]
    assert read_head(folder.path) == HEAD
    end = read_end(folder.path)
    assert end is not None
    assert (end.segments, end.duration_us) == (3, 7_000_000)
    assert missing(folder.path, folder.entries) == ()


def test_a_last_line_that_is_torn_is_cut_off_with_its_segment_and_its_number_is_given_again(tmp_path: Path) -> None:
    path = tmp_path / "lesson"
    _recorded(path, 2)
    first, last = (path / INDEX).read_bytes().splitlines(keepends=True)
    for whole in range(0, len(last), 5):
        (path / INDEX).write_bytes(first + last[:whole])
        folder = LessonFolder(path)
        assert set(folder.entries) == {0}
        assert (path / INDEX).read_bytes() == first
        assert _add(folder).n == 1
        assert read_segment(path, LessonFolder(path).entries[1])


def test_a_line_that_rotted_costs_its_own_segment_alone(tmp_path: Path) -> None:
    _recorded(tmp_path / "lesson", 3)
    index = tmp_path / "lesson" / INDEX
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(lines[0] + b"\x00" * (len(lines[1]) - 1) + b"\n" + lines[2])
    folder = LessonFolder(tmp_path / "lesson")
    assert set(folder.entries) == {0, 2}
    assert folder.next_number == 3


@pytest.mark.parametrize("damage", [b"", b"short", b"another " * 125])
def test_a_segment_that_is_not_what_was_written_is_not_given_out(tmp_path: Path, damage: bytes) -> None:
    folder = _recorded(tmp_path / "lesson", 1)
    (folder.path / "0.m4s").write_bytes(damage)
    with pytest.raises(SegmentDamaged, match=r"0\.m4s"):
        read_segment(folder.path, folder.entries[0])


def test_segments_whose_files_are_gone_are_known(tmp_path: Path) -> None:
    folder = _recorded(tmp_path / "lesson", 5)
    for gone in (1, 2, 4):
        (folder.path / f"{gone}.m4s").unlink()
    assert missing(folder.path, LessonFolder(folder.path).entries) == ((1, 2), (4, 4))


def test_an_init_gets_a_new_number_only_when_it_is_another(tmp_path: Path) -> None:
    folder = LessonFolder(tmp_path / "lesson")
    assert [folder.init_for(content) for content in (b"a", b"a", b"b", b"b", b"a")] == [0, 0, 1, 1, 2]
    assert LessonFolder(tmp_path / "lesson").init_for(b"a") == 2


def test_a_lesson_that_goes_on_keeps_its_start_and_is_no_longer_over(tmp_path: Path) -> None:
    folder = _recorded(tmp_path / "lesson", 2)
    folder.end(9_000_000)
    again = LessonFolder(folder.path)
    again.begin(Head(lesson_id=HEAD.lesson_id, started_unix_us=7, started_boot_us=7, boot_id="two"))
    assert read_head(folder.path) == HEAD
    assert read_end(folder.path) is None
    assert _add(again).n == 2


def test_a_mark_that_cannot_be_read_confirms_nothing(tmp_path: Path) -> None:
    write_confirmed(tmp_path, Confirmed(segments=((0, 4),), all=True))
    assert read_confirmed(tmp_path) == Confirmed(segments=((0, 4),), all=True)
    (tmp_path / "confirmed.json").write_bytes(b"{")
    assert read_confirmed(tmp_path) == Confirmed()
