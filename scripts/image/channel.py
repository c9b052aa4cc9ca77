"""The channel file: which version is the newest, and where its bundle is. Published beside the bundle.

Read by ``parta-kit update`` (``appliance/update/source.py``). Used by ``__main__.py``, for ``scripts/image.sh``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def channel_of(bundle: Path, version: str, base_url: str) -> str:
    """The file's text; ``base_url`` is the folder, over https, that kits will fetch the bundle from."""
    with bundle.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    said = {"version": version, "url": f"{base_url.rstrip('/')}/{bundle.name}", "sha256": sha256}
    return json.dumps(said, indent=2) + "\n"
