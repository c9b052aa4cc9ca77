"""Camera buffers as libcamera fills them, copied into video frames. Pure numpy; used by ``picamera.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import av
import numpy as np

from appliance.capture.pictures import Plane, new_frame, plane_views

Format = Literal["YUV420", "NV12"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a stream's pictures lie in memory: planes back to back, rows padded to ``stride``. Both sizes even."""

    format: Format
    width: int
    height: int
    stride: int


def fill(frame: av.VideoFrame, buffer: Plane, layout: Layout) -> None:
    """Copy the picture in a one-dimensional ``buffer`` into a yuv420p frame of its size."""
    luma, *chroma = plane_views(frame)
    size = layout.stride * layout.height
    luma[...] = buffer[:size].reshape(layout.height, layout.stride)[:, : layout.width]
    rest, half = buffer[size : size + size // 2], layout.height // 2
    if layout.format == "NV12":
        pairs = rest.reshape(half, layout.stride)[:, : layout.width]
        chroma[0][...], chroma[1][...] = pairs[:, 0::2], pairs[:, 1::2]
    else:
        for target, plane in zip(chroma, np.split(rest, 2), strict=True):
            target[...] = plane.reshape(half, layout.stride // 2)[:, : layout.width // 2]


def picture(buffer: Plane, layout: Layout) -> av.VideoFrame:
    """The picture in memory of its own."""
    frame = new_frame(layout.width, layout.height)
    fill(frame, buffer, layout)
    return frame
