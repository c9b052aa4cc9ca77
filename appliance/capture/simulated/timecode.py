"""The capture time as a strip of cells in a picture's bottom rows, readable from decoded pixels after lossy encoding.

``c = width // 64`` is a cell's width; the strip is ``max(8, c)`` rows high, rounded up to even, and 64 cells across:
8 cells of sync, 40 bits of capture time in µs, 16 bits of CRC-16/CCITT-FALSE over those five bytes, first bit first.
Bright is 1. Columns right of the 64 cells are black. Benches and the browser tests read the same layout.
"""

from __future__ import annotations

import numpy as np

from appliance.capture.base import Luma

SYNC = (1, 0, 1, 0, 1, 1, 0, 0)
TIME_BITS, CRC_BITS = 40, 16
CELLS = len(SYNC) + TIME_BITS + CRC_BITS
BRIGHT, DARK, BLACK, NEUTRAL = 220, 30, 16, 128
MIDDLE = (BRIGHT + DARK) // 2
MIN_ROWS = 8  # half a macroblock: thinner strips drown in what is above them


def strip_rows(width: int) -> int:
    """How many of the bottom rows the strip takes."""
    rows = max(MIN_ROWS, width // CELLS)
    return rows + rows % 2


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
    return crc & 0xFFFF


def cells(capture_us: int) -> list[int]:
    """The 64 bits of the strip."""
    time_bytes = capture_us.to_bytes(TIME_BITS // 8, "big")
    word = int.from_bytes(time_bytes + crc16(time_bytes).to_bytes(2, "big"), "big")
    return [*SYNC, *((word >> shift) & 1 for shift in range(TIME_BITS + CRC_BITS - 1, -1, -1))]


def draw(luma: Luma, blue: Luma, red: Luma, capture_us: int) -> None:
    """Draw the strip into a yuv420p picture's planes."""
    width = luma.shape[1]
    rows, cell = strip_rows(width), width // CELLS
    line = np.full(width, BLACK, np.uint8)
    bits = np.array(cells(capture_us), np.uint8)
    line[: CELLS * cell] = np.repeat(np.where(bits == 1, BRIGHT, DARK).astype(np.uint8), cell)
    luma[-rows:] = line
    blue[-(rows // 2) :] = NEUTRAL
    red[-(rows // 2) :] = NEUTRAL


def read(luma: Luma) -> int | None:
    """The capture time in a decoded picture's luma, also a scaled one's. None where there is no intact strip."""
    width = luma.shape[1]
    for cell in (float(width // CELLS), width / CELLS):  # as drawn; or scaled from a width that 64 divides
        if cell >= 1 and (capture_us := _read_cells(luma, cell)) is not None:
            return capture_us
    return None


def _read_cells(luma: Luma, cell: float) -> int | None:
    height = luma.shape[0]
    top = height - max(1, round(cell / 2))  # below the middle, so that a strip thinned by scaling is still met
    band = luma[top : max(top + 1, height - int(cell / 5))].astype(np.float32).mean(axis=0)
    bits = 0
    for index in range(CELLS):
        first = int((index + 0.3) * cell)
        last = max(first + 1, round((index + 0.7) * cell))
        bits = bits << 1 | int(band[first:last].mean() > MIDDLE)
    word = bits.to_bytes(CELLS // 8, "big")
    sync = int("".join(map(str, SYNC)), 2)
    if word[0] != sync or crc16(word[1:6]) != int.from_bytes(word[6:], "big"):
        return None
    return int.from_bytes(word[1:6], "big")
