"""Apple's rules for HLS (RFC 8216bis, the HLS Authoring Specification), as far as they bind one rendition: a checker.

``MediaPlaylist.read`` reads a media playlist strictly. ``follows`` holds what must be true of a playlist after
an earlier one of the same lesson.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_MAP = re.compile(r'#EXT-X-MAP:URI="([^"]+)"')
_INF = re.compile(r"#EXTINF:(\d+\.\d+),")
_STREAM = re.compile(r"#EXT-X-STREAM-INF:(.+)")
_ATTRIBUTE = re.compile(r'([A-Z-]+)=("[^"]*"|[^",]+)(?:,|$)')
_NEEDS_VERSION = {"#EXT-X-MAP": 6, "#EXT-X-GAP": 8}


@dataclass(frozen=True)
class MediaSegment:
    """One entry. ``date`` is its own, or follows from an earlier one's."""

    uri: str
    duration_s: float
    gap: bool
    discontinuity: int
    map_uri: str
    date: datetime


@dataclass(frozen=True)
class MediaPlaylist:
    """A media playlist that keeps the rules."""

    target_duration_s: int
    kind: str
    ended: bool
    segments: tuple[MediaSegment, ...]

    @classmethod
    def read(cls, text: str) -> MediaPlaylist:
        """Raises ``AssertionError`` for a rule that is broken."""
        assert text.endswith("\n")
        lines = text.splitlines()
        assert lines[0] == "#EXTM3U", "4.4.1.1: the first line"
        assert all(line and line == line.strip() for line in lines)
        header = dict(line.partition(":")[::2] for line in lines if line.startswith("#"))
        for once in ("#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-PLAYLIST-TYPE"):
            assert sum(line.startswith(once) for line in lines) == 1, f"{once} once"
        needed = max(version for tag, version in _NEEDS_VERSION.items() if tag in header or version == 6)
        assert int(header["#EXT-X-VERSION"]) >= needed, "8: the version that the tags need"
        assert header["#EXT-X-MEDIA-SEQUENCE"] == "0", "an EVENT and a VOD lose nothing at their beginning"
        assert "#EXT-X-INDEPENDENT-SEGMENTS" in header
        assert header["#EXT-X-PLAYLIST-TYPE"] in {"EVENT", "VOD"}
        ended = lines[-1] == "#EXT-X-ENDLIST"
        assert ("#EXT-X-ENDLIST" in header) == ended
        assert ended == (header["#EXT-X-PLAYLIST-TYPE"] == "VOD"), "4.4.3.5: a VOD does not change"
        target_s = int(header["#EXT-X-TARGETDURATION"])
        segments = tuple(_segments(lines))
        for segment in segments:
            assert int(segment.duration_s + 0.5) <= target_s, "4.4.3.1: rounded, none is longer than the target"
            assert segment.duration_s > 0
        return cls(target_s, header["#EXT-X-PLAYLIST-TYPE"], ended, segments)

    def follows(self, earlier: MediaPlaylist) -> None:
        """Whether a client that knows ``earlier`` may be given this one. Raises ``AssertionError``."""
        assert not earlier.ended, "what has ended does not change"
        assert self.target_duration_s == earlier.target_duration_s, "6.2.1: the target does not change"
        assert len(self.segments) >= len(earlier.segments), "nothing goes from an EVENT"
        for before, now in zip(earlier.segments, self.segments, strict=False):
            assert now.uri == before.uri, "a number stays where it was"
            if before.gap:
                continue  # the one thing that may change: the hole closes in place
            assert not now.gap, "what was there stays there"
            assert (now.duration_s, now.map_uri) == (before.duration_s, before.map_uri)
            assert now.discontinuity >= before.discontinuity
            assert abs(now.date - before.date) < timedelta(milliseconds=2)

    @property
    def held(self) -> list[str]:
        """The files that are there."""
        return [segment.uri for segment in self.segments if not segment.gap]


def _segments(lines: list[str]) -> list[MediaSegment]:
    found: list[MediaSegment] = []
    map_uri, discontinuity, date = "", 0, None
    gap, duration_s, dated = False, 0.0, False
    for line in lines:
        if line == "#EXT-X-DISCONTINUITY":
            assert found, "a first segment follows nothing"
            discontinuity += 1
            date = None
        elif match := _MAP.fullmatch(line):
            assert not found or discontinuity > found[-1].discontinuity, "another init is a discontinuity"
            map_uri = match[1]
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            date, dated = datetime.fromisoformat(line.partition(":")[2]), True
            assert date.tzinfo is not None, "4.4.4.6: with a time zone"
        elif line == "#EXT-X-GAP":
            gap = True
        elif match := _INF.fullmatch(line):
            duration_s = float(match[1])
        elif not line.startswith("#"):
            assert date is not None, "a date at the start, and after each discontinuity"
            assert map_uri, "fragments need an init"
            found.append(MediaSegment(line, duration_s, gap, discontinuity, map_uri, date))
            date, gap, dated = date + timedelta(seconds=duration_s), False, False
        else:
            assert line.split(":")[0] in _HEADERS, line
    assert not gap
    assert not dated
    return found


_HEADERS = {
    "#EXTM3U",
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-ENDLIST",
}


def read_multivariant(text: str) -> tuple[dict[str, str], str]:
    """The one variant's attributes, and its URI. Raises ``AssertionError``."""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in lines
    [index] = [index for index, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF:")]
    match = _STREAM.fullmatch(lines[index])
    assert match is not None
    attributes = {name: value.strip('"') for name, value in _ATTRIBUTE.findall(match[1])}
    assert {"BANDWIDTH", "CODECS", "RESOLUTION"} <= attributes.keys()
    assert int(attributes["BANDWIDTH"]) >= int(attributes["AVERAGE-BANDWIDTH"]) > 0
    assert re.fullmatch(r"avc1\.[0-9a-f]{6},mp4a\.40\.2", attributes["CODECS"])
    assert re.fullmatch(r"[1-9]\d*x[1-9]\d*", attributes["RESOLUTION"])
    assert not lines[index + 1].startswith("#")
    return attributes, lines[index + 1]
