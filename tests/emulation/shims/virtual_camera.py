"""Lets picamera2 drive libcamera's virtual camera, which has no sensor, no raw pictures and no clock of its own.

Loaded by ``sitecustomize.py`` in every Python of the emulation root, so that the code under test is the kit's own,
unchanged. What is put in its place here, and why:

- buffers: picamera2 wants Raspberry Pi's memory heaps; here libcamera's own allocator gives them;
- sensor modes: the virtual camera refuses to say raw modes; it is told to be like a USB camera, which has none;
- rate: it gives pictures as fast as it can draw, 300 a second; here picamera2's own loop is held to 30, or
  to VIRTUAL_CAMERA_FPS.
"""

from __future__ import annotations

import mmap
import os
import time
from typing import Any

import libcamera
import picamera2.picamera2 as module
from picamera2.allocators.allocator import Allocator

INTERVAL_S = 1 / int(os.environ.get("VIRTUAL_CAMERA_FPS", "30"))  # an emulated processor draws fewer


class Mapping:
    """One lasting mapping of each buffer. In libcamera 0.4 this camera says that its buffers are empty."""

    def __init__(self, allocator: VirtualAllocator, buffer: Any, write: bool) -> None:
        self._buffer = buffer
        self._mapped = allocator.mapped

    def __enter__(self) -> mmap.mmap:
        descriptor = self._buffer.planes[0].fd
        if descriptor not in self._mapped:
            size = sum(plane.length for plane in self._buffer.planes)
            self._mapped[descriptor] = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        return self._mapped[descriptor]

    def __exit__(self, *error: object) -> None:
        """Stays mapped."""


class VirtualAllocator(Allocator):  # type: ignore[misc]
    """libcamera's own buffers."""

    needs_sync = True

    def __init__(self) -> None:
        self.sync = Mapping
        self.camera: Any = None
        self.mapped: dict[int, mmap.mmap] = {}
        self._allocator: Any = None

    def allocate(self, libcamera_config: Any, use_case: str) -> None:
        """Make buffers for each stream of a configuration."""
        self.mapped.clear()
        self._allocator = libcamera.FrameBufferAllocator(self.camera)
        for stream in libcamera_config:
            if self._allocator.allocate(stream.stream) < 0:
                raise RuntimeError("the virtual camera gave no buffers")

    def buffers(self, stream: Any) -> Any:
        """A stream's buffers."""
        return self._allocator.buffers(stream)


class VirtualPicamera2(module.Picamera2):  # type: ignore[misc]
    """picamera2 on the virtual camera."""

    def __init__(self, camera_num: int = 0) -> None:
        allocator = VirtualAllocator()
        self._due_s = 0.0
        super().__init__(camera_num, allocator=allocator)
        allocator.camera = self.camera

    @property
    def sensor_modes(self) -> list[dict[str, Any]]:
        """As picamera2 says of a camera without raw pictures."""
        return [{"format": "NV12"}]

    def _get_raw_modes(self) -> list[dict[str, Any]]:
        formats = self.camera.generate_configuration([libcamera.StreamRole.VideoRecording]).at(0).formats
        return [
            {"format": str(pixels), "size": (size.width, size.height)}
            for pixels in formats.pixel_formats
            for size in formats.sizes(pixels)
        ]

    def process_requests(self, display: Any) -> None:
        """Hand the finished pictures on, in time."""
        now_s = time.monotonic()
        self._due_s = max(self._due_s + INTERVAL_S, now_s)
        time.sleep(self._due_s - now_s)
        super().process_requests(display)


module.DmaAllocator = VirtualAllocator  # made when a camera is closed
module.Picamera2 = VirtualPicamera2
