"""One recorded lesson as files, such that whatever is cut off in the middle is as if it had never begun.

``head.json``, ``init-<k>.mp4``, ``<n>.m4s``, ``index.jsonl``, ``end.json``, ``confirmed.json``: docs/recording.md has
the format. A segment is there once its line in the index is on the disk: first its file, whole and under its name, then
the line. Blocks on the disk: call it in a thread; one thread writes. Used by the recorder and, through ``shelf.py``,
by the uploader. Not here: what is in a segment (``capture/cmaf.py``), and which lessons stay (``shelf.py``).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from pathlib import Path

import msgspec

from appliance.durable import remove_durably, sync_folder, write_durably
from appliance.errors import KitError
from wire.recording import Range, ranges_of

log = logging.getLogger(__name__)

HEAD, INDEX, END, CONFIRMED = "head.json", "index.jsonl", "end.json", "confirmed.json"
_SEGMENT = re.compile(r"(0|[1-9][0-9]*)\.m4s")
_INIT = re.compile(r"init-(0|[1-9][0-9]*)\.mp4")


class SegmentDamaged(KitError):
    """A file of a recording is gone, or is not what was written."""

    key = "segment_damaged"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Which lesson, and when its clock was 0: by the kit's clock, and by the time since the machine's start."""

    v: int = 1
    lesson_id: str
    started_unix_us: int
    started_boot_us: int
    boot_id: str


class IndexEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A segment. Times in µs of the lesson clock; ``sha256`` in hex; ``discontinuity``: a hole lies before it."""

    n: int
    init: int
    start_us: int
    duration_us: int
    bytes: int
    sha256: str
    discontinuity: bool

    @property
    def end_us(self) -> int:
        """Where the next one begins, if no hole lies between."""
        return self.start_us + self.duration_us


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The lesson is over: so many segments were made, and its clock stood at ``duration_us``."""

    v: int = 1
    segments: int
    duration_us: int


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """What the relay has said that it holds; ``all``: everything, and that the lesson is over."""

    segments: tuple[Range, ...] = ()
    all: bool = False


class LessonFolder:
    """A lesson's folder, put in order: what a dying kit left half done is gone. Raises ``OSError`` throughout."""

    def __init__(self, path: Path) -> None:
        """Open the folder at ``path``, and make it if there is none."""
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.entries = read_index(path, repair=True)
        self._sweep()
        self._index_bytes = _size(path / INDEX) or 0
        self.next_number = max(self.entries, default=-1) + 1
        self.inits = max((number for number in self._numbers(_INIT)), default=-1) + 1
        self._last_init = (path / _init_name(self.inits - 1)).read_bytes() if self.inits else None

    @property
    def end_us(self) -> int:
        """The lesson clock where the recording ends so far."""
        return max((entry.end_us for entry in self.entries.values()), default=0)

    def begin(self, head: Head) -> None:
        """Say which lesson this is. A lesson that goes on keeps its head, and is no longer over."""
        if not (self.path / HEAD).exists():
            write_durably(self.path / HEAD, msgspec.json.encode(head))
        if (self.path / END).exists():
            remove_durably(self.path / END)

    def init_for(self, content: bytes) -> int:
        """The number of the init with this content: the newest one's, or that of a new one."""
        if content != self._last_init:
            write_durably(self.path / _init_name(self.inits), content)
            self.inits, self._last_init = self.inits + 1, content
        return self.inits - 1

    def add(self, content: bytes, *, init: int, start_us: int, end_us: int, discontinuity: bool) -> IndexEntry:
        """Keep a segment. On return it is on the disk for good."""
        entry = IndexEntry(
            n=self.next_number,
            init=init,
            start_us=start_us,
            duration_us=end_us - start_us,
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            discontinuity=discontinuity,
        )
        write_durably(self.path / segment_name(entry.n), content)
        self._append(msgspec.json.encode(entry) + b"\n")
        self.entries[entry.n] = entry
        self.next_number += 1
        return entry

    def skip(self) -> None:
        """Leave out a number, if there was one before: what is lost is a hole that the relay and pupils see."""
        if self.entries:
            self.next_number = max(self.entries) + 2

    def end(self, duration_us: int) -> None:
        """The lesson is over."""
        said = End(segments=self.next_number, duration_us=max(duration_us, self.end_us))
        write_durably(self.path / END, msgspec.json.encode(said))

    def _append(self, line: bytes) -> None:
        is_new = not self._index_bytes
        with os.fdopen(os.open(self.path / INDEX, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as index:
            index.truncate(self._index_bytes)  # what a full disk let through of the line before
            index.seek(self._index_bytes)
            index.write(line)
            index.flush()
            os.fsync(index.fileno())
        if is_new:
            sync_folder(self.path)
        self._index_bytes += len(line)

    def _sweep(self) -> None:
        """Remove what was never finished: drafts, and segments that the index does not know."""
        unknown = set(self._numbers(_SEGMENT)) - set(self.entries)
        leftovers = [*self.path.glob(".*"), *(self.path / segment_name(number) for number in unknown)]
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
        if leftovers:
            sync_folder(self.path)

    def _numbers(self, pattern: re.Pattern[str]) -> list[int]:
        return [int(found[1]) for name in os.listdir(self.path) if (found := pattern.fullmatch(name))]  # noqa: PTH208


def segment_name(number: int) -> str:
    """A segment's file."""
    return f"{number}.m4s"


def _init_name(number: int) -> str:
    return f"init-{number}.mp4"


def read_segment(folder: Path, entry: IndexEntry) -> bytes:
    """A segment as it was written. Raises ``SegmentDamaged``."""
    content = _read(folder / segment_name(entry.n))
    if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise SegmentDamaged(f"{folder / segment_name(entry.n)}: is not what was recorded; the card may be worn out")
    return content


def read_init(folder: Path, number: int) -> bytes:
    """An init. Raises ``SegmentDamaged``."""
    return _read(folder / _init_name(number))


def read_head(folder: Path) -> Head:
    """Which lesson a folder holds. Raises ``SegmentDamaged``."""
    try:
        return msgspec.json.decode(_read(folder / HEAD), type=Head)
    except msgspec.DecodeError as error:
        raise SegmentDamaged(f"{folder / HEAD}: {error}") from error


def write_head(folder: Path, head: Head) -> None:
    """Say it otherwise. Raises ``OSError``."""
    write_durably(folder / HEAD, msgspec.json.encode(head))


def read_end(folder: Path) -> End | None:
    """How the lesson ended; None while it has not."""
    try:
        return msgspec.json.decode((folder / END).read_bytes(), type=End)
    except (OSError, msgspec.DecodeError):
        return None


def read_confirmed(folder: Path) -> Confirmed:
    """What the relay was last known to hold. What cannot be read was not confirmed: the relay is asked again."""
    try:
        return msgspec.json.decode((folder / CONFIRMED).read_bytes(), type=Confirmed)
    except (OSError, msgspec.DecodeError):
        return Confirmed()


def write_confirmed(folder: Path, confirmed: Confirmed) -> None:
    """Remember it. Raises ``OSError``."""
    write_durably(folder / CONFIRMED, msgspec.json.encode(confirmed))


def missing(folder: Path, entries: dict[int, IndexEntry]) -> tuple[Range, ...]:
    """The segments whose files are gone, or were cut short."""
    return ranges_of(n for n, entry in entries.items() if _size(folder / segment_name(n)) != entry.bytes)


def read_index(folder: Path, *, repair: bool = False) -> dict[int, IndexEntry]:
    """The index's whole lines by their numbers; ``repair``: cut off a last one that is torn. Raises ``OSError``."""
    path = folder / INDEX
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    entries: dict[int, IndexEntry] = {}
    whole = 0
    for line in lines:
        if line.endswith(b"\n"):
            whole += len(line)
            if (entry := _entry(path, line)) is not None:
                entries[entry.n] = entry
    if repair and lines and not lines[-1].endswith(b"\n"):
        os.truncate(path, whole)
    return entries


def _entry(path: Path, line: bytes) -> IndexEntry | None:
    try:
        return msgspec.json.decode(line, type=IndexEntry)
    except msgspec.DecodeError as error:
        log.warning("%s: a line cannot be read (%s); its segment is lost", path, error)
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SegmentDamaged(f"{path}: {error.strerror}") from error


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
