"""HLS playlists (RFC 8216 and its successor draft) of a recording: pure, a recording in, text out.

One rendition, H.264 and AAC in fragmented MP4. While the lesson runs the media playlist is of type EVENT and grows at
its end; the one thing that changes before the end is a hole that is filled in place. Not here: caching and routes
(``relay/web/replays.py``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from relay.archive.recording import Entry, Recording

VERSION = 8  # EXT-X-GAP
#: Announced from the first playlist on, because it may not change; the recorder cuts at 4 s at the latest.
TARGET_DURATION_S = 4
DATE_EVERY = 30  # entries: a player that joins at the live edge reads few lines to know the time
LEAST_BANDWIDTH = 2_000_000  # bit/s: a lesson that begins with a still board goes on with a moving teacher
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def multivariant(recording: Recording) -> str:
    """``index.m3u8``. ``recording`` holds at least one segment."""
    used = [recording.inits[number] for number in {segment.init for segment in recording.segments.values()}]
    widest = max(used, key=lambda init: (init.width * init.height, init.number))
    rates = [8_000_000 * item.size_bytes // item.duration_us for item in recording.segments.values()]
    total_bits = 8 * sum(item.size_bytes for item in recording.segments.values())
    average = 1_000_000 * total_bits // sum(item.duration_us for item in recording.segments.values())
    peak = max(rates) if recording.complete else max(*rates, LEAST_BANDWIDTH)
    attributes = (
        f"BANDWIDTH={peak}",
        f"AVERAGE-BANDWIDTH={average}",
        f'CODECS="{max((init.codecs for init in used), key=_level)}"',
        f"RESOLUTION={widest.width}x{widest.height}",
    )
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f"#EXT-X-STREAM-INF:{','.join(attributes)}",
        "main.m3u8",
    ]
    return "\n".join(lines) + "\n"


def media(recording: Recording, *, closed: bool) -> str:
    """``main.m3u8``. ``closed``: nothing will be added, so it is a VOD."""
    entries = recording.entries
    longest_s = max((_rounded_s(entry.duration_us) for entry in entries), default=0)
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{max(longest_s, TARGET_DURATION_S)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if closed else 'EVENT'}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    map_of: int | None = next((entry.segment.init for entry in entries if entry.segment is not None), None)
    if map_of is not None:
        lines.append(_map(map_of))
    after_hole = True
    for entry in entries:
        if entry.begins_anew:
            lines.append("#EXT-X-DISCONTINUITY")
        if entry.segment is not None and entry.segment.init != map_of:
            map_of = entry.segment.init
            lines.append(_map(map_of))
        if after_hole or entry.begins_anew or entry.number % DATE_EVERY == 0:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(recording, entry)}")
        after_hole = entry.segment is None
        if after_hole:
            lines.append("#EXT-X-GAP")
        lines.append(f"#EXTINF:{entry.duration_us / 1e6:.6f},\n{entry.number}.m4s")
    if closed:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _map(init: int) -> str:
    return f'#EXT-X-MAP:URI="init-{init}.mp4"'


def _rounded_s(duration_us: int) -> int:
    return (duration_us + 500_000) // 1_000_000


def _date(recording: Recording, entry: Entry) -> str:
    moment = _EPOCH + timedelta(microseconds=recording.started_unix_us + entry.start_us)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level(codecs: str) -> str:
    """For ``avc1.PPCCLL,…``: what a decoder has to be able to do, in comparable form."""
    video = codecs.split(",", maxsplit=1)[0].removeprefix("avc1.")
    return video[4:6] + video[:4]
