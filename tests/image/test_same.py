"""Two builds compared: what differs is named, whatever it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.image.__main__ import main
from scripts.image.same import differences


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders that are one."""
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "etc").mkdir(parents=True)
    (one / "etc" / "name").write_text("kit")
    (one / "etc" / "link").symlink_to("name")
    shutil.copytree(one, other, symlinks=True)
    return one, other


def test_copies_are_the_same(two: tuple[Path, Path]) -> None:
    assert list(differences(*two)) == []
    main(["same", *map(str, two)])


def _link(folder: Path) -> None:
    status = (folder / "link").lstat()
    (folder / "link").unlink()
    (folder / "link").symlink_to("other")
    os.utime(folder / "link", ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda etc: (etc / "name").chmod(0o600), "/etc/name: mode 0644 and 0600"),
        (lambda etc: os.utime(etc / "name", ns=(0, 1)), "/etc/name: time_ns "),
        (_link, "/etc/link: content name and other"),
        (lambda etc: (etc / "more").mkdir(), "/etc/more: is only in "),
        (lambda etc: (etc / "name").unlink(), "/etc/name: is only in "),
        (lambda etc: (etc / "name").write_text("kid"), "content "),
    ],
    ids=["mode", "time", "link", "more", "less", "bytes"],
)
def test_what_differs_is_named(two: tuple[Path, Path], change: Callable[[Path], object], told: str) -> None:
    (two[0] / "etc" / "name").chmod(0o644)
    (two[1] / "etc" / "name").chmod(0o644)
    change(two[1] / "etc")
    with pytest.raises(SystemExit) as caught:
        main(["same", *map(str, two)])
    assert told in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_owner_is_compared(two: tuple[Path, Path]) -> None:
    os.chown(two[1] / "etc" / "name", 1, 2)
    assert [line for line in differences(*two) if "owner 0:0 and 1:2" in line]
