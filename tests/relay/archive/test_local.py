"""Recordings in a folder: whole or not there, whatever is killed; nothing outside of the folder; all gone when told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relay.archive.files import init_name, segment_name
from relay.archive.local import LocalFiles
from relay.errors import ArchiveFull, ArchiveUnavailable

LESSON, OTHER = "1e" * 16, "2f" * 16


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "recordings")


async def test_nothing_is_written_where_little_is_free(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    files = LocalFiles(tmp_path, keep_free_bytes=2 * free)
    with pytest.raises(ArchiveFull):
        await files.put(segment_name(LESSON, 0), b"x")
    assert await files.get(segment_name(LESSON, 0)) is None


async def test_nothing_half_written_is_left(files: LocalFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(ArchiveUnavailable, match="Input/output error"):
        await files.put(segment_name(LESSON, 0), b"x")
    assert list((tmp_path / "recordings" / LESSON).iterdir()) == []


def test_a_kill_at_any_moment_leaves_whole_files(tmp_path: Path) -> None:
    """A child writes and overwrites files until it is killed; each that is there is whole."""
    writer = (
        "import asyncio, sys, itertools; from pathlib import Path; from relay.archive.local import LocalFiles\n"
        "async def run():\n"
        "    files = LocalFiles(Path(sys.argv[1]))\n"
        "    for n in itertools.count():\n"
        f"        await files.put(f'{LESSON}/{{n % 20}}.m4s', bytes([n % 251]) * 200_000)\n"
        "        print(n, flush=True)\n"
        "asyncio.run(run())\n"
    )
    seen = 0
    for lines in (1, 7, 23, 40):
        with subprocess.Popen([sys.executable, "-c", writer, str(tmp_path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(lines):
                assert child.stdout.readline()
            child.send_signal(signal.SIGKILL)
        for path in (tmp_path / LESSON).glob("*.m4s"):
            body = path.read_bytes()
            assert len(body) == 200_000
            assert len(set(body)) == 1
            seen += 1
    assert seen >= 20


async def test_what_was_never_finished_goes_with_its_lesson(files: LocalFiles, tmp_path: Path) -> None:
    await files.put(init_name(LESSON, 0), b"x")
    await files.put(init_name(OTHER, 0), b"x")
    (tmp_path / "recordings" / LESSON / ".left-by-a-kill").write_bytes(b"x")
    await files.forget(LESSON)
    assert [path.name for path in (tmp_path / "recordings").iterdir()] == [OTHER]
