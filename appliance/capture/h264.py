"""H.264 as a kit needs it: reading Annex B just deep enough, and encoding pictures into it with libx264.

Used by every camera that encodes in software, and by the file camera to judge what may pass through untouched. Not
here: RTP (the publisher's), hardware encoders (their cameras'), decoding (no part of the live path decodes).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction

import av
from av.video.frame import PictureType

from appliance.capture.base import AccessUnit

START_CODE = b"\x00\x00\x00\x01"
NAL_SLICE, NAL_IDR, NAL_SPS, NAL_PPS, NAL_DELIMITER = 1, 5, 7, 8, 9  # ITU-T H.264 table 7-1
PROFILE_BASELINE, PROFILE_MAIN, PROFILE_EXTENDED = 66, 77, 88
CONSTRAINT_SET1 = 0x40  # with profile 66: constrained baseline, which has no B slices (§A.2.1.1)

US_PER_S = 1_000_000
MIN_BITRATE_BPS = 50_000  # below this x264 can no longer draw readable chalk, whatever a congested link asks for
VBV_S = 0.5  # a key frame may take half a second's bits: larger ones arrive late, smaller ones blur the board
HEADROOM = 2.0  # an open encoder's rate goes up to this times what it was opened for
RATE_DRIFT = 3.0  # VBV size cannot be changed in an open encoder; this far below its top, a key frame brings a new one
RISE_US = 1_000_000  # a rate above the opened one brings its key frame early, but no sooner than this after the last
ONE_THREAD_PIXELS_PER_S = 1280 * 720 * 30  # one thread: 2.3 ms a picture on a desktop core; slices only cost bits there
MAX_THREADS = 4  # sliced threads: no delay, one slice of the picture each
#: Level, most macroblocks a second, most in a picture (ITU-T H.264 table A-1).
LEVELS = (
    (30, 40_500, 1_620),
    (31, 108_000, 3_600),
    (32, 216_000, 5_120),
    (40, 245_760, 8_192),
    (42, 522_240, 8_704),
    (50, 589_824, 22_080),
    (51, 983_040, 36_864),
    (52, 2_073_600, 36_864),
)
BT709 = 1  # ITU-T H.273: primaries, transfer and matrix all have code 1
LIMITED_RANGE = 1  # FFmpeg's AVCOL_RANGE_MPEG


def nal_units(data: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex B byte stream, without start codes and trailing zeros (§B.1)."""
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        following = data.find(b"\x00\x00\x01", start + 3)
        unit = data[start + 3 : following if following >= 0 else len(data)].rstrip(b"\x00")
        if unit:
            yield unit
        start = following


def nal_types(data: bytes) -> list[int]:
    """The types of the NAL units of an Annex B byte stream, in order."""
    return [unit[0] & 0x1F for unit in nal_units(data)]


def is_annex_b(data: bytes) -> bool:
    """Whether it begins with a start code."""
    return data.startswith((b"\x00\x00\x01", START_CODE))


def is_key_frame(data: bytes) -> bool:
    """Whether the access unit holds an IDR slice: decoding may begin here."""
    return NAL_IDR in nal_types(data)


def has_parameter_sets(data: bytes) -> bool:
    """Whether it holds both SPS and PPS."""
    return {NAL_SPS, NAL_PPS} <= set(nal_types(data))


def parameter_sets(data: bytes) -> bytes:
    """Its SPS and PPS units as Annex B, empty where it has none."""
    return b"".join(START_CODE + unit for unit in nal_units(data) if unit[0] & 0x1F in {NAL_SPS, NAL_PPS})


def is_constrained_baseline(data: bytes) -> bool:
    """Whether its first SPS says constrained baseline. Such a stream has no B-frames and is 4:2:0, 8 bit."""
    for unit in nal_units(data):
        if unit[0] & 0x1F == NAL_SPS and len(unit) > 3:
            return unit[1] == PROFILE_BASELINE and bool(unit[2] & CONSTRAINT_SET1)
    return False


def picture_size(sps: bytes) -> tuple[int, int]:
    """Width and height of the pictures of an SPS (a NAL unit, §7.3.2.1.1) without extended chroma formats, such as
    constrained baseline's. Raises ``ValueError`` for others, and for a torn one."""
    if len(sps) < 4 or sps[1] not in {PROFILE_BASELINE, PROFILE_MAIN, PROFILE_EXTENDED}:
        raise ValueError("not an SPS of the profiles baseline, main or extended")
    bits = _Bits(sps[4:].replace(b"\x00\x00\x03", b"\x00\x00"))
    bits.skip_codes(2)  # the SPS's number, log2_max_frame_num
    if (order := bits.code()) == 0:
        bits.skip_codes(1)
    elif order == 1:
        bits.flag()
        bits.skip_codes(2)
        bits.skip_codes(bits.code())
    bits.skip_codes(1)  # max_num_ref_frames
    bits.flag()
    width, height = 16 * (bits.code() + 1), 16 * (bits.code() + 1)
    frames_only = bits.flag()
    height *= 1 if frames_only else 2
    if not frames_only:
        bits.flag()
    bits.flag()
    if bits.flag():  # cropped, in units of the chroma of 4:2:0
        left, right, top, bottom = (bits.code() for _ in range(4))
        width, height = width - 2 * (left + right), height - (2 if frames_only else 4) * (top + bottom)
    return width, height


class _Bits:
    """Reads an RBSP's bits (§9.1)."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def flag(self) -> bool:
        if self._left <= 0:
            raise ValueError("a torn SPS")
        self._left -= 1
        return bool(self._value >> self._left & 1)

    def code(self) -> int:
        """ue(v); se(v) has the same length."""
        zeros = 0
        while not self.flag():
            zeros += 1
        value = 1
        for _ in range(zeros):
            value = value << 1 | self.flag()
        return value - 1

    def skip_codes(self, count: int) -> None:
        for _ in range(count):
            self.code()


def avcc_parameter_sets(record: bytes) -> bytes:
    """SPS and PPS of an ``avcC`` record (ISO/IEC 14496-15 §5.3.3.1) as Annex B, empty when it is torn."""
    found, position = b"", 5
    for mask in (0x1F, 0xFF):  # number of SPS shares its byte with reserved bits, number of PPS does not
        if position >= len(record):
            return b""
        count, position = record[position] & mask, position + 1
        for _ in range(count):
            size = int.from_bytes(record[position : position + 2], "big")
            found += START_CODE + record[position + 2 : position + 2 + size]
            position += 2 + size
    return found if position <= len(record) else b""


class H264Encoder:
    """libx264 for a live board: one picture in, one access unit out, no delay, key frames when and only when asked.

    Owned by one capture thread. ``force_key_frame``, ``set_bitrate`` and ``set_frame_rate`` may be called from another.
    """

    def __init__(
        self,
        width: int,
        height: int,
        fps: float,
        bitrate_bps: int,
        key_frame_every_s: float = 2.0,
        *,
        bt709: bool = False,
    ) -> None:
        self._width, self._height = width, height
        self._fps = self._most_fps = Fraction(fps).limit_denominator(1001)
        self._key_every_us = int(key_frame_every_s * US_PER_S)
        self._half_picture_us = int(US_PER_S / fps / 2)
        self._bt709 = bt709
        self._bitrate = self._most = self._opened_at = max(MIN_BITRATE_BPS, bitrate_bps)
        self._keys_asked = self._keys_given = 0
        self._next_key_us: int | None = None
        self._last_key_us = 0
        self._context = self._open()

    def force_key_frame(self) -> None:
        """Make the next picture a key frame."""
        self._keys_asked += 1  # a count, so that a request made while a picture is being encoded isn't lost

    def set_bitrate(self, bits_per_s: int) -> None:
        """Aim at this rate from the next picture on. Above the rate at opening it brings a key frame, within a second
        or so."""
        self._bitrate = max(MIN_BITRATE_BPS, bits_per_s)

    def set_frame_rate(self, fps: float) -> None:
        """Expect so many pictures a second, at most as many as at opening: each may take its share of the rate."""
        self._fps = min(self._most_fps, Fraction(fps).limit_denominator(1001))

    def encode(self, frame: av.VideoFrame, capture_us: int) -> AccessUnit:
        """Encode a yuv420p picture of the configured size. ``capture_us`` must rise."""
        asked = self._keys_asked
        wanted = self._wanted()
        key = asked != self._keys_given or self._key_is_due(capture_us, wanted)
        if key:
            self._keys_given = asked
            self._last_key_us = capture_us
            self._next_key_us = capture_us + self._key_every_us - self._half_picture_us
        self._follow_bitrate(key, wanted)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        frame.pts, frame.time_base = capture_us, Fraction(1, US_PER_S)
        (packet,) = self._context.encode(frame)
        return AccessUnit(data=bytes(packet), key_frame=key, capture_us=capture_us)

    def _key_is_due(self, capture_us: int, wanted: int) -> bool:
        if self._next_key_us is None or capture_us >= self._next_key_us:
            return True
        return wanted > self._opened_at and capture_us - self._last_key_us >= RISE_US

    def _wanted(self) -> int:
        """The rate in the encoder's terms: x264 counts pictures ("force-cfr"), so fewer of them get more each."""
        return self._in_its_terms(self._bitrate)

    def _in_its_terms(self, bits_per_s: float) -> int:
        return int(bits_per_s * self._most_fps / self._fps)

    def _follow_bitrate(self, key: bool, wanted: int) -> None:
        if key and not 1 / RATE_DRIFT < wanted / self._opened_at <= 1:
            self._most = max(self._most, self._bitrate)
            self._opened_at = self._in_its_terms(min(self._most, self._bitrate * HEADROOM))
            self._context = self._open()
        if wanted != self._context.bit_rate:
            # Bites only because the encoder was opened with maxrate == bitrate (measured): otherwise x264 ignores it.
            self._context.bit_rate = min(wanted, self._opened_at)

    def _open(self) -> av.VideoCodecContext:
        rate = self._opened_at
        context = av.VideoCodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = self._width, self._height, "yuv420p"
        # Always the same frame rate and level: they stand in the SPS, and a recording begins a new init with each SPS.
        context.time_base, context.framerate = Fraction(1, US_PER_S), self._most_fps
        context.bit_rate = rate
        context.max_b_frames = 0
        context.thread_count = self._threads()
        if self._bt709:  # said outright: browsers guess by size
            context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED_RANGE
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",  # x264's baseline has no FMO, ASO or redundant slices, and sets constraint_set1
            "forced-idr": "1",
            "maxrate": str(rate),
            "bufsize": str(int(self._bitrate * VBV_S)),
            "x264-params": f"keyint=infinite:scenecut=0:repeat-headers=1:annexb=1:level={self._level()}",
        }
        return context

    def _level(self) -> int:
        """The lowest level, from 3 on, that holds so many macroblocks a second and a picture."""
        picture = -(-self._width // 16) * -(-self._height // 16)
        second = picture * self._most_fps
        fitting = (level for level, most_second, most in LEVELS if second <= most_second and picture <= most)
        return next(fitting, LEVELS[-1][0])

    def _threads(self) -> int:
        if self._width * self._height * self._most_fps <= ONE_THREAD_PIXELS_PER_S:
            return 1
        return min(MAX_THREADS, os.cpu_count() or 1)
