"""What kit and relay say to each other about a lesson's recording: JSON documents, one header, and their bounds.

Not here: the media (CMAF, opaque to this module), HTTP (``appliance/stream/upload.py``, ``relay/web/recordings.py``)
and storage on either side. The routes are in docs/protocol.md, "Recording". Rules of change as in
``wire/messages.py``: a reader ignores fields that it doesn't know.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, TypeVar

import msgspec

from wire.messages import WireError

#: Segment numbers are below this: 55 h of 2 s each.
MAX_SEGMENTS = 100_000
#: Init numbers are below this: an encoder that is reopened every few seconds, all day.
MAX_INITS = 10_000
MAX_SEGMENT_BYTES = 8 * 1024 * 1024
MAX_INIT_BYTES = 64 * 1024
#: A lesson is over by then; stills have the same bound.
MAX_LESSON_US = 24 * 3600 * 1_000_000
#: The recorder cuts at 4 s at the latest, and then waits for a key frame: more than this is no segment.
MAX_SEGMENT_US = 10_000_000
#: A state of 50 000 holes, which no lesson has, fits.
MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_SEGMENT_HEAD = 1024
_YEAR_2100_UNIX_US = 4_102_444_800_000_000

MEDIA_TYPE = "video/mp4"
SEGMENT_HEADER = "Parta-Segment"
DIGEST_HEADER = "Content-Digest"

SegmentNumber = Annotated[int, msgspec.Meta(ge=0, lt=MAX_SEGMENTS)]
InitNumber = Annotated[int, msgspec.Meta(ge=0, lt=MAX_INITS)]
#: First and last number, both included.
Range = tuple[SegmentNumber, SegmentNumber]
InitRange = tuple[InitNumber, InitNumber]
_LessonTime = Annotated[int, msgspec.Meta(ge=0, le=MAX_LESSON_US)]


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is said: immutable."""


class RecordingHead(_Document, frozen=True, kw_only=True):
    """Kit → relay, before anything else: there is a recording of this lesson.

    ``started_unix_us``: when the lesson clock was 0, as the kit knows it; never changed afterwards.
    """

    v: Literal[1] = 1
    started_unix_us: Annotated[int, msgspec.Meta(ge=0, lt=_YEAR_2100_UNIX_US)]


class SegmentHead(_Document, frozen=True, kw_only=True):
    """What goes with a segment, in the header ``Parta-Segment``. Times are of the lesson clock.

    ``discontinuity``: between the segment before and this one nothing was captured, or the encoder began anew.
    """

    init: InitNumber
    start_us: _LessonTime
    duration_us: Annotated[int, msgspec.Meta(gt=0, le=MAX_SEGMENT_US)]
    discontinuity: bool = False

    @property
    def end_us(self) -> int:
        """Where the next one begins, unless nothing was captured in between."""
        return self.start_us + self.duration_us


class RecordingState(_Document, frozen=True, kw_only=True):
    """Relay → kit: what the relay holds. Ranges are disjoint and ascending."""

    segments: tuple[Range, ...] = ()
    inits: tuple[InitRange, ...] = ()
    ended: bool = False

    def __post_init__(self) -> None:
        _need_ascending(self.segments)
        _need_ascending(self.inits)


class RecordingEnd(_Document, frozen=True, kw_only=True):
    """Kit → relay: the lesson has ended, and this is all that there is of it.

    ``segments``: how many numbers the kit gave out, so they are 0 to ``segments - 1``; ``lost``: those of them that the
    kit itself no longer has; ``duration_us``: the lesson clock at the end.
    """

    segments: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEGMENTS)]
    duration_us: _LessonTime
    lost: tuple[Range, ...] = ()

    def __post_init__(self) -> None:
        _need_ascending(self.lost)
        if self.lost and self.lost[-1][1] >= self.segments:
            raise ValueError(f"segment {self.lost[-1][1]} is said to be lost, and there are only {self.segments}")


Said = RecordingHead | SegmentHead | RecordingState | RecordingEnd
_S = TypeVar("_S", bound=_Document)

_encoder = msgspec.json.Encoder()


def encode(said: Said) -> str:
    """As one line of JSON, in ASCII: fit for a body and for a header."""
    return _encoder.encode(said).decode("ascii")


def decode(text: str | bytes, kind: type[_S]) -> _S:
    """Read one of the documents above. Raises ``WireError``."""
    limit = MAX_SEGMENT_HEAD if issubclass(kind, SegmentHead) else MAX_DOCUMENT_BYTES
    if len(text) > limit:
        raise WireError(f"a {kind.__name__} of {len(text)} characters; the limit is {limit}")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError(f"not a {kind.__name__}: {error}") from error


def ranges_of(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Numbers in any order, as disjoint ascending ranges."""
    made: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if made and made[-1][1] == number - 1:
            made[-1] = (made[-1][0], number)
        else:
            made.append((number, number))
    return tuple(made)


def numbers_in(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    """The numbers of ranges, in their order."""
    for first, last in ranges:
        yield from range(first, last + 1)


def content_digest(sha256: bytes) -> str:
    """The value of ``Content-Digest`` (RFC 9530) for a body with this SHA-256 (32 raw bytes)."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"


def content_digest_of(body: bytes) -> str:
    """The value of ``Content-Digest`` for this body."""
    return content_digest(hashlib.sha256(body).digest())


def read_content_digest(value: str) -> bytes:
    """The SHA-256 (32 bytes) that a ``Content-Digest`` claims; other algorithms in it are ignored. Raises
    ``WireError``."""
    for member in value.split(","):
        algorithm, _, quoted = member.strip(" \t").partition("=")
        if algorithm != "sha-256":
            continue
        if len(quoted) < 2 or not (quoted.startswith(":") and quoted.endswith(":")):
            break
        try:
            digest = base64.b64decode(quoted[1:-1], validate=True)
        except (binascii.Error, ValueError):
            break
        if len(digest) == hashlib.sha256().digest_size:
            return digest
        break
    raise WireError(f"{DIGEST_HEADER}: sha-256=:<base64 of 32 bytes>: is needed (RFC 9530)")


def _need_ascending(ranges: tuple[tuple[int, int], ...]) -> None:
    before = -1
    for first, last in ranges:
        if not before < first <= last:
            raise ValueError(f"[{first}, {last}] is no range, or does not come after the one before")
        before = last
