"""This build's version: said by ``--version``, to peers, and in announcements."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def software_version() -> str:
    """The installed package's version."""
    try:
        return version("parta")
    except PackageNotFoundError:
        return "0+source"  # run from a checkout that was never installed
