"""Raw pictures: numpy views into a video frame's planes, board stills, a picture as JPEG. Used by the cameras.

Not here: H.264 (``h264.py``).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from io import BytesIO

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace

from appliance.errors import CameraUnavailable

STILL_S = 2.0  # a still waits for the next picture, which comes within one interval
JPEG_QUALITY = 90
HD_HEIGHT = 720  # untagged pictures from here on are BT.709, smaller ones BT.601: what players assume

Plane = npt.NDArray[np.uint8]


def new_frame(width: int, height: int) -> av.VideoFrame:
    """An empty yuv420p picture, BT.709, limited range."""
    frame = av.VideoFrame(width, height, "yuv420p")
    frame.colorspace, frame.color_range = 1, 1  # AVCOL_SPC_BT709, AVCOL_RANGE_MPEG
    return frame


def plane_views(frame: av.VideoFrame) -> list[Plane]:
    """Writable views of the planes' pixels, without the padding at the ends of rows."""
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]


def copied(frame: av.VideoFrame) -> av.VideoFrame:
    """The same yuv420p picture in memory of its own."""
    copy = new_frame(frame.width, frame.height)
    for target, source in zip(plane_views(copy), plane_views(frame), strict=True):
        target[...] = source
    return copy


def jpeg(frame: av.VideoFrame) -> bytes:
    """The picture as JPEG, at its own size. Takes some ten milliseconds: call it off the loop."""
    tagged = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601}.get(int(frame.colorspace))
    space = tagged or (Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601)
    image = frame.reformat(format="rgb24", src_colorspace=space, dst_colorspace=space).to_image()  # type: ignore[no-untyped-call]
    out = BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


class Stills:
    """Board stills that the loop asks for and the capture thread gives: the next picture, developed off both."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[asyncio.Future[Callable[[], av.VideoFrame]]] = []

    async def take(self) -> bytes:
        """The next picture as JPEG. Raises ``CameraUnavailable`` when none comes."""
        waiting: asyncio.Future[Callable[[], av.VideoFrame]] = self._loop.create_future()
        with self._lock:
            self._waiting.append(waiting)
        try:
            develop = await asyncio.wait_for(waiting, STILL_S)
        except TimeoutError:
            raise CameraUnavailable(f"the camera gave no picture for a still within {STILL_S:.0f} s") from None
        return await asyncio.to_thread(lambda: jpeg(develop()))

    def wanted(self) -> bool:
        """For the capture thread: whether somebody waits."""
        return bool(self._waiting)

    def give(self, develop: Callable[[], av.VideoFrame]) -> None:
        """For the capture thread: answer everybody who waits. ``develop`` is called in another thread, later."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        try:
            self._loop.call_soon_threadsafe(_resolve, waiting, develop)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return


def _resolve(waiting: list[asyncio.Future[Callable[[], av.VideoFrame]]], develop: Callable[[], av.VideoFrame]) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(develop)
