"""Stands in for pykms, which picamera2 imports for its DRM preview. A kit shows no preview: only names are needed."""

from __future__ import annotations


class _Names(type):
    def __getattr__(cls, name: str) -> str:
        return name


class PixelFormat(metaclass=_Names):
    """Any pixel format, by its name."""
