"""A recorded lesson's files as CMAF (ISO/IEC 23000-19, on ISO/IEC 14496-12): an init, and one fragment per segment.

Both tracks are in each: 1 is H.264 in 90 kHz, 2 is AAC-LC in 48 kHz. Times in a fragment (``tfdt``) are the lesson's
own, so that segments can be put together in any order and number, and a hole between them stays one. Used by
``recorder.py``. Pure: bytes in, bytes out. FFmpeg's muxer is not used: it takes an encoder's own parameters for a
stream's, which here come from the pictures, and it starts a fragment's clock from the packet before.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.capture.aac import BITRATE_BPS, FRAME_SAMPLES, AacFrame
from appliance.capture.base import SAMPLE_RATE_HZ
from appliance.capture.h264 import NAL_DELIMITER, NAL_IDR, NAL_PPS, NAL_SPS, nal_units, picture_size

PICTURE_HZ = 90_000
PICTURES, SOUND = 1, 2  # the tracks
_MOVIE_HZ = 1000
_UNDEFINED = 0x55C4  # the language "und" (ISO/IEC 14496-12 §8.4.2.3)
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)  # as it is
_SYNC, _NOT_SYNC = 0x02000000, 0x01010000  # depends on no other; on others, and is no place to begin (§8.8.3.1)


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture (Annex B), shown from ``at_us`` on, on the lesson clock."""

    data: bytes
    at_us: int


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What a decoder needs before the first picture: one SPS and one PPS, as NAL units."""

    sps: bytes
    pps: bytes

    @classmethod
    def of(cls, data: bytes) -> ParameterSets:
        """Those in an access unit (Annex B). Raises ``ValueError`` where it has none."""
        found = {unit[0] & 0x1F: unit for unit in nal_units(data)}
        if not found.keys() >= {NAL_SPS, NAL_PPS}:
            raise ValueError("a key frame without SPS and PPS")
        return cls(found[NAL_SPS], found[NAL_PPS])


def init(sets: ParameterSets, sound_config: bytes) -> bytes:
    """``ftyp`` and ``moov``: the same bytes for the same parameters."""
    brands = b"iso6" + struct.pack(">I", 0) + b"iso6cmfcmp41"
    movie = _full(
        "mvhd", 0, 0, struct.pack(">4IIH10x", 0, 0, _MOVIE_HZ, 0, 0x10000, 0x100), _MATRIX, bytes(24), b"\0\0\0\x03"
    )
    pictures = _track(PICTURES, PICTURE_HZ, _full("vmhd", 0, 1, bytes(8)), b"vide", _avc1(sets), picture_size(sets.sps))
    sound = _track(SOUND, SAMPLE_RATE_HZ, _full("smhd", 0, 0, bytes(4)), b"soun", _mp4a(sound_config), (0, 0))
    extends = b"".join(_full("trex", 0, 0, struct.pack(">5I", track, 1, 0, 0, 0)) for track in (PICTURES, SOUND))
    return _box("ftyp", brands) + _box("moov", movie, pictures, sound, _box("mvex", extends))


def fragment(number: int, pictures: Sequence[Picture], end_us: int, sound: Sequence[AacFrame]) -> bytes:
    """``moof`` and ``mdat``: pictures up to ``end_us``, and whole frames of sound. Neither may be empty."""
    samples = [_sample(picture.data) for picture in pictures]
    ticks = [_ticks(picture.at_us) for picture in pictures] + [_ticks(end_us)]
    rows = [
        struct.pack(">3I", after - at, len(data), _SYNC if _is_sync(picture.data) else _NOT_SYNC)
        for picture, data, at, after in zip(pictures, samples, ticks, ticks[1:], strict=False)
    ]
    sizes = [struct.pack(">I", len(frame.data)) for frame in sound]
    media = b"".join(samples), b"".join(frame.data for frame in sound)

    def moof(length: int) -> bytes:
        first = length + 8  # behind moof and the head of mdat
        return _box(
            "moof",
            _full("mfhd", 0, 0, struct.pack(">I", number + 1)),
            _box(
                "traf",
                _full("tfhd", 0, 0x020000, struct.pack(">I", PICTURES)),  # offsets count from the moof
                _full("tfdt", 1, 0, struct.pack(">Q", ticks[0])),
                _full("trun", 0, 0x000701, struct.pack(">II", len(rows), first), *rows),
            ),
            _box(
                "traf",
                _full("tfhd", 0, 0x020028, struct.pack(">3I", SOUND, FRAME_SAMPLES, _SYNC)),
                _full("tfdt", 1, 0, struct.pack(">Q", sound[0].place)),
                _full("trun", 0, 0x000201, struct.pack(">II", len(sizes), first + len(media[0])), *sizes),
            ),
        )

    return moof(len(moof(0))) + _box("mdat", *media)


def _ticks(lesson_us: int) -> int:
    return round(lesson_us * PICTURE_HZ / 1_000_000)


def _is_sync(data: bytes) -> bool:
    return any(unit[0] & 0x1F == NAL_IDR for unit in nal_units(data))


def _sample(data: bytes) -> bytes:
    """An access unit as a file keeps it (ISO/IEC 14496-15 §5.3): lengths for start codes, and no parameter sets."""
    kept = (unit for unit in nal_units(data) if unit[0] & 0x1F not in {NAL_SPS, NAL_PPS, NAL_DELIMITER})
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in kept)


def _track(number: int, rate_hz: int, media_head: bytes, handler: bytes, entry: bytes, size: tuple[int, int]) -> bytes:
    width, height = size
    volume = 0 if width else 0x100
    facts = struct.pack(">5I8xHHHH", 0, 0, number, 0, 0, 0, 0, volume, 0)
    head = _full(
        "tkhd", 0, 3, facts, _MATRIX, struct.pack(">II", width << 16, height << 16)
    )  # 3: enabled, in the movie
    here = _box("dinf", _full("dref", 0, 0, struct.pack(">I", 1), _full("url ", 0, 1)))
    tables = _box(
        "stbl",
        _full("stsd", 0, 0, struct.pack(">I", 1), entry),
        *(_full(name, 0, 0, bytes(8 if name == "stsz" else 4)) for name in ("stts", "stsc", "stsz", "stco")),
    )
    return _box(
        "trak",
        head,
        _box(
            "mdia",
            _full("mdhd", 0, 0, struct.pack(">4IHH", 0, 0, rate_hz, 0, _UNDEFINED, 0)),
            _full("hdlr", 0, 0, bytes(4), handler, bytes(12), b"Parta\0"),
            _box("minf", media_head, here, tables),
        ),
    )


def _avc1(sets: ParameterSets) -> bytes:
    width, height = picture_size(sets.sps)
    config = _box(  # lengths of 4 bytes, one SPS, one PPS (ISO/IEC 14496-15 §5.3.3.1)
        "avcC",
        bytes((1, *sets.sps[1:4], 0xFF, 0xE1)),
        struct.pack(">H", len(sets.sps)) + sets.sps,
        b"\x01" + struct.pack(">H", len(sets.pps)) + sets.pps,
    )
    return _box("avc1", struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 0x480000, 0x480000, 0, 1, 0x18, -1), config)


def _mp4a(config: bytes) -> bytes:
    decoder = struct.pack(">BB3xII", 0x40, 0x15, BITRATE_BPS, BITRATE_BPS)  # MPEG-4 audio (ISO/IEC 14496-1 §7.2.6.6)
    described = _descriptor(4, decoder + _descriptor(5, config)) + _descriptor(6, b"\x02")
    esds = _full("esds", 0, 0, _descriptor(3, struct.pack(">HB", SOUND, 0) + described))
    return _box("mp4a", struct.pack(">6xH8xHHIHH", 1, 1, 16, 0, SAMPLE_RATE_HZ, 0), esds)


def _descriptor(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content


def _box(name: str, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name.encode()) + content


def _full(name: str, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags), *parts)
