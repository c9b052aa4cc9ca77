"""Reads a recording's one file (``one_file.py``) from where the recording is kept, part by part."""

from __future__ import annotations

from relay.archive.boxes import NotFit
from relay.archive.files import FileStore, init_name, segment_name
from relay.archive.one_file import Plan, plan, written
from relay.archive.recording import Recording
from relay.errors import ArchiveUnavailable


async def planned(files: FileStore, recording: Recording) -> Plan:
    """The file of a recording. Raises ``ArchiveUnavailable``."""
    inits: dict[int, bytes] = {}
    for number in {segment.init for segment in recording.segments.values()}:
        body = await files.get(init_name(recording.lesson_id, number))
        if body is None:
            raise ArchiveUnavailable(f"init {number} of this recording cannot be read")
        inits[number] = body
    return plan(recording, inits)


async def part_of(files: FileStore, recording: Recording, file: Plan, index: int) -> bytes:
    """A piece of the file; -1: its head. Raises ``ArchiveUnavailable``."""
    if index < 0:
        return file.head
    piece = file.pieces[index]
    body = await files.get(segment_name(recording.lesson_id, piece.segment.number))
    if body is None:
        raise ArchiveUnavailable(f"segment {piece.segment.number} of this recording cannot be read")
    try:
        return written(piece, body)
    except NotFit as error:
        raise ArchiveUnavailable(f"a segment of this recording is damaged: {error}") from error
