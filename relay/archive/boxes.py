"""Reads ISO BMFF boxes (ISO/IEC 14496-12) as far as an archive of H.264 and AAC needs: pure, and wary of hostile bytes.

Not here: decoding, and writing (``one_file.py``). What a recording's files have to look like is docs/recording.md's,
"Format"; ``init_facts`` and ``fragment_facts`` hold it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

VIDEO_TRACK, AUDIO_TRACK = 1, 2
VIDEO_TIMESCALE, AUDIO_TIMESCALE = 90_000, 48_000  # ticks a second, of every init
#: What may stand before the ``moof`` of a segment and says nothing that we need.
_IGNORED = frozenset({b"styp", b"prft", b"free"})
_NON_SYNC = 0x0001_0000  # sample_is_non_sync_sample
_VISUAL_FIELDS, _AUDIO_FIELDS = 78, 28  # bytes of a sample entry before its boxes
_AAC_LC = 2
_MAX_SAMPLES = 4096  # in one run; 10 s have 600 pictures at most


class NotFit(ValueError):
    """These bytes are not what they should be; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box by its place: ``start`` of its header, ``body`` and ``end`` of its content."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InitFacts:
    """What a playlist says of an init: ``codecs`` as in RFC 6381, the picture's size in pixels."""

    codecs: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a ``traf`` says what has to change when it goes into another file: offsets of boxes and fields.

    ``first_size`` is the field with the size of the first sample, ``decode_time`` that of ``decode_time_bytes``.
    """

    traf: Box
    header: Box
    decode_time: int
    decode_time_bytes: int
    data_offset: int
    first_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One track's part of a fragment, in ticks of its track; ``data_offset`` counts from the start of the ``moof``."""

    track: int
    decode_time: int
    durations: tuple[int, ...]
    sizes: tuple[int, ...]
    data_offset: int
    begins_with_sync: bool
    places: Places

    @property
    def end(self) -> int:
        """The decode time after its last sample."""
        return self.decode_time + sum(self.durations)


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentFacts:
    """A segment's ``moof`` and ``mdat`` by their places in it, and its runs by track."""

    moof: Box
    mdat: Box
    video: Run
    audio: Run | None


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes that follow each other from ``start`` to ``end``. Raises ``NotFit`` for one that does not fit in."""
    end = len(data) if end is None else end
    while start < end:
        if end - start < 8:
            raise NotFit("a box is cut off")
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            if end - start < 16:
                raise NotFit("a box is cut off")
            size, body = struct.unpack_from(">Q", data, body)[0], start + 16
        if size < body - start or size > end - start:
            raise NotFit(f"box {_name(kind)} of {size} bytes does not fit in its {end - start}")
        yield Box(kind, start, body, start + size)
        start += size


def child(data: bytes, parent: Box, *path: bytes) -> Box:
    """The first box along a path of kinds. Raises ``NotFit`` when there is none."""
    found = parent
    for kind in path:
        inner = next((box for box in boxes(data, found.body, found.end) if box.kind == kind), None)
        if inner is None:
            raise NotFit(f"box {_name(found.kind)} has no {_name(kind)}")
        found = inner
    return found


def children(data: bytes, parent: Box, kind: bytes) -> list[Box]:
    """All boxes of this kind directly below ``parent``."""
    return [box for box in boxes(data, parent.body, parent.end) if box.kind == kind]


def init_facts(data: bytes) -> InitFacts:
    """What an init says. Raises ``NotFit`` unless it is ``ftyp`` and ``moov`` with H.264 on track 1 and AAC-LC on 2."""
    top = list(boxes(data))
    if [box.kind for box in top if box.kind != b"free"] != [b"ftyp", b"moov"]:
        raise NotFit("an init is ftyp and moov, and nothing else")
    moov = next(box for box in top if box.kind == b"moov")
    child(data, moov, b"mvex", b"trex")
    tracks = {_track_id(data, track): track for track in children(data, moov, b"trak")}
    if set(tracks) != {VIDEO_TRACK, AUDIO_TRACK}:
        raise NotFit("an init has picture as track 1 and sound as track 2")
    _need_timescale(data, tracks[VIDEO_TRACK], VIDEO_TIMESCALE)
    _need_timescale(data, tracks[AUDIO_TRACK], AUDIO_TIMESCALE)
    video, width, height = _video_codec(data, sample_entry(data, tracks[VIDEO_TRACK], b"avc1"))
    audio = _audio_codec(data, sample_entry(data, tracks[AUDIO_TRACK], b"mp4a"))
    return InitFacts(codecs=f"{video},{audio}", width=width, height=height)


def parameter_sets(data: bytes) -> bytes:
    """The SPS and PPS of an init, each after its length of four bytes, as samples have them. Raises ``NotFit``."""
    top = Box(b"", 0, 0, len(data))
    tracks = children(data, child(data, top, b"moov"), b"trak")
    video = next(track for track in tracks if _track_id(data, track) == VIDEO_TRACK)
    entry = sample_entry(data, video, b"avc1")
    fields = _Fields(data, child(data, _inner(entry, _VISUAL_FIELDS), b"avcC"))
    fields.at += 5
    found = b""
    for mask in (0x1F, 0xFF):  # so many SPS, so many PPS (ISO/IEC 14496-15 §5.3.3.1)
        for _ in range(fields.take(1) & mask):
            length = fields.take(2)
            found += length.to_bytes(4) + fields.take(length).to_bytes(length)
    return found


def sample_entry(data: bytes, track: Box, kind: bytes) -> Box:
    """The one sample entry of a track. Raises ``NotFit`` for another kind, or several."""
    table = child(data, track, b"mdia", b"minf", b"stbl", b"stsd")
    entries = list(boxes(data, table.body + 8, table.end))
    if [entry.kind for entry in entries] != [kind]:
        raise NotFit(f"one {_name(kind)} is needed in stsd")
    return entries[0]


def fragment_facts(data: bytes) -> FragmentFacts:
    """What a segment holds. Raises ``NotFit`` unless it is one whole fragment that begins with a key frame."""
    top = [box for box in boxes(data) if box.kind not in _IGNORED]
    if [box.kind for box in top] != [b"moof", b"mdat"]:
        raise NotFit("a segment is one moof and one mdat")
    moof, mdat = top
    child(data, moof, b"mfhd")
    runs: dict[int, Run] = {}
    for traf in children(data, moof, b"traf"):
        run = read_run(data, moof, traf)
        begin = moof.start + run.data_offset
        if begin < mdat.body or begin + sum(run.sizes) > mdat.end:
            raise NotFit(f"the samples of track {run.track} are not in the segment")
        if run.decode_time >= 1 << 63:
            raise NotFit(f"track {run.track} begins before the lesson: its decode time is negative")
        if run.track in runs or run.track not in {VIDEO_TRACK, AUDIO_TRACK}:
            raise NotFit(f"track {run.track} is one too many")
        runs[run.track] = run
    if VIDEO_TRACK not in runs or not runs[VIDEO_TRACK].begins_with_sync:
        raise NotFit("a segment begins with a key frame")
    return FragmentFacts(moof=moof, mdat=mdat, video=runs[VIDEO_TRACK], audio=runs.get(AUDIO_TRACK))


def read_run(data: bytes, moof: Box, traf: Box) -> Run:
    """One ``traf`` with one ``trun``, addressed from its ``moof``. Raises ``NotFit``."""
    header = TrackHeader.read(data, child(data, traf, b"tfhd"))
    time = child(data, traf, b"tfdt")
    time_bytes = 8 if _version(data, time)[0] else 4
    found = children(data, traf, b"trun")
    if len(found) != 1:
        raise NotFit("one trun is needed in each traf")
    fields = _Fields(data, found[0])
    _, flags = _version(data, found[0])
    fields.at += 4
    count = fields.take(4)
    if not 0 < count <= _MAX_SAMPLES or not flags & 1:
        raise NotFit("a trun has samples, and says where they are")
    offset_at = fields.at
    data_offset = fields.take(4)
    first_flags = fields.take(4) if flags & 4 else None
    if count > 1 and not flags & 0x200:
        raise NotFit("the sizes of several samples stand one by one")
    first_size = fields.at + (4 if flags & 0x100 else 0) if flags & 0x200 else header.size_at
    durations, sizes, sample_flags = [], [], []
    for _ in range(count):
        durations.append(fields.take(4) if flags & 0x100 else header.duration)
        sizes.append(fields.take(4) if flags & 0x200 else header.size)
        sample_flags.append(fields.take(4) if flags & 0x400 else header.flags)
        fields.take(4 if flags & 0x800 else 0)
    first = sample_flags[0] if first_flags is None else first_flags
    return Run(
        track=header.track,
        decode_time=_uint(data, time, 4, time_bytes),
        durations=tuple(durations),
        sizes=tuple(sizes),
        data_offset=data_offset,
        begins_with_sync=not first & _NON_SYNC,
        places=Places(
            traf=traf,
            header=header.box,
            decode_time=time.body + 4,
            decode_time_bytes=time_bytes,
            data_offset=offset_at,
            first_size=first_size,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackHeader:
    """A ``tfhd``: which track, and what its samples have unless they say otherwise."""

    box: Box
    track: int
    duration: int
    size: int
    size_at: int
    flags: int

    @classmethod
    def read(cls, data: bytes, box: Box) -> TrackHeader:
        """Raises ``NotFit`` unless offsets count from the ``moof``, and samples have the init's description."""
        _, flags = _version(data, box)
        if flags & 1 or not flags & 0x02_0000:
            raise NotFit("offsets have to count from the moof (default-base-is-moof)")
        if flags & 0x02:
            raise NotFit("a fragment names no sample description: its init has one")
        fields = _Fields(data, box)
        fields.at += 4
        return cls(
            box=box,
            track=fields.take(4),
            duration=fields.take(4 if flags & 0x08 else 0),
            size_at=fields.at,
            size=fields.take(4 if flags & 0x10 else 0),
            flags=fields.take(4 if flags & 0x20 else 0),
        )


class _Fields:
    """Takes numbers one after the other from a box, and never from beyond it."""

    def __init__(self, data: bytes, box: Box) -> None:
        self._data, self._end, self.at = data, box.end, box.body

    def take(self, size: int) -> int:
        if self.at + size > self._end:
            raise NotFit("a box is too short for what it says")
        found = int.from_bytes(self._data[self.at : self.at + size])
        self.at += size
        return found


def _uint(data: bytes, box: Box, offset: int, size: int) -> int:
    fields = _Fields(data, box)
    fields.at += offset
    return fields.take(size)


def _version(data: bytes, box: Box) -> tuple[int, int]:
    word = _uint(data, box, 0, 4)
    return word >> 24, word & 0xFF_FFFF


def _track_id(data: bytes, track: Box) -> int:
    header = child(data, track, b"tkhd")
    return _uint(data, header, 20 if _version(data, header)[0] else 12, 4)


def _need_timescale(data: bytes, track: Box, wanted: int) -> None:
    header = child(data, track, b"mdia", b"mdhd")
    found = _uint(data, header, 20 if _version(data, header)[0] else 12, 4)
    if found != wanted:
        raise NotFit(f"the timescale of track {_track_id(data, track)} is {wanted}, not {found}")


def _video_codec(data: bytes, entry: Box) -> tuple[str, int, int]:
    width, height = _uint(data, entry, 24, 2), _uint(data, entry, 26, 2)
    if not (width and height):
        raise NotFit("a picture has a size")
    configuration = child(data, _inner(entry, _VISUAL_FIELDS), b"avcC")
    return f"avc1.{_uint(data, configuration, 1, 3):06x}", width, height


def _inner(entry: Box, fields: int) -> Box:
    return Box(entry.kind, entry.start, entry.body + fields, entry.end)


def _audio_codec(data: bytes, entry: Box) -> str:
    descriptors = child(data, _inner(entry, _AUDIO_FIELDS), b"esds")
    fields = _Fields(data, descriptors)
    fields.at += 4
    _descriptor(fields, 0x03)
    fields.take(2)
    if fields.take(1):
        raise NotFit("an esds without extras is needed")
    _descriptor(fields, 0x04)
    if fields.take(1) != 0x40:
        raise NotFit("sound has to be AAC-LC")
    fields.take(12)
    _descriptor(fields, 0x05)
    if fields.take(1) >> 3 != _AAC_LC:
        raise NotFit("sound has to be AAC-LC")
    return f"mp4a.40.{_AAC_LC}"


def _descriptor(fields: _Fields, tag: int) -> None:
    if fields.take(1) != tag:
        raise NotFit("sound has to be AAC-LC")
    while fields.take(1) & 0x80:  # its length, seven bits at a time
        pass


def _name(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalnum() else kind.hex()
