"""A recording as one fragmented MP4 to keep: planned from what is known of it, then written piece by piece. Pure.

Nothing is encoded anew. The fragments are the segments; what changes in them is their number, and their time, so that
what was never captured and what is lacking takes none. A plan knows the size of each piece, so any part of the file can
be asked for. Not here: reading the segments (``one_file_parts.py``).

A lesson whose encoder began anew has several inits. Their descriptions of the picture all go into the one ``stsd``, and
each fragment names its own (ISO/IEC 14496-12 §8.8.7). Players that look only at the first are helped by the parameter
sets, which then also stand before each fragment's first picture, where every H.264 decoder reads them.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from relay.archive.boxes import (
    AUDIO_TIMESCALE,
    VIDEO_TIMESCALE,
    VIDEO_TRACK,
    Box,
    NotFit,
    Run,
    boxes,
    fragment_facts,
    parameter_sets,
)
from relay.archive.recording import SLACK_US, Recording, Segment

JOIN_US = 40_000  # between stretches, so that sound that goes on after the picture is not written over
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A segment's place in the file: ``earlier_us`` is taken from its times, ``entry`` describes its pictures."""

    segment: Segment
    sequence: int
    earlier_us: int
    entry: int | None
    parameters: bytes

    @property
    def size_bytes(self) -> int:
        """How long it is in the file."""
        return self.segment.size_bytes + (0 if self.entry is None else 4 + len(self.parameters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole file: ``head``, then the pieces."""

    head: bytes
    pieces: tuple[Piece, ...]
    ends: tuple[int, ...]
    duration_us: int

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        return self.ends[-1]

    def first_of(self, offset: int) -> int:
        """Which piece has this byte; -1: the head."""
        return bisect_right(self.ends, offset) - 1


def plan(recording: Recording, inits: dict[int, bytes]) -> Plan:
    """The file of a recording that holds a segment. ``inits`` are the bodies of those that its segments name."""
    segments = [recording.segments[number] for number in sorted(recording.segments)]
    different = list(dict.fromkeys(inits[segment.init] for segment in segments))
    parameters = {body: parameter_sets(body) for body in different}
    pieces: list[Piece] = []
    at_us, before = 0, None
    for sequence, segment in enumerate(segments):
        if before is not None and abs(segment.start_us - before.end_us) > SLACK_US:
            at_us += JOIN_US
            earlier_us = segment.start_us - at_us
        else:
            earlier_us = pieces[-1].earlier_us if pieces else segment.start_us
        body = inits[segment.init]
        several = len(different) > 1
        pieces.append(
            Piece(
                segment=segment,
                sequence=sequence + 1,
                earlier_us=earlier_us,
                entry=different.index(body) + 1 if several else None,
                parameters=parameters[body] if several else b"",
            )
        )
        at_us, before = segment.end_us - earlier_us, segment
    head = _head(different, at_us)
    ends = tuple(accumulate((piece.size_bytes for piece in pieces), initial=len(head)))
    return Plan(head=head, pieces=tuple(pieces), ends=ends, duration_us=at_us)


def written(piece: Piece, body: bytes) -> bytes:
    """A segment as it stands in the file. Raises ``NotFit`` when ``body`` is not the piece's."""
    facts = fragment_facts(body)
    runs = [facts.video] if facts.audio is None else [facts.video, facts.audio]
    made = bytearray(body)
    mfhd = next(box for box in boxes(body, facts.moof.body, facts.moof.end) if box.kind == b"mfhd")
    _put(made, mfhd.body + 4, 4, piece.sequence)
    for run in runs:
        rate = VIDEO_TIMESCALE if run.track == VIDEO_TRACK else AUDIO_TIMESCALE
        time = max(0, run.decode_time - piece.earlier_us * rate // 1_000_000)
        _put(made, run.places.decode_time, run.places.decode_time_bytes, time)
    if piece.entry is not None:
        _describe(made, facts.moof, facts.mdat, runs, piece)
    if len(made) != piece.size_bytes:
        raise NotFit(f"segment {piece.segment.number} has {len(body)} bytes, not {piece.segment.size_bytes}")
    return bytes(made)


def _describe(made: bytearray, moof: Box, mdat: Box, runs: list[Run], piece: Piece) -> None:
    """Name the description of the pictures, and put the parameter sets before the first one."""
    video, grown = runs[0], len(piece.parameters)
    header = video.places.header
    for run in runs:
        behind = grown if run.data_offset > video.data_offset else 0
        _put(made, run.places.data_offset, 4, run.data_offset + 4 + behind)
    _put(made, video.places.first_size, 4, video.sizes[0] + grown)
    made[header.body + 3] |= 0x02  # sample-description-index-present
    for box, more in ((header, 4), (video.places.traf, 4), (moof, 4), (mdat, grown)):
        long = box.body - box.start == 16
        _put(made, box.start + (8 if long else 0), 8 if long else 4, box.end - box.start + more)
    picture = moof.start + video.data_offset
    made[picture:picture] = piece.parameters
    made[header.body + 8 : header.body + 8] = (piece.entry or 1).to_bytes(4)


def _put(made: bytearray, at: int, size: int, value: int) -> None:
    made[at : at + size] = value.to_bytes(size)


# -- the head ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    """A box that is taken apart, to be put together again with other content."""

    kind: bytes
    content: bytes
    inner: list[_Node]

    def only(self, *path: bytes) -> _Node:
        found = self
        for kind in path:
            found = next(node for node in found.inner if node.kind == kind)
        return found

    def bytes(self) -> bytes:
        content = self.content + b"".join(node.bytes() for node in self.inner)
        return (8 + len(content)).to_bytes(4) + self.kind + content


def _tree(data: bytes, box: Box) -> _Node:
    if box.kind not in _CONTAINERS:
        return _Node(box.kind, data[box.body : box.end], [])
    return _Node(box.kind, b"", [_tree(data, inner) for inner in boxes(data, box.body, box.end)])


def _head(inits: list[bytes], duration_us: int) -> bytes:
    """One init for all: with every description of the picture, and the duration."""
    trees = [[_tree(data, box) for box in boxes(data)] for data in inits]
    moovs = [next(node for node in tree if node.kind == b"moov") for tree in trees]
    moov = moovs[0]
    tables = [_video_track(node).only(b"mdia", b"minf", b"stbl", b"stsd") for node in moovs]
    tables[0].content = bytes(4) + len(tables).to_bytes(4) + b"".join(table.content[8:] for table in tables)
    headers = [_video_track(node).only(b"tkhd") for node in moovs]
    headers[0].content = max((header.content for header in headers), key=lambda content: content[-8:])
    movie = moov.only(b"mvhd")
    wide = movie.content[0] == 1
    timescale = int.from_bytes(movie.content[20:24] if wide else movie.content[12:16])
    duration = duration_us * timescale // 1_000_000
    at, size = (24, 8) if wide else (16, 4)
    movie.content = movie.content[:at] + duration.to_bytes(size) + movie.content[at + size :]
    extends = moov.only(b"mvex")
    extends.inner = [node for node in extends.inner if node.kind != b"mehd"]
    extends.inner.insert(0, _Node(b"mehd", b"\x01\0\0\0" + duration.to_bytes(8), []))
    return b"".join(node.bytes() for node in trees[0])


def _video_track(moov: _Node) -> _Node:
    return next(
        node for node in moov.inner if node.kind == b"trak" and node.only(b"mdia", b"hdlr").content[8:12] == b"vide"
    )
