"""What goes up next: the live edge, then whatever is oldest, then that it is all."""

from __future__ import annotations

from appliance.recordings.lesson_folder import End, Head, IndexEntry
from appliance.stream.backlog import Backlog, LessonBacklog, Step
from wire.recording import RecordingState


def _entry(number: int) -> IndexEntry:
    return IndexEntry(n=number, init=0, start_us=number, duration_us=2_000_000, bytes=1, sha256="", discontinuity=False)


def _lesson(name: str, began: int, segments: int, *, over: bool) -> LessonBacklog:
    head = Head(lesson_id=name, started_unix_us=began, started_boot_us=0, boot_id="")
    end = End(segments=segments, duration_us=segments * 2_000_000) if over else None
    return LessonBacklog(head, {number: _entry(number) for number in range(segments)}, end, told=True)


def _order(backlog: Backlog, *, during: dict[int, list[int]] | None = None) -> list[tuple[str, int | None]]:
    """What is taken one after the other; ``during``: what is recorded of ``running`` after so many steps."""
    taken: list[tuple[str, int | None]] = []
    while (step := backlog.next()) is not None and len(taken) < 50:
        taken.append((step.lesson.head.lesson_id, step.segment))
        if step.segment is None:
            backlog.drop(step.lesson)
        else:
            step.lesson.held.add(step.segment)
        for number in (during or {}).get(len(taken), []):
            running = backlog.find("running")
            assert running is not None
            running.entries[number] = _entry(number)
    return taken


def test_old_lessons_go_up_oldest_first_and_each_is_closed_when_it_is_whole() -> None:
    backlog = Backlog()
    backlog.put(_lesson("second", 2, 2, over=True))
    backlog.put(_lesson("first", 1, 2, over=True))
    assert _order(backlog) == [
        ("first", 0),
        ("first", 1),
        ("first", None),
        ("second", 0),
        ("second", 1),
        ("second", None),
    ]


def test_what_was_recorded_last_goes_before_everything_that_is_older() -> None:
    backlog = Backlog()
    backlog.put(_lesson("old", 1, 2, over=True))
    backlog.put(_lesson("running", 5, 4, over=False))
    during = {2: [4], 3: [5, 6]}
    assert _order(backlog, during=during) == [
        ("running", 3),
        ("old", 0),
        ("running", 4),
        ("running", 6),
        ("old", 1),
        ("old", None),
        ("running", 0),
        ("running", 1),
        ("running", 2),
        ("running", 5),
    ]


def test_a_lesson_that_goes_on_is_not_closed() -> None:
    backlog = Backlog()
    lesson = _lesson("running", 1, 1, over=False)
    backlog.put(lesson)
    lesson.learn(RecordingState(segments=((0, 0),)))
    assert backlog.next() is None
    lesson.end = End(segments=1, duration_us=3)
    assert backlog.next() == Step(lesson)


def test_what_is_gone_is_told_as_lost_and_so_is_what_the_index_does_not_know() -> None:
    lesson = _lesson("old", 1, 8, over=True)
    lesson.gone = {2, 5}
    del lesson.entries[6]
    lesson.learn(RecordingState(segments=((0, 1), (5, 5))))  # one of them had got there
    said = lesson.ending()
    assert said is not None
    assert said.lost == ((2, 2), (6, 6))
    assert lesson.lacking == [3, 4, 7]


def test_a_lesson_that_the_relay_refuses_holds_nobody_up() -> None:
    backlog = Backlog()
    refused = _lesson("foreign", 1, 2, over=True)
    refused.refused = True
    backlog.put(refused)
    backlog.put(_lesson("mine", 2, 1, over=True))
    assert _order(backlog) == [("mine", 0), ("mine", None)]
    assert backlog.waiting() == 0
