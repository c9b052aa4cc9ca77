"""Bytes whose place in memory can be told to the C library. Used by ``batch.py``, which writes its structures."""

from __future__ import annotations

import ctypes


class InMemory:
    """``size`` bytes at ``address`` for as long as this lives; ``view`` to write them anew."""

    __slots__ = ("_buffer", "address", "size", "view")

    def __init__(self, data: bytes) -> None:
        self._buffer = ctypes.create_string_buffer(data, len(data))
        self.address = ctypes.addressof(self._buffer)
        self.size = len(data)
        self.view = memoryview(self._buffer).cast("B")


def address_of(view: memoryview) -> int:
    """Where writable bytes are that somebody else keeps alive."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))
