"""The service manager and its journal, as one program sees them. The only module that knows systemd-python.

Without them (a person's terminal, ``make run``) a ``Service`` says nothing and logs to stderr. Used by the two command
lines. Not here: what is said and when (``watch.py`` and each program's ``service_report.py``).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

log = logging.getLogger(__name__)

#: syslog(3)'s priorities, of which the journal knows no others.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7
#: ``log.info(…, extra={"parta_lesson": …})`` becomes the field PARTA_LESSON.
_OWN = "parta_"

Context = Callable[[], Mapping[str, str]]
Notify = Callable[[str], object]


class Send(Protocol):
    """Sends one entry to the journal."""

    def __call__(self, MESSAGE: str, **fields: str | int) -> object:  # noqa: N803  # the journal's name for it
        """As ``systemd.journal.send``."""
        ...


class ServiceUnavailable(Exception):
    """The service manager waits to be told, and what tells it is missing; the text has the remedy."""


class Service:
    """Whoever started this program. ``context`` is what every line in the journal carries besides its own fields."""

    def __init__(
        self, name: str, *, notify: Notify | None = None, send: Send | None = None, watchdog_s: float | None = None
    ) -> None:
        self.context: Context = dict
        self.watchdog_s = watchdog_s
        self._name = name
        self._notify = notify
        self._send = send

    def tell(self, *said: str) -> None:
        """Say it as sd_notify(3) has it, such as ``READY=1``. Never raises: a lesson outlives its service manager."""
        if self._notify is None:
            return
        try:
            self._notify("\n".join(line.replace("\n", " ") for line in said))
        except OSError as error:
            log.warning("the service manager cannot be told: %s", error)
            self._notify = None

    def start_logging(self, level: str, line_format: str, quiet: Iterable[str]) -> None:
        """From now on, log to the journal, else to stderr. Of the ``quiet`` loggers only warnings are told."""
        if self._send is not None:
            logging.basicConfig(handlers=[_JournalHandler(self, self._send)], format="%(message)s", level=level.upper())
        else:
            logging.basicConfig(stream=sys.stderr, format=line_format, level=level.upper())
        for name in quiet:
            logging.getLogger(name).setLevel(logging.WARNING)

    def fields(self, record: logging.LogRecord) -> dict[str, str | int]:
        """The fields of an entry in the journal, but for its message."""
        own = {key.upper(): str(value) for key, value in vars(record).items() if key.startswith(_OWN)}
        return {
            "SYSLOG_IDENTIFIER": self._name,
            "PRIORITY": next((priority for level, priority in _PRIORITIES if record.levelno >= level), _DEBUG),
            "LOGGER": record.name,
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName or "",
            **self.context(),
            **own,
        }


class _JournalHandler(logging.Handler):
    def __init__(self, service: Service, send: Send) -> None:
        super().__init__()
        self._service = service
        self._send_entry = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send_entry(self.format(record), **self._service.fields(record))
        except (OSError, ValueError, TypeError):  # the journal is gone, or the record's arguments don't fit its text
            self.handleError(record)


def open_service(name: str, environment: Mapping[str, str] = os.environ) -> Service:
    """The service manager that started this program, if one did. Raises ``ServiceUnavailable``."""
    is_awaited, is_read = bool(environment.get("NOTIFY_SOCKET")), _is_journal(environment.get("JOURNAL_STREAM", ""))
    if not (is_awaited or is_read):
        return Service(name)
    try:
        from systemd.daemon import notify
        from systemd.journal import send
    except ImportError as error:
        if not is_awaited:
            return Service(name)  # its stderr is in the journal all the same, without fields
        raise ServiceUnavailable(
            "the service manager waits for this program to say that it is ready, and systemd-python is missing; "
            "install it (parta[service], or Debian's python3-systemd), or set Type=exec in the unit"
        ) from error
    return Service(
        name,
        notify=notify if is_awaited else None,
        send=send if is_read else None,
        watchdog_s=_watchdog_s(environment),
    )


def _is_journal(stream: str) -> bool:
    """Whether stderr is the very stream that JOURNAL_STREAM names (systemd.exec(5)): it may have been inherited."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or no file at all
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """How long the service manager waits between two signs of life (sd_watchdog_enabled(3)); None: for ever."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    allowed_us = environment.get("WATCHDOG_USEC", "")
    return int(allowed_us) / 1e6 if allowed_us.isdecimal() and int(allowed_us) > 0 else None
