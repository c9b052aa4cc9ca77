"""The kit's own log since it started, the newest lines of it, for whoever sets the kit up to download.

A handler of Python's logging, so it is the same under systemd and without: the kit's user may not read the journal. It
ends with the process; what was before a restart is in the journal. Codes, keys and PINs are never logged.
"""

from __future__ import annotations

import logging
from collections import deque

MOST_LINES = 2000
MOST_CHARACTERS = 500  # of one line; a longer one is cut


class RecentLog(logging.Handler):
    """Keeps the newest lines."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging, from any thread."""
        try:
            lines = self.format(record).splitlines()
        except (ValueError, TypeError):  # a message that does not fit its arguments
            self.handleError(record)
            return
        self._lines.extend(line[:MOST_CHARACTERS] for line in lines)

    def text(self) -> str:
        """What is kept, oldest first."""
        return "".join(f"{line}\n" for line in list(self._lines))
