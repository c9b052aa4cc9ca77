"""Python imports this at start, wherever it is on the path. It waits for picamera2, and then adapts it.

Not imported at once: libcamera starts threads, and most of the root's processes never open a camera.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class _Adapting:
    """The loader of picamera2's package, followed by ours."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, package: ModuleType) -> None:
        """Load the package, then exchange its camera."""
        self._loader.exec_module(package)
        package.Picamera2 = importlib.import_module("virtual_camera").VirtualPicamera2  # type: ignore[attr-defined]


class _Watch(PathFinder):
    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "picamera2":
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Adapting(spec.loader)  # type: ignore[assignment]
        return spec


sys.meta_path.insert(0, _Watch)
