"""The service manager's adapter without one, and what a program does that cannot tell it anything."""

from __future__ import annotations

import logging
import sys

import pytest

from service.systemd import Service, ServiceUnavailable, open_service


def test_a_program_that_a_person_started_says_nothing() -> None:
    service = open_service("parta-kit", {})
    service.tell("READY=1")
    assert service.watchdog_s is None


def test_a_service_manager_that_waits_in_vain_is_an_error_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    with pytest.raises(ServiceUnavailable, match="python3-systemd"):
        open_service("parta-kit", {"NOTIFY_SOCKET": "@nobody"})


def test_a_journal_stream_that_is_not_stderr_is_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "systemd.journal", None)
    assert open_service("parta-kit", {"JOURNAL_STREAM": "1:1"}).watchdog_s is None


def test_a_service_manager_that_is_gone_is_told_of_once_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def gone(_: str) -> None:
        raise ConnectionRefusedError("nobody listens")

    service = Service("parta-kit", notify=gone)
    service.tell("WATCHDOG=1")
    service.tell("WATCHDOG=1")
    assert caplog.text.count("cannot be told: nobody listens") == 1


def test_said_lines_stay_lines() -> None:
    said: list[str] = []
    Service("parta-kit", notify=said.append).tell("STATUS=a\nREADY=1", "WATCHDOG=1")
    assert said == ["STATUS=a READY=1\nWATCHDOG=1"]


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7)],
)
def test_a_level_is_a_priority_and_what_a_line_says_of_itself_goes_before_the_context(
    level: int, priority: int
) -> None:
    service = Service("parta-relay")
    service.context = lambda: {"PARTA_STATE": "live", "PARTA_LESSON": "old"}
    record = logging.LogRecord("relay.x", level, "x.py", 7, "hello", None, None, "f")
    record.parta_lesson = "ab"
    fields = service.fields(record)
    assert (fields["PRIORITY"], fields["PARTA_LESSON"], fields["PARTA_STATE"]) == (priority, "ab", "live")
    assert (fields["CODE_FILE"], fields["CODE_LINE"], fields["CODE_FUNC"]) == ("x.py", 7, "f")
